"""Preparation and augmentation of batches."""

import pytest
import torch

from argosy.components.training.data.images import (
    MEAN,
    STD,
    Augmentation,
    mirror_half,
    normalise,
    prepare,
    resized_crop,
    shift,
    size_at,
    stored_size,
)


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _random(count: int, side: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, side, side), dtype=torch.uint8, generator=_generator(9))


def test_black_and_white_are_normalised_by_channel() -> None:
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 3, 1, 1)
    black, white = normalise(images)[:, :, 0, 0].tolist()
    assert black == pytest.approx([-m / s for m, s in zip(MEAN, STD, strict=True)], abs=1e-6)
    assert white == pytest.approx([(1 - m) / s for m, s in zip(MEAN, STD, strict=True)], abs=1e-6)


def test_a_shift_of_nothing_changes_nothing() -> None:
    images = _random(4, 8)
    assert torch.equal(shift(images, 0, _generator()), images)


def test_a_shift_moves_whole_images_within_reach() -> None:
    images = torch.zeros(200, 3, 9, 9, dtype=torch.uint8)
    images[:, :, 4, 4] = 255
    moved = shift(images, 2, _generator())
    where = moved[:, 0].nonzero()
    assert len(where) == 200  # the point is still there, once in each image
    assert set(where[:, 1].tolist()) == set(where[:, 2].tolist()) == {2, 3, 4, 5, 6}


def test_a_crop_of_everything_only_scales() -> None:
    images = torch.full((3, 3, 16, 16), 200, dtype=torch.uint8)
    cut = resized_crop(images, (12, 12), 1.0, _generator())
    assert cut.shape == (3, 3, 12, 12)
    assert torch.allclose(cut, torch.full_like(cut, 200.0))


def test_crops_lie_inside_the_image_and_differ() -> None:
    ramp = torch.arange(64, dtype=torch.uint8).view(1, 1, 1, 64).expand(50, 3, 64, 64)
    cut = resized_crop(ramp, (32, 32), 0.3, _generator())
    assert cut.min() >= 0
    assert cut.max() <= 63
    assert torch.all(cut.diff(dim=-1) >= -1e-3)  # left stays left
    assert len(set(cut[:, 0, 0, 0].tolist())) > 25


def test_about_half_of_the_images_are_mirrored() -> None:
    images = _random(400, 4)
    mirrored = (mirror_half(images, _generator()) != images).flatten(1).any(1)
    assert 150 < int(mirrored.sum()) < 250
    chosen = mirror_half(images, _generator())[mirrored]
    assert torch.equal(chosen, images[mirrored].flip(-1))


@pytest.mark.parametrize(
    ("size", "stored"), [((32, 32), (32, 32)), ((224, 224), (256, 256)), ((64, 128), (74, 147))]
)
def test_stored_size(size: tuple[int, int], stored: tuple[int, int]) -> None:
    assert stored_size(size) == stored


@pytest.mark.parametrize("side", [16, 64])
def test_augmentation_prepares_a_batch_and_repeats_from_its_seed(side: int) -> None:
    images = _random(5, stored_size((side, side))[0])

    def once(seed: int) -> torch.Tensor:
        return Augmentation((side, side), 0.35, True, _generator(seed))(images)

    assert once(1).shape == (5, 3, side, side)
    assert once(1).dtype is torch.float32
    assert torch.equal(once(1), once(1))
    assert not torch.equal(once(1), once(2))


@pytest.mark.parametrize(
    ("size", "start", "progress", "now"),
    [
        ((224, 224), 1.0, 0.0, (224, 224)),
        ((224, 224), 0.5, 0.0, (112, 112)),
        ((224, 224), 0.5, 1 / 3, (168, 168)),
        ((224, 224), 0.5, 2 / 3, (224, 224)),
        ((224, 224), 0.5, 1.0, (224, 224)),
        ((32, 64), 0.5, 0.0, (16, 32)),
        ((32, 32), 0.1, 0.0, (4, 4)),
    ],
)
def test_images_grow_and_are_whole_in_the_last_third(
    size: tuple[int, int], start: float, progress: float, now: tuple[int, int]
) -> None:
    assert size_at(size, start, progress) == now


@pytest.mark.parametrize("side", [32, 64])
def test_a_batch_has_the_size_of_its_moment(side: int) -> None:
    sizes = iter([(side // 2, side // 2), (side, side)])
    augment = Augmentation((side, side), 0.35, False, _generator(), lambda: next(sizes))
    images = _random(3, stored_size((side, side))[0])
    assert augment(images).shape == (3, 3, side // 2, side // 2)
    assert augment(images).shape == (3, 3, side, side)


def test_images_are_prepared_without_chance() -> None:
    images = _random(3, 16)
    assert torch.equal(prepare(images, (16, 16)), normalise(images))
    grey = torch.full((2, 3, 74, 74), 90, dtype=torch.uint8)
    assert torch.allclose(prepare(grey, (64, 64)), normalise(grey)[:, :, :64, :64], atol=1e-5)
