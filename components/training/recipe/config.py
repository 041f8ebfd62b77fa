"""The recipe: every knob of a training run, checked when it is made."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import yaml

from argosy.errors import UsageError

DEFAULTS = Path(__file__).parent.parent / "config.yaml"

ARCHITECTURES = ("resnet18", "resnet34", "resnet50")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")

# (lowest, highest) value that makes sense; both are allowed.
_RANGES: dict[str, tuple[float, float]] = {
    "epochs": (1, 10_000),
    "batch_size": (2, 65_536),  # batch norm has no variance over a single image
    "learning_rate": (1e-9, 10.0),
    "weight_decay": (0.0, 1.0),
    "label_smoothing": (0.0, 0.9),
    "warmup_share": (0.01, 0.99),
    "crop_scale": (0.01, 1.0),
    "workers": (1, 256),
    "cache_gib": (0.0, 4096.0),
    "seed": (0, 2**32 - 1),
}
_WHOLE = {"epochs", "batch_size", "workers", "seed"}
_CHOICES: dict[str, tuple[object, ...]] = {
    "architecture": ARCHITECTURES,
    "precision": PRECISIONS,
    "horizontal_flip": ("auto", True, False),
}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train. `config.yaml` gives the defaults and says what each knob does.

    Raises:
        UsageError: a value has the wrong type or makes no sense; the message says what is allowed.
    """

    architecture: str
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    warmup_share: float
    crop_scale: float
    horizontal_flip: bool | Literal["auto"]
    precision: str
    workers: int
    cache_gib: float
    seed: int

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            _check_choice(name, getattr(self, name), allowed)
        for name, (low, high) in _RANGES.items():
            _check_number(name, getattr(self, name), low, high)

    def override(self, **values: Any) -> Recipe:
        """A recipe in which every value that is not None replaces the one here.

        Raises:
            UsageError: a value makes no sense.
        """
        return replace(self, **{name: value for name, value in values.items() if value is not None})


def load(path: Path = DEFAULTS) -> Recipe:
    """Read a recipe from a YAML file that holds every key of `Recipe` and no other.

    Raises:
        UsageError: the file cannot be read, a key is unknown or missing, or a value makes no sense.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path.name} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path.name} must hold keys and values, one recipe; it holds {content!r}")
    _check_keys(path.name, content)
    return Recipe(**content)


def _check_keys(source: str, content: Mapping[Any, Any]) -> None:
    known = [field.name for field in fields(Recipe)]
    for key in content:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
            raise UsageError(f"{source} has an unknown key {key!r}; {hint}")
    missing = [name for name in known if name not in content]
    if missing:
        raise UsageError(f"{source} lacks {', '.join(missing)}")


def _check_choice(name: str, value: object, allowed: tuple[object, ...]) -> None:
    # 1 == True in Python: compare the types too, so that a number is no answer to a yes-or-no question.
    if not any(value == choice and type(value) is type(choice) for choice in allowed):
        options = ", ".join(str(choice).lower() for choice in allowed)
        raise UsageError(f"{name} is {value!r}; it must be one of {options}")


def _check_number(name: str, value: object, low: float, high: float) -> None:
    kind = "a whole number" if name in _WHOLE else "a number"
    types = (int,) if name in _WHOLE else (int, float)
    bad_type = isinstance(value, bool) or not isinstance(value, types)
    if bad_type or not math.isfinite(value) or not low <= value <= high:  # type: ignore[arg-type, operator]
        raise UsageError(f"{name} is {value!r}; it must be {kind} from {low:g} to {high:g}")
