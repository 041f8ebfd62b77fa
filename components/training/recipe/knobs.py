"""What a knob of the recipe accepts: small checks that say in one line what is wrong and what is allowed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from argosy.errors import UsageError


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
