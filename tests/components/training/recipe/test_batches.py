"""Batches: every image in order when validating, whole batches in a seeded order when training."""

from itertools import chain

import pytest
import torch

from argosy.components.training.recipe.batches import Batches
from argosy.components.training.recipe.dataset import ImageFolder, Split
from argosy.components.training.recipe.images import CachedImages, StreamedImages

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
