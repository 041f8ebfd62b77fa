"""How a Python value travels through Argo, where every parameter is text.

`ValueType` is the whole rule: which Python types a parameter may have, how a value is written
as text and how text is read back.  A value survives the round trip unaltered.
"""

from __future__ import annotations

import json
import math
import re
import types
import typing
from dataclasses import dataclass, replace
from typing import Any, Callable, Literal, NoReturn, get_args, get_origin  # noqa: UP035 - Python 3.9

MAX_BYTES = 127 * 1024
"""How long a parameter may be: Linux takes 128 KiB for one word of a command line, with the option's name."""

SCALARS = (str, int, float, bool)
_UNIONS = (typing.Union, getattr(types, "UnionType", typing.Union))
_JSON = (list, dict)
_SHOWN = 200
_LONGEST = 30
_PLAIN = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")


def shown(value: Any, form: Callable[[Any], str] = repr) -> str:
    """A value as a message shows it: on one line, cut where it is long."""
    try:
        text = form(value).replace("\n", " ")
    except ValueError:  # a whole number of more than 4300 digits
        text = f"<{type(value).__name__} too long to be shown>"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


def fixed(number: float, longest: int | None = None) -> str:
    """The same number without an exponent, which a condition of the workflow cannot read.

    With an exponent where it would have more characters than `longest`.
    """
    text = repr(number)
    if "e" not in text:
        return text
    from decimal import Decimal  # most steps write no such number

    plain = format(Decimal(text), "f")
    plain = plain if "." in plain else f"{plain}.0"
    return text if longest is not None and len(plain) > longest else plain


def unfit(text: str) -> str:
    """Why no program can be given this text as a word of its command line; empty if one can."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "is not text in UTF-8"
    if size > MAX_BYTES:
        return (
            f"has {size} bytes, and at most {MAX_BYTES} fit on a step's command line: "
            "let it travel as a file (an artifact)"
        )
    return "holds a NUL character, which no program can be given" if "\0" in text else ""


def unboxed(value: Any) -> Any:
    """A scalar of NumPy, pandas or a tensor library as the Python value that it is."""
    kind = type(value)
    if hasattr(kind, "item") and hasattr(kind, "shape") and value.shape == ():
        return value.item()
    return None if kind.__name__ == "NAType" and kind.__module__.startswith("pandas.") else value


def _decode_int(text: str) -> int:
    return int(text.strip())


def _decode_bool(text: str) -> bool:
    return {"true": True, "false": False}[text.strip().lower()]


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _decode_json(text: str) -> Any:
    return json.loads(text, parse_constant=_no_constant)


_DECODERS: dict[type, Callable[[str], Any]] = {
    str: str,
    int: _decode_int,
    float: float,
    bool: _decode_bool,
    list: _decode_json,
    dict: _decode_json,
}
_NOUNS = {
    str: "text",
    int: "a whole number",
    float: "a finite number",
    bool: "'true' or 'false'",
    list: "a JSON list",
    dict: "a JSON object",
}


@dataclass(frozen=True)
class ValueType:
    """The type of a parameter.

    Attributes:
        base: str, int, float, bool, list or dict.
        item: for a list, the type of its elements, else None.
        choices: for a `Literal`, the allowed texts, else empty.
        optional: None is allowed; it travels as the empty text.
    """

    base: type
    item: type | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False

    @classmethod
    def from_hint(cls, hint: Any) -> ValueType:
        """The type for an annotation; raises TypeError for one that cannot travel as text."""
        origin, args = get_origin(hint), get_args(hint)
        if origin in _UNIONS:
            inner = [a for a in args if a is not type(None)]
            if len(inner) != 1 or len(inner) == len(args):
                raise TypeError(f"{hint} is a union; only 'T | None' can be told apart as text")
            return replace(cls.from_hint(inner[0]), optional=True)
        if origin is Literal:
            if not all(isinstance(a, str) for a in args):
                written = ", ".join(repr(str(a)) for a in args)
                raise TypeError(f"{hint} has choices that are not text; write Literal[{written}]")
            return cls(str, choices=args)
        if origin is list or hint is list:
            return cls._list(hint, args)
        if origin is dict or hint is dict:
            return cls._dict(hint, args)
        if hint in SCALARS:
            return cls(hint)
        raise TypeError(
            f"{getattr(hint, '__name__', hint)} cannot travel as a parameter; write str, int, float, bool, "
            "list or dict, or 'File' and put it into a file"
        )

    @classmethod
    def _list(cls, hint: Any, args: tuple[Any, ...]) -> ValueType:
        item = args[0] if args and args[0] is not Any else None
        if item is not None and item not in SCALARS:
            raise TypeError(f"{hint} has elements that cannot be told apart as text; write 'list'")
        return cls(list, item=item)

    @classmethod
    def _dict(cls, hint: Any, args: tuple[Any, ...]) -> ValueType:
        if args and args[0] is not str:
            raise TypeError(f"{hint} has keys that are not text; a JSON object has keys of text")
        if len(args) > 1 and args[1] is not Any:
            raise TypeError(f"{hint} has values whose type is not checked; write 'dict' or 'dict[str, Any]'")
        return cls(dict)

    def __str__(self) -> str:
        if self.choices:
            text = " | ".join(self.choices)
        elif self.base is list:
            text = f"list[{self.item.__name__}]" if self.item else "list"
        else:
            text = self.base.__name__
        return f"{text} | none" if self.optional else text

    @property
    def expectation(self) -> str:
        """The values that may be written, for error messages: 'a whole number', "one of 'a', 'b'"."""
        if self.choices:
            noun = "one of " + ", ".join(map(repr, self.choices))
        elif self.item:
            noun = f"a JSON list of {self.item.__name__}"
        else:
            noun = _NOUNS[self.base]
        return f"{noun} or empty" if self.optional else noun

    def encode(self, value: Any) -> str:
        """The text that stands for `value`; raises TypeError when it is not of this type."""
        value = unboxed(value)
        if value is None and self.optional:
            return ""
        if self.base in _JSON:
            value = _plain(value)
        if not self._accepts(value):
            raise TypeError(f"{shown(value)} is not {self.expectation}")
        try:
            return self._text(value)
        except (ValueError, RecursionError, OverflowError) as error:
            raise TypeError(f"{shown(value)} cannot be written as text: {error}") from None

    def _text(self, value: Any) -> str:
        # The base's own form: an enumeration of texts, say, has another.
        if self.base is str:
            return str.__str__(value)
        if self.base is bool:
            return "true" if value else "false"
        if self.base is float:
            return repr(float(value))
        return json.dumps(value, allow_nan=False) if self.base in _JSON else int.__repr__(value)

    def decode(self, text: str) -> Any:
        """The value that `text` stands for; raises ValueError when it stands for none.

        An element of a list may also be given as text: Argo gathers a loop's outputs as texts, and those that
        are JSON as JSON.
        """
        if text == "" and self.optional:
            return None
        try:
            value = _DECODERS[self.base](text)
            if self.item and isinstance(value, list):
                value = [_element(self.item, v) for v in value]
        except (ValueError, KeyError, RecursionError):
            raise ValueError(f"{shown(text)} is not {self.expectation}") from None
        if not self._accepts(value):
            raise ValueError(f"{shown(text)} is not {self.expectation}")
        return value

    def comparable(self, value: Any) -> str:
        """As `encode`, for a text that may get into a condition: a number there has no exponent."""
        text = self.encode(value)
        return fixed(float(value), _LONGEST) if self.base is float and text else text

    def plain(self, text: str) -> str:
        """The same value in the spelling that others than a step read, too; raises as `decode`.

        A step takes `True`, `007` and `1_000`; to a condition of the workflow they are texts.
        """
        value = self.decode(text)
        if value is None or self.base not in (bool, int, float):
            return text
        return text if self.base is not bool and _PLAIN.fullmatch(text) else self.comparable(value)

    def _accepts(self, value: Any) -> bool:
        if self.base is float:
            return _is_number(value) and _is_finite(value)
        if isinstance(value, bool) and self.base is not bool:
            return False
        if not isinstance(value, self.base) or (isinstance(value, str) and not _has_bytes(value)):
            return False
        if self.item and isinstance(value, list):
            return all(ValueType(self.item)._accepts(v) for v in value)
        return not self.choices or value in self.choices

    def feeds(self, other: ValueType) -> bool:
        """Whether every value of this type is also one of `other`'s."""
        if self.optional and not (other.optional or other.base is str):
            return False
        if other.choices:
            return bool(self.choices) and set(self.choices) <= set(other.choices)
        if other.base is str:
            return True
        if (self.base, other.base) == (int, float):
            return True
        return self.base is other.base and other.item in (None, self.item)


def _element(item: type, value: Any) -> Any:
    if isinstance(value, str):
        return ValueType(item).decode(value)
    if item is str and isinstance(value, (list, dict)):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return value


def _has_bytes(text: str) -> bool:
    """Whether UTF-8 can write it; half a surrogate pair, Python's form of a foreign byte, it cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number beyond what a float can be
        return False


def _plain(value: Any, place: str = "") -> Any:
    """`value` as JSON has it, its scalars unboxed; raises TypeError for what JSON would lose or change."""
    value = unboxed(value)
    if value is None or isinstance(value, (str, bool)):
        return value
    if _is_number(value) and _is_finite(value):
        return value
    if isinstance(value, list):
        return [_plain(v, f"{place}[{i}]") for i, v in enumerate(value)]
    if isinstance(value, dict):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"{place}{shown(value)} has the key {shown(odd[0])}, and JSON's keys are text")
        return {key: _plain(v, f"{place}[{key!r}]") for key, v in value.items()}
    hint = "; write '.tolist()'" if hasattr(type(value), "tolist") else ""
    where = f"{place}: " if place else ""
    raise TypeError(f"{where}{shown(value)} is nothing that JSON can hold{hint}")
