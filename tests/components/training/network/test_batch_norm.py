"""Batch-norm statistics that are measured anew."""

import pytest
import torch
from torch import Tensor, nn

from argosy.components.training.network.engine import settle
from tests.components.training.network.test_engine import _engine, same


def _images(count: int, seed: int) -> Tensor:
    return torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) * 3 + 7


def _network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(48, 3))


def test_the_statistics_are_those_of_the_images() -> None:
    model = _network()
    batches = [(_images(8, seed), torch.zeros(8, dtype=torch.int64)) for seed in range(4)]
    settle(_engine(model), batches, same)
    images = torch.cat([images for images, _ in batches])
    norm = model[0]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.running_mean.tolist() == pytest.approx(images.mean((0, 2, 3)).tolist(), rel=1e-5)
    within = torch.stack([part.var((0, 2, 3)) for part, _ in batches]).mean(0)
    assert norm.running_var.tolist() == pytest.approx(within.tolist(), rel=1e-5)


def test_nothing_else_changes_and_training_goes_on_as_before() -> None:
    model = _network()
    weights = [p.clone() for p in model.parameters()]
    settle(_engine(model), [(_images(8, 1), torch.zeros(8))], same)
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    assert all(p.grad is None for p in model.parameters())
    assert isinstance(model[0], nn.BatchNorm2d)
    assert model[0].momentum == 0.1


def test_it_can_be_called_off_between_two_batches() -> None:
    model, calls = _network(), []

    def stop() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        settle(_engine(model), [(_images(8, n), torch.zeros(8)) for n in range(5)], same, stop)
    assert len(calls) == 2
    assert isinstance(model[0], nn.BatchNorm2d)
    assert model[0].momentum == 0.1


def test_frozen_statistics_stay_and_no_image_is_asked_for() -> None:
    model = _network()
    model[0].requires_grad_(False)

    def never() -> Tensor:
        raise AssertionError("an image was asked for")

    before = {name: value.clone() for name, value in model.state_dict().items()}
    settle(_engine(model), (never() for _ in range(1)), same)  # type: ignore[misc]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
