"""The recipe: what is accepted, what is refused and in which words."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from argosy.components.training.recipe import DEFAULTS, Recipe, load
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
    {"approach": "fine_tuning", "weights": "imagenet", "backbone_rate": 1},
    {"approach": "feature_extraction", "weights": "s3://models/resnet18.pth"},
    {"zero_init_residual": True, "compile": True, "deterministic": True},
    {"processes": 2, "start_size": 0.5},
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
    ("learning_rate", "2e-3", "learning_rate is '2e-3'; it must be a number from 1e-09 to 10 (write 0.002, "),
    ("learning_rate", "fast", "learning_rate is 'fast'; it must be a number from 1e-09 to 10"),
    ("learning_rate", "nan", "learning_rate is 'nan'; it must be a number from 1e-09 to 10"),
    ("backbone_rate", 0, "backbone_rate is 0"),
    ("weight_decay", -1e-9, "weight_decay is -1e-09"),
    ("label_smoothing", 1.0, "label_smoothing is 1.0"),
    ("warmup_share", 0, "warmup_share is 0"),
    ("crop_scale", 1.5, "crop_scale is 1.5"),
    ("horizontal_flip", "yes", "horizontal_flip is 'yes'; it must be one of auto, true, false"),
    ("horizontal_flip", 1, "horizontal_flip is 1"),
    ("precision", "fp8", "precision is 'fp8'; it must be one of auto, fp32, bf16, fp16"),
    ("architecture", "vgg", "architecture is 'vgg'; it must be one of resnet18"),
    (
        "approach",
        "transfer",
        "approach is 'transfer'; it must be one of baseline, feature_extraction, fine_tu",
    ),
    ("approach", "fine_tuning", "approach fine_tuning starts from trained weights, and weights is none; set"),
    ("approach", "feature_extraction", "approach feature_extraction starts from trained weights"),
    ("weights", "imagenet", "weights is 'imagenet', but approach baseline starts from random ones; set"),
    ("weights", " ", "weights is ' '; it must be none, imagenet, a file or s3://bucket/key"),
    ("weights", 5, "weights is 5"),
    ("zero_init_residual", 1, "zero_init_residual is 1; it must be one of true, false"),
    ("compile", "auto", "compile is 'auto'"),
    ("deterministic", None, "deterministic is None"),
    ("start_size", 0, "start_size is 0"),
    ("processes", 0, "processes is 0; it must be auto or a whole number from 1 to 64"),
    ("processes", "all", "processes is 'all'"),
    ("processes", True, "processes is True"),
    ("workers", 0, "workers is 0"),
    ("cache_gib", -1, "cache_gib is -1"),
    ("seed", -1, "seed is -1"),
]


@pytest.mark.parametrize(("name", "value", "message"), INVALID)
def test_invalid(name: str, value: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        replace(load(), **{name: value})
    assert str(caught.value).startswith(message)


def test_what_was_left_empty_overrides_nothing() -> None:
    assert load().override(epochs=None, learning_rate=None, approach="", weights="") == load()


def test_a_parameter_comes_before_the_config_and_that_before_the_file() -> None:
    recipe = load().override({"epochs": 7, "seed": 9}, epochs=3, learning_rate=None)
    assert recipe == replace(load(), epochs=3, seed=9)


def test_values_that_need_each_other_may_come_from_different_places() -> None:
    recipe = load().override({"approach": "fine_tuning"}, weights="imagenet")
    assert recipe.pretrained


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"epoch": 7}, "config: unknown key 'epoch'; did you mean 'epochs'?"),
        ({"label_smoothing": "0.1"}, "config: label_smoothing is '0.1'; it must be a number from 0 to 0.9"),
        ({"epochs": None}, "config: epochs is None"),
        ({"batch_size": [64]}, r"config: batch_size is [64]"),
    ],
)
def test_a_bad_config_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load().override(config)
    assert str(caught.value).startswith(message)


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
        ({"epoch": 3}, r"config\.yaml:\d+: unknown key 'epoch'; did you mean 'epochs'\?"),
        ({"colour": "red"}, "unknown key 'colour'; known: approach, architecture"),
        ({"seed": "(left out)"}, "config.yaml lacks seed"),
        ({"approach": None}, r"config\.yaml:1: approach is None"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(_file(tmp_path, **changes))


def test_a_bad_line_is_pointed_at(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    shipped = DEFAULTS.read_text(encoding="utf-8")
    path.write_text(shipped.replace("batch_size: 128", "batch_size: 6.4"), encoding="utf-8")
    number = shipped[: shipped.index("batch_size: 128")].count("\n") + 1
    with pytest.raises(UsageError) as caught:
        load(path)
    assert (
        str(caught.value)
        == f"mine.yaml:{number}: batch_size is 6.4; it must be a whole number from 2 to 65536"
    )


def test_a_key_that_is_given_twice_is_pointed_at(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("epochs: 3\nseed: 1\nepochs: 4\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"mine\.yaml:3: epochs is already given in line 1"):
        load(path)


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
