"""A parameter's type as plain data, for files that others read: `int`, `list[int]`, `float | none`.

A `Literal` is written with its choices: `{choices: [passed, failed]}`.
"""

import re
from typing import Any

from argosy.step.values import SCALARS, ValueType

_BASES: dict[str, type] = {t.__name__: t for t in (*SCALARS, list, dict)}
_SCALAR = "|".join(t.__name__ for t in SCALARS)
_TYPE = re.compile(rf"(?:(?P<base>{'|'.join(_BASES)})|list\[(?P<item>{_SCALAR})\])(?P<none> \| none)?")


def type_to_data(kind: ValueType) -> str | dict[str, Any]:
    """The type, as text or as a mapping."""
    if not kind.choices:
        return str(kind)
    return {"choices": list(kind.choices), **({"optional": True} if kind.optional else {})}


def type_from_data(data: Any) -> ValueType:
    """The type that `type_to_data` wrote.

    Raises:
        ValueError: the data names no type.
    """
    if isinstance(data, dict) and _are_texts(data.get("choices")):
        return ValueType(str, choices=tuple(data["choices"]), optional=bool(data.get("optional")))
    if not isinstance(data, str):
        raise ValueError(f"{data!r} is not a type")
    match = _TYPE.fullmatch(data)
    if match is None:
        raise ValueError(f"{data!r} is not a type; there is: {', '.join(_BASES)}")
    item = _BASES[match["item"]] if match["item"] else None
    return ValueType(list if item else _BASES[match["base"]], item, optional=bool(match["none"]))


def _are_texts(choices: Any) -> bool:
    return isinstance(choices, list) and bool(choices) and all(isinstance(c, str) for c in choices)
