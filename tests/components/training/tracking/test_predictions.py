"""What a network says, counted."""

import numpy as np
import pytest
import torch
from torch import nn

from argosy.components.training.data.batches import Batches
from argosy.components.training.data.images import CachedImages, ImageFolder
from argosy.components.training.network.engine import choose_precision
from argosy.components.training.recipe import Recipe
from argosy.components.training.tracking.report import Predictions, judge, predict

PREDICTIONS = Predictions(
    labels=np.array([0, 0, 0, 1, 1, 2]),
    predicted=np.array([0, 1, 1, 1, 0, 2]),
    confidence=np.array([0.9, 0.4, 0.8, 0.7, 0.6, 0.99]),
    classes=4,
)


def test_counts() -> None:
    assert PREDICTIONS.confusion().tolist() == [[1, 2, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert PREDICTIONS.accuracy == 0.5


def test_the_most_confident_mistake_comes_first() -> None:
    assert PREDICTIONS.mistakes().tolist() == [2, 4, 1]


class Brightness(nn.Module):
    """Says class 1 where an image is bright, surer the farther from grey it is."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        brightness = images.mean((1, 2, 3))
        return torch.stack((-brightness, brightness), 1)


@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_every_image_is_asked_about_once_in_order(batch_size: int) -> None:
    levels = torch.tensor([0, 255, 5, 240, 10, 200, 100], dtype=torch.uint8)
    images = levels.view(-1, 1, 1, 1).expand(-1, 3, 4, 4)
    labels = torch.tensor([0, 1, 1, 1, 0, 0, 0])
    precision = choose_precision("fp32", (4, 4))
    batches = Batches(CachedImages(images, labels), batch_size=batch_size, device=precision.device)
    said = predict(Brightness().eval(), batches, precision, 2)
    assert said.labels.tolist() == labels.tolist()
    assert said.predicted.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert said.mistakes().tolist() == [2, 5]
    assert np.all((said.confidence > 0.5) & (said.confidence <= 1.0))


def test_a_model_comes_back_to_the_cpu_as_it_was(digits: ImageFolder, recipe: Recipe) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4 * 36, 10)).eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    said, images = judge(model, recipe, digits, (8, 8))
    assert len(images) == len(said.labels) == len(digits.val)
    assert said.labels.tolist() == list(digits.val.labels)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
        assert value.device.type == "cpu"
