"""The recipe: what is accepted, what is refused and in which words."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from argosy.components.training.recipe.config import DEFAULTS, Recipe, load
from argosy.errors import UsageError


def test_the_shipped_file_holds_every_key_with_a_comment_above_it() -> None:
    lines = DEFAULTS.read_text(encoding="utf-8").splitlines()
    for name in asdict(load()):
        position = next(i for i, line in enumerate(lines) if line.startswith(f"{name}:"))
        assert lines[position - 1].startswith("# "), name


VALID: list[dict[str, Any]] = [
    {"epochs": 1},
    {"epochs": 300, "batch_size": 256},
    {"learning_rate": 1},  # a whole number is a number
    {"learning_rate": 5e-4},
    {"weight_decay": 0.0, "label_smoothing": 0},
    {"horizontal_flip": True},
    {"horizontal_flip": False},
    {"precision": "bf16", "architecture": "resnet50"},
    {"cache_gib": 0},
    {"seed": 0},
]


@pytest.mark.parametrize("values", VALID)
def test_valid(values: dict[str, Any]) -> None:
    recipe = load().override(**values)
    assert {name: getattr(recipe, name) for name in values} == values


INVALID: list[tuple[str, Any, str]] = [
    ("epochs", 0, "epochs is 0; it must be a whole number from 1"),
    ("epochs", -3, "epochs is -3"),
    ("epochs", 2.5, "epochs is 2.5; it must be a whole number"),
    ("epochs", True, "epochs is True"),
    ("epochs", "6", "epochs is '6'"),
    ("batch_size", 1, "batch_size is 1; it must be a whole number from 2"),
    ("learning_rate", 0, "learning_rate is 0"),
    ("learning_rate", -0.1, "learning_rate is -0.1"),
    ("learning_rate", float("nan"), "learning_rate is nan"),
    ("learning_rate", float("inf"), "learning_rate is inf"),
    ("learning_rate", "2e-3", "learning_rate is '2e-3'; it must be a number"),
    ("weight_decay", -1e-9, "weight_decay is -1e-09"),
    ("label_smoothing", 1.0, "label_smoothing is 1.0"),
    ("warmup_share", 0, "warmup_share is 0"),
    ("crop_scale", 1.5, "crop_scale is 1.5"),
    ("horizontal_flip", "yes", "horizontal_flip is 'yes'; it must be one of auto, true, false"),
    ("horizontal_flip", 1, "horizontal_flip is 1"),
    ("precision", "fp8", "precision is 'fp8'; it must be one of auto, fp32, bf16, fp16"),
    ("architecture", "vgg", "architecture is 'vgg'; it must be one of resnet18"),
    ("workers", 0, "workers is 0"),
    ("cache_gib", -1, "cache_gib is -1"),
    ("seed", -1, "seed is -1"),
]


@pytest.mark.parametrize(("name", "value", "message"), INVALID)
def test_invalid(name: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load().override(**{name: value})
    assert str(caught.value).startswith(message)


def test_none_overrides_nothing() -> None:
    assert load().override(epochs=None, learning_rate=None, batch_size=None) == load()


def _file(folder: Path, **changes: Any) -> Path:
    content = {**asdict(load()), **changes}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v != "(left out)"}))
    return path


def test_a_file_is_read(tmp_path: Path) -> None:
    assert load(_file(tmp_path, epochs=3)) == load().override(epochs=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 3}, "unknown key 'epoch'; did you mean 'epochs'?"),
        ({"colour": "red"}, "unknown key 'colour'; known: architecture"),
        ({"seed": "(left out)"}, "config.yaml lacks seed"),
        ({"epochs": None}, "epochs is None"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        load(_file(tmp_path, **changes))


@pytest.mark.parametrize("text", ["[1, 2]", "", "epochs: [", "\x00"])
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"config\.yaml"):
        load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.yaml cannot be read"):
        load(tmp_path / "none.yaml")


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        load().epochs = 3  # type: ignore[misc]
    assert isinstance(load(), Recipe)
