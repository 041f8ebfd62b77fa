"""Batches: every image in order when validating, whole batches in a seeded order when training."""

import multiprocessing
import os
import signal
import threading
from itertools import chain

import pytest
import torch

from argosy.components.training.data.batches import Batches
from argosy.components.training.data.images import CachedImages, ImageFolder, Split, StreamedImages

CPU = torch.device("cpu")


def _numbered(count: int) -> CachedImages:
    """Images that carry their number in every pixel, and as their label."""
    numbers = torch.arange(count)
    return CachedImages(numbers.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 3, 2, 2), numbers)


def _labels(batches: Batches, epoch: int = 1, done: int = 0) -> list[list[int]]:
    return [labels.tolist() for _, labels in batches.epoch(epoch, done)]


@pytest.mark.parametrize(("count", "size", "lengths"), [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 8, [3])])
def test_in_order_every_image_comes_once(count: int, size: int, lengths: list[int]) -> None:
    batches = Batches(_numbered(count), batch_size=size, device=CPU)
    seen = _labels(batches)
    assert list(chain(*seen)) == list(range(count))
    assert [len(batch) for batch in seen] == lengths
    assert len(batches) == len(lengths)


@pytest.mark.parametrize(("count", "size", "lengths"), [(10, 4, [4, 4]), (8, 4, [4, 4]), (3, 8, [3])])
def test_shuffled_all_batches_are_whole(count: int, size: int, lengths: list[int]) -> None:
    batches = Batches(_numbered(count), batch_size=size, device=CPU, shuffle_seed=0)
    seen = _labels(batches)
    assert [len(batch) for batch in seen] == lengths
    assert len(set(chain(*seen))) == sum(lengths)
    assert len(batches) == len(lengths)


def test_the_seed_decides_the_order_and_epochs_differ() -> None:
    def two_epochs(seed: int) -> list[list[list[int]]]:
        batches = Batches(_numbered(50), batch_size=25, device=CPU, shuffle_seed=seed)
        return [_labels(batches, 1), _labels(batches, 2)]

    assert two_epochs(1) == two_epochs(1)
    assert two_epochs(1) != two_epochs(2)
    first, second = two_epochs(1)
    assert first != second


def test_an_epoch_goes_on_where_it_was_cut_off() -> None:
    batches = Batches(_numbered(50), batch_size=8, device=CPU, shuffle_seed=1)
    whole = _labels(batches, 3)
    assert [_labels(batches, 3, done) for done in (0, 2, 6)] == [whole, whole[2:], []]


def test_images_stay_with_their_labels() -> None:
    for images, labels in Batches(_numbered(20), batch_size=6, device=CPU, shuffle_seed=3):
        assert images[:, 0, 0, 0].tolist() == labels.tolist()


@pytest.mark.parametrize("seed", [None, 5])
def test_worker_processes_deliver_the_same(digits: ImageFolder, seed: int | None) -> None:
    split = Split(digits.val.files[:10], digits.val.labels[:10])
    cached = CachedImages.decode(split, (16, 16), 1)
    memory = Batches(cached, batch_size=4, device=CPU, shuffle_seed=seed)
    stream = Batches(StreamedImages(split, (16, 16)), batch_size=4, device=CPU, shuffle_seed=seed, workers=1)
    assert len(memory) == len(stream)
    for epoch, done in ((1, 0), (2, 1)):
        pairs = zip(memory.epoch(epoch, done), stream.epoch(epoch, done), strict=True)
        for (left, left_labels), (right, right_labels) in pairs:
            assert torch.equal(left, right)
            assert torch.equal(left_labels, right_labels)


def _equal(left: Batches, right: Batches) -> bool:
    """Whether two epochs bring the same images, in the same order."""
    return all(
        torch.equal(one, other)
        for number in (1, 2)
        for batch, same in zip(left.epoch(number), right.epoch(number), strict=True)
        for one, other in zip(batch, same, strict=True)
    )


@pytest.mark.parametrize("seed", [None, 5])
def test_images_on_the_disk_come_in_the_same_batches(seed: int | None) -> None:
    data = _numbered(50)
    mapped = CachedImages(data.images, data.labels, mapped=True)
    left = Batches(data, batch_size=7, device=CPU, shuffle_seed=seed)
    assert _equal(left, Batches(mapped, batch_size=7, device=CPU, shuffle_seed=seed))


def test_a_walk_that_is_given_up_leaves_no_thread() -> None:
    data = _numbered(50)
    before = threading.active_count()
    walk = Batches(CachedImages(data.images, data.labels, mapped=True), batch_size=2, device=CPU).epoch(1)
    next(walk)
    assert threading.active_count() == before + 1
    walk.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_decoding_workers_leave_the_global_generator_alone(digits: ImageFolder) -> None:
    split = Split(digits.val.files[:4], digits.val.labels[:4])
    before = torch.get_rng_state()
    list(Batches(StreamedImages(split, (8, 8)), batch_size=2, device=CPU, shuffle_seed=1, workers=1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_arrive_on_the_gpu() -> None:
    device = torch.device("cuda")
    data = _numbered(20)
    for source in (data, CachedImages(data.images, data.labels, mapped=True), data.to(device)):
        for images, labels in Batches(source, batch_size=6, device=device, shuffle_seed=1):
            assert images.is_cuda
            assert images[:, 0, 0, 0].tolist() == labels.tolist()


def test_a_signal_to_the_whole_process_group_leaves_the_workers_at_work(digits: ImageFolder) -> None:
    batches = Batches(StreamedImages(digits.val, (16, 16)), batch_size=4, device=CPU, workers=1)
    stream = batches.epoch(1)
    seen = [next(stream)[1]]
    workers = multiprocessing.active_children()
    assert workers
    for worker in workers:
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(int(worker.pid or 0), number)
    seen += [labels for _, labels in stream]
    assert torch.cat(seen).tolist() == list(digits.val.labels)
