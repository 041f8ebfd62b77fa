"""How a Python value travels through Argo, where every parameter is text.

`ValueType` is the whole rule: which Python types a parameter may have, how a value is written
as text and how text is read back.  A value survives the round trip unaltered.
"""

import json
import math
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

SCALARS = (str, int, float, bool)


def _decode_int(text: str) -> int:
    return int(text.strip())


def _decode_float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("not finite")
    return number


def _decode_bool(text: str) -> bool:
    return {"true": True, "false": False}[text.strip().lower()]


_DECODERS: dict[type, Callable[[str], Any]] = {
    str: str,
    int: _decode_int,
    float: _decode_float,
    bool: _decode_bool,
    list: json.loads,
    dict: json.loads,
}
_NOUNS = {
    str: "text",
    int: "a whole number",
    float: "a finite number",
    bool: "'true' or 'false'",
    list: "a JSON list",
    dict: "a JSON object",
}
_SHOWN = 200


def shown(value: Any) -> str:
    """A value as a message shows it: on one line, cut where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}... ({len(text)} characters)"


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
    def from_hint(cls, hint: Any) -> "ValueType":
        """The type for an annotation; raises TypeError for one that cannot travel as text."""
        origin, args = get_origin(hint), get_args(hint)
        if origin in (typing.Union, types.UnionType):
            inner = [a for a in args if a is not type(None)]
            if len(inner) != 1 or len(inner) == len(args):
                raise TypeError(f"{hint} is a union; only 'T | None' can be told apart as text")
            found = cls.from_hint(inner[0])
            return cls(found.base, found.item, found.choices, optional=True)
        if origin is Literal:
            if not all(isinstance(a, str) for a in args):
                raise TypeError(f"{hint} has choices that are not text")
            return cls(str, choices=args)
        if origin is list or hint is list:
            return cls._list(hint, args)
        if origin is dict or hint is dict:
            return cls(dict)
        if hint in SCALARS:
            return cls(hint)
        raise TypeError(f"{getattr(hint, '__name__', hint)} cannot travel as a parameter")

    @classmethod
    def _list(cls, hint: Any, args: tuple[Any, ...]) -> "ValueType":
        item = args[0] if args else None
        if item is not None and item not in SCALARS:
            raise TypeError(f"{hint} has elements that cannot travel as text")
        return cls(list, item=item)

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
        """What to write, for error messages: 'a whole number', "one of 'a', 'b'"."""
        if self.choices:
            noun = "one of " + ", ".join(map(repr, self.choices))
        elif self.item:
            noun = f"a JSON list of {self.item.__name__}"
        else:
            noun = _NOUNS[self.base]
        return f"{noun} or empty" if self.optional else noun

    def encode(self, value: Any) -> str:
        """The text that stands for `value`; raises TypeError when it is not of this type."""
        if value is None and self.optional:
            return ""
        if not self._accepts(value):
            raise TypeError(f"{shown(value)} is not {self.expectation}")
        if self.base is str:
            return str(value)
        if self.base is bool:
            return "true" if value else "false"
        if self.base is float:
            return repr(float(value))
        return json.dumps(value) if self.base in (list, dict) else str(value)

    def decode(self, text: str) -> Any:
        """The value that `text` stands for; raises ValueError when it stands for none."""
        if text == "" and self.optional:
            return None
        try:
            value = _DECODERS[self.base](text)
        except (ValueError, KeyError, RecursionError):
            raise ValueError(f"{shown(text)} is not {self.expectation}") from None
        if not self._accepts(value):
            raise ValueError(f"{shown(text)} is not {self.expectation}")
        return value

    def _accepts(self, value: Any) -> bool:
        if self.base is float:
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        if isinstance(value, bool) and self.base is not bool:
            return False
        if not isinstance(value, self.base) or (isinstance(value, str) and not _has_bytes(value)):
            return False
        if self.item and isinstance(value, list):
            return all(ValueType(self.item)._accepts(v) for v in value)
        return not self.choices or value in self.choices

    def feeds(self, other: "ValueType") -> bool:
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


def _has_bytes(text: str) -> bool:
    """Whether UTF-8 can write it; half a surrogate pair, Python's form of a foreign byte, it cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
