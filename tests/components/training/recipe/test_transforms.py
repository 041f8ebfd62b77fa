"""Preparation and augmentation of batches."""

import pytest
import torch

from argosy.components.training.recipe.transforms import (
    MEAN,
    STD,
    Augmentation,
    mirror_half,
    normalise,
    resized_crop,
    shift,
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
