"""A parameter's type as plain data, for files that others read: `int`, `list[int]`, `float | none`.

A `Literal` is written with its choices: `{choices: [passed, failed]}`.
"""

from typing import Any

from argosy.values import SCALARS, ValueType

_BASES: dict[str, type] = {t.__name__: t for t in (*SCALARS, list, dict)}
_NONE = " | none"


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
    text = data.removesuffix(_NONE)
    base, _, item = text.removesuffix("]").partition("[")
    if base not in _BASES or (item and (base != "list" or item not in _BASES)) or text == f"{base}[]":
        raise ValueError(f"{data!r} is not a type; there is: {', '.join(_BASES)}")
    return ValueType(_BASES[base], _BASES[item] if item else None, optional=text != data)


def _are_texts(choices: Any) -> bool:
    return isinstance(choices, list) and bool(choices) and all(isinstance(c, str) for c in choices)
