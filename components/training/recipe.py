"""The settings of a training: the recipe with every knob, and the input shape, checked when they are made."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Protocol, get_type_hints

import yaml

from argosy.errors import UsageError
from argosy.text import nearest

# The image networks see 32 times smaller feature maps at their end; a limit above catches a mistyped size.
SMALLEST_IMAGE, LARGEST_IMAGE = 16, 4096
LARGEST_RANK = 8
LARGEST_SAMPLE = 100_000_000  # values of one sample: 400 MB


class Knob(Protocol):
    """Judges a value."""

    def check(self, name: str, value: object) -> None:
        """Raise a `UsageError` unless `value` may be the value of `name`."""


@dataclass(frozen=True)
class Number:
    """A number from `low` to `high`, both allowed; a whole number is one too."""

    low: float
    high: float

    def check(self, name: str, value: object) -> None:
        """Refuse other types, infinities, and what lies outside.

        Raises:
            UsageError: the value is no such number.
        """
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or not self.low <= value <= self.high:  # type: ignore[arg-type, operator]
            limits = f"a number from {self.low:g} to {self.high:g}"
            raise UsageError(f"{name} is {value!r}; it must be {limits}{_hint(value)}")


@dataclass(frozen=True)
class Whole:
    """A whole number from `low` to `high`, both allowed; `2.0` is none. `words` are allowed besides."""

    low: int
    high: int
    words: tuple[str, ...] = ()

    def check(self, name: str, value: object) -> None:
        """Refuse other types and what lies outside.

        Raises:
            UsageError: the value is no such number.
        """
        if isinstance(value, str) and value in self.words:
            return
        if type(value) is not int or not self.low <= value <= self.high:
            options = "".join(f"{word} or " for word in self.words)
            raise UsageError(
                f"{name} is {value!r}; it must be {options}a whole number from {self.low} to {self.high}"
            )


@dataclass(frozen=True)
class Choice:
    """One of a few values."""

    allowed: tuple[object, ...]

    def check(self, name: str, value: object) -> None:
        """Refuse everything else, with the nearest word where there is one.

        Raises:
            UsageError: the value is not among the allowed.
        """
        # 1 == True in Python: compare the types too, so that a number is no answer to a yes-or-no question.
        if not any(value == choice and type(value) is type(choice) for choice in self.allowed):
            options = ", ".join(str(choice).lower() for choice in self.allowed)
            raise UsageError(f"{name} is {value!r}; it must be one of {options}")


@dataclass(frozen=True)
class Text:
    """Any text that says something; `meaning` tells what is expected."""

    meaning: str

    def check(self, name: str, value: object) -> None:
        """Refuse other types and blanks.

        Raises:
            UsageError: the value is no text, or empty.
        """
        if not isinstance(value, str) or not value.strip():
            raise UsageError(f"{name} is {value!r}; it must be {self.meaning}")


YES_OR_NO = Choice((True, False))


def _hint(value: object) -> str:
    """YAML reads 2e-3 as text, which surprises everybody."""
    if not isinstance(value, str):
        return ""
    try:
        number = float(value)
    except ValueError:
        return ""
    return f" (write {number!r}, without quotes)" if math.isfinite(number) else ""


DEFAULTS = Path(__file__).parent / "config.yaml"

APPROACHES = ("baseline", "feature_extraction", "fine_tuning")
ARCHITECTURES = ("resnet18", "resnet34", "resnet50")
PRECISIONS = ("auto", "fp32", "bf16", "fp16")
NO_WEIGHTS = "none"

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train. `config.yaml` gives the defaults and says what each knob does.

    Raises:
        UsageError: a value has the wrong type or makes no sense, or two contradict each other; the message
            says what is allowed.
    """

    approach: Annotated[str, Choice(APPROACHES)]
    architecture: Annotated[str, Choice(ARCHITECTURES)]
    weights: Annotated[str, Text("none, imagenet, a file or s3://bucket/key")]
    epochs: Annotated[int, Whole(1, 10_000)]
    batch_size: Annotated[int, Whole(2, 65_536)]  # batch norm has no variance over a single image
    learning_rate: Annotated[float, Number(1e-9, 10.0)]
    backbone_rate: Annotated[float, Number(1e-6, 1.0)]
    weight_decay: Annotated[float, Number(0.0, 1.0)]
    label_smoothing: Annotated[float, Number(0.0, 0.9)]
    warmup_share: Annotated[float, Number(0.01, 0.99)]
    zero_init_residual: Annotated[bool, YES_OR_NO]
    batch_norm_images: Annotated[int, Whole(0, 1_000_000)]
    crop_scale: Annotated[float, Number(0.01, 1.0)]
    horizontal_flip: Annotated[bool | Literal["auto"], Choice(("auto", True, False))]
    start_size: Annotated[float, Number(0.1, 1.0)]
    precision: Annotated[str, Choice(PRECISIONS)]
    compile: Annotated[bool, YES_OR_NO]
    deterministic: Annotated[bool, YES_OR_NO]
    processes: Annotated[int | Literal["auto"], Whole(1, 64, words=("auto",))]
    workers: Annotated[int, Whole(1, 256)]
    cache_gib: Annotated[float, Number(0.0, 4096.0)]
    seed: Annotated[int, Whole(0, 2**32 - 1)]

    def __post_init__(self) -> None:
        for name, knob in _knobs().items():
            knob.check(name, getattr(self, name))
        if self.approach == "baseline" and self.pretrained:
            raise UsageError(
                f"weights is {self.weights!r}, but approach baseline starts from random ones; "
                "set approach to fine_tuning or feature_extraction, or weights to none"
            )
        if self.approach != "baseline" and not self.pretrained:
            raise UsageError(
                f"approach {self.approach} starts from trained weights, and weights is none; "
                "set it to imagenet, a file or s3://bucket/key"
            )

    @property
    def pretrained(self) -> bool:
        """Whether training starts from weights that were trained before."""
        return self.weights != NO_WEIGHTS

    def override(self, config: Mapping[str, Any] = _NOTHING, /, **parameters: Any) -> Recipe:
        """A recipe in which `config` replaces what is here, and `parameters` that say something replace both.

        None and the empty text say nothing: a parameter that was left empty.

        Raises:
            UsageError: a key is unknown, or a value makes no sense; one of `config` is said to be from there.
        """
        _check_keys("config", config)
        _check_values(config, lambda name: "config: ")
        given = {name: value for name, value in parameters.items() if value not in (None, "")}
        return replace(self, **{**config, **given})


def load(path: Path = DEFAULTS) -> Recipe:
    """Read a recipe from a YAML file that holds every key of `Recipe` and no other.

    Raises:
        UsageError: the file cannot be read, a key is unknown, missing or given twice, or a value makes no
            sense; the message begins with the file and, where there is one, the line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        content, lines = yaml.safe_load(text), _lines(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"{path.name} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path.name} must hold keys and values, one recipe; it holds {content!r}")
    _check_once(path.name, lines)
    where = {name: f"{path.name}:{number}" for name, number in lines}
    _check_keys(path.name, content, where)
    missing = [name for name in _knobs() if name not in content]
    if missing:
        raise UsageError(f"{path.name} lacks {', '.join(missing)}")
    _check_values(content, lambda name: f"{where[name]}: ")
    return Recipe(**content)


@cache
def _knobs() -> dict[str, Knob]:
    hints = get_type_hints(Recipe, include_extras=True)
    return {field.name: hints[field.name].__metadata__[0] for field in fields(Recipe)}


def _lines(text: str) -> list[tuple[str, int]]:
    """Every key of the document's mapping, as often as it is there, with its line."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    return [(str(key.value), key.start_mark.line + 1) for key, _ in pairs]


def _check_once(source: str, lines: Iterable[tuple[str, int]]) -> None:
    seen: dict[str, int] = {}
    for name, number in lines:
        if name in seen:
            raise UsageError(f"{source}:{number}: {name} is already given in line {seen[name]}")
        seen[name] = number


def _check_keys(source: str, content: Mapping[Any, Any], where: Mapping[str, str] = _NOTHING) -> None:
    known = list(_knobs())
    for key in content:
        if key not in known:
            hint = nearest(str(key), known) or f"; known: {', '.join(known)}"
            raise UsageError(f"{where.get(str(key), source)}: unknown key {key!r}{hint}")


def _check_values(content: Mapping[str, Any], where: Callable[[str], str]) -> None:
    for name, value in content.items():
        try:
            _knobs()[name].check(name, value)
        except UsageError as error:
            raise UsageError(f"{where(name)}{error}") from None


@dataclass(frozen=True)
class InputShape:
    """Shape of one request to the model, in the order that PyTorch, ONNX and Triton share.

    The first size is the batch. It is only an example: the exported model takes any.

    Attributes:
        sizes: two or more sizes, the batch first.

    Raises:
        UsageError: fewer than two sizes or more than `LARGEST_RANK`, a size below 1, or a sample too large.
    """

    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.sizes) <= LARGEST_RANK:
            raise UsageError(
                f"input_shape '{self}' has {len(self.sizes)} sizes; it must have 2 to {LARGEST_RANK}, "
                "the batch first, such as 1,3,224,224 or 1,16"
            )
        if min(self.sizes) < 1:
            raise UsageError(f"input_shape '{self}': every size must be at least 1")
        if math.prod(self.sample) > LARGEST_SAMPLE:
            raise UsageError(f"input_shape '{self}': a sample must have at most {LARGEST_SAMPLE} values")

    @property
    def sample(self) -> tuple[int, ...]:
        """The shape of one sample, without the batch."""
        return self.sizes[1:]

    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels, for a model that takes RGB images.

        Raises:
            UsageError: the shape is not that of RGB images of a usable size.
        """
        if len(self.sizes) != 4:
            raise UsageError(f"input_shape '{self}' is not batch,3,height,width: the model takes RGB images")
        channels, height, width = self.sample
        if channels != 3:
            raise UsageError(
                f"input_shape '{self}': the model takes RGB images, so the second size must be 3"
            )
        if not all(SMALLEST_IMAGE <= side <= LARGEST_IMAGE for side in (height, width)):
            raise UsageError(
                f"input_shape '{self}': height and width must be {SMALLEST_IMAGE} to {LARGEST_IMAGE} pixels"
            )
        return height, width

    def __str__(self) -> str:
        return ",".join(map(str, self.sizes))


def parse_input_shape(text: str) -> InputShape:
    """Read "batch,size,...": any kind of input whose first size is the batch.

    Raises:
        UsageError: not whole numbers separated by commas, or `InputShape` refuses them.
    """
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"input_shape {text!r} is not whole numbers with commas between them, such as 1,3,224,224"
        ) from None
    return InputShape(sizes)
