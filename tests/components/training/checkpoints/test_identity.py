"""Which trainings are the same."""

from pathlib import Path

import pytest

from argosy.components.training.checkpoints.checkpoint import Identity
from argosy.components.training.data.images import open_folder
from argosy.components.training.recipe import Recipe
from argosy.errors import UsageError
from tests.components.training.digits import write_digits


def test_the_same_training_on_another_machine_is_the_same(recipe: Recipe, tmp_path: Path) -> None:
    for place in ("one", "two"):
        write_digits(tmp_path / place, train=2, val=1, classes=2)
    one = Identity.of("m", recipe, open_folder(tmp_path / "one"), (16, 16))
    other = recipe.override(workers=recipe.workers + 1, cache_gib=0)
    two = Identity.of("m", other, open_folder(tmp_path / "two"), (16, 16))
    assert one == two
    assert one.digest == two.digest
    two.check(one, "here")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("m", {"learning_rate": 0.5}, r"learning_rate 0.002, now 0.5\)"),
        ("m", {"seed": 1, "epochs": 9}, r"epochs 1, now 9; seed 0, now 1\)"),
        ("m", {"architecture": "resnet34"}, "architecture 'resnet18', now 'resnet34'"),
        ("n", {}, "model_name 'm', now 'n'"),
    ],
)
def test_another_recipe_is_another_training(
    name: str, change: dict[str, object], message: str, recipe: Recipe, folder: Path
) -> None:
    data = open_folder(folder)
    before = Identity.of("m", recipe, data, (16, 16))
    now = Identity.of(name, recipe.override(**change), data, (16, 16))
    assert now.digest != before.digest
    with pytest.raises(UsageError, match=f"here belongs to another training .*{message}.*owner of its own"):
        now.check(before, "here")


def test_other_data_and_another_size_are_another_training(recipe: Recipe, folder: Path) -> None:
    before = Identity.of("m", recipe, open_folder(folder), (16, 16))
    assert Identity.of("m", recipe, open_folder(folder), (16, 32)) != before
    first, second = sorted((folder / "train" / "digit-0").iterdir())
    first.write_bytes(second.read_bytes())
    now = Identity.of("m", recipe, open_folder(folder), (16, 16))
    with pytest.raises(UsageError, match=r"\(dataset_fingerprint '[0-9a-f]+\.\.\., now '[0-9a-f]+"):
        now.check(before, "here")
