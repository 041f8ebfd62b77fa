"""One epoch and one evaluation, on a network small enough to check by hand."""

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR

from argosy.components.training.network.engine import Engine, Precision
from argosy.errors import StepError

CPU = Precision(torch.device("cpu"), torch.float32, channels_last=False)


def _engine(model: nn.Module, learning_rate: float = 0.1) -> Engine:
    optimizer = SGD(model.parameters(), lr=learning_rate)
    return Engine(
        model=model,
        forward=model,
        criterion=nn.CrossEntropyLoss(),
        optimizer=optimizer,
        schedule=LambdaLR(optimizer, lambda _: 1.0),
        scaler=CPU.scaler(),
        precision=CPU,
    )


def _linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 3))


def _learnable(batches: int, size: int = 16) -> list[tuple[Tensor, Tensor]]:
    """Images whose brightest pixel tells the class."""
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(batches):
        labels = torch.randint(0, 3, (size,), generator=generator)
        images = torch.zeros(size, 12)
        images[torch.arange(size), labels] = 3.0
        found.append((images.view(size, 3, 2, 2), labels))
    return found


class _Always(nn.Module):
    """Answers one class, whatever it sees; its only parameter does nothing."""

    def __init__(self, label: int) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))
        self.label = label

    def forward(self, images: Tensor) -> Tensor:
        logits = torch.zeros(len(images), 3)
        logits[:, self.label] = 1.0
        return logits + self.nothing


def same(images: Tensor) -> Tensor:
    """No preparation."""
    return images


def test_the_loss_falls_and_the_accuracy_rises() -> None:
    engine = _engine(_linear())
    before = engine.evaluate(_learnable(4), same)
    losses = [engine.train_epoch(_learnable(10), same) for _ in range(3)]
    after = engine.evaluate(_learnable(4), same)
    assert losses[0] > losses[1] > losses[2]
    assert after.loss < before.loss
    assert after.accuracy == 1.0


def test_an_evaluation_weighs_samples_and_not_batches() -> None:
    images = torch.zeros(12, 3, 2, 2)
    labels = torch.tensor([0] * 10 + [1, 1])
    batches = [(images[:10], labels[:10]), (images[10:], labels[10:])]
    result = _engine(_Always(0)).evaluate(batches, same)
    assert result.samples == 12
    assert result.accuracy == pytest.approx(10 / 12)
    whole = nn.functional.cross_entropy(_Always(0)(images), labels).item()
    assert result.loss == pytest.approx(whole, rel=1e-6)


def test_an_evaluation_changes_nothing() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), _linear())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    _engine(model).evaluate(_learnable(3), same)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_the_transform_is_applied_when_training_and_when_evaluating() -> None:
    seen = []

    def note(images: Tensor) -> Tensor:
        seen.append(len(images))
        return images

    engine = _engine(_linear())
    engine.train_epoch(_learnable(2), note)
    engine.evaluate(_learnable(1), note)
    assert seen == [16, 16, 16]


def test_the_schedule_steps_once_a_batch() -> None:
    engine = _engine(_linear())
    engine.train_epoch(_learnable(7), same)
    assert engine.schedule.last_epoch == 7


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_is_an_error(bad: float) -> None:
    images, labels = _learnable(1)[0]
    batches = [(torch.full_like(images, bad), labels)]
    with pytest.raises(StepError, match="the training loss became nan: lower learning_rate"):
        _engine(_linear()).train_epoch(batches, same)
    with pytest.raises(StepError, match="the validation loss became nan"):
        _engine(_linear()).evaluate(batches, same)


def test_too_high_a_learning_rate_is_an_error_in_time() -> None:
    engine = _engine(nn.Sequential(nn.Flatten(), nn.Linear(12, 64), nn.Linear(64, 3)), learning_rate=1e18)
    with pytest.raises(StepError, match="training loss became"):
        for _ in range(5):
            engine.train_epoch(_learnable(5), same)


def test_no_image_is_an_error() -> None:
    with pytest.raises(StepError, match="no training image"):
        _engine(_linear()).train_epoch([], same)
    with pytest.raises(StepError, match="no validation image"):
        _engine(_linear()).evaluate([], same)
