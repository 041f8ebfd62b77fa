"""Small real images, and a recipe for them."""

from pathlib import Path

import pytest

from argosy.components.training.recipe.config import Recipe, load
from argosy.components.training.recipe.dataset import ImageFolder, open_folder
from tests.components.training.digits import write_digits


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> ImageFolder:
    """20 scans of each digit to train on, 5 to validate."""
    root = tmp_path_factory.mktemp("digits")
    write_digits(root, train=20, val=5)
    return open_folder(root)


@pytest.fixture
def recipe() -> Recipe:
    """The shipped recipe, for one short epoch on one thread."""
    return load().override(epochs=1, batch_size=32, workers=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny valid data set that a test may damage."""
    write_digits(tmp_path, train=2, val=1, classes=3)
    return tmp_path
