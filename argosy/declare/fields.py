"""The fields of a declaration, checked on the user's line: Argo would refuse them without one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from argosy.errors import DeclarationError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_VARIABLE = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*")


def expect(what: str, value: object, wanted: str, *kinds: type) -> None:
    """Raises DeclarationError unless `value` is of one of the types; True and False are no numbers."""
    if isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool)):
        return
    scalar = isinstance(value, (bool, int, float))
    hint = f"; write {str(value).lower()!r}" if str in kinds and scalar else ""
    raise DeclarationError(f"{what}: {value!r} is not {wanted}{hint}")


def expect_text(what: str, value: object) -> None:
    """Raises DeclarationError unless it is a text."""
    expect(what, value, "a text", str)


def expect_name(what: str, value: object) -> None:
    """Raises DeclarationError unless it can be the name of a step; a name with a tag is Argo's to judge."""
    expect_text(what, value)
    if "{{" not in str(value) and not _NAME.fullmatch(str(value)):
        raise DeclarationError(
            f"{what}: {value!r} is no name; write letters, digits and '-', as in 'train-again'"
        )


def expect_count(what: str, value: object, least: int = 0) -> None:
    """Raises DeclarationError unless it is a whole number, and not below `least`."""
    expect(what, value, "a whole number", int)
    if isinstance(value, int) and value < least:
        raise DeclarationError(f"{what} {value} is below {least}")


def expect_texts(what: str, values: object) -> None:
    """Raises DeclarationError unless it maps texts to texts."""
    expect(what, values, "a mapping such as {'a': 'b'}", Mapping)
    for key, value in values.items() if isinstance(values, Mapping) else ():
        expect_text(f"{what}: the key", key)
        expect_text(f"{what}: '{key}'", value)


def expect_list(what: str, values: Any, wanted: str, kind: type) -> None:
    """Raises DeclarationError unless it is a list or a tuple of such."""
    if isinstance(values, kind):
        raise DeclarationError(f"{what}: a list is wanted; write [{values!r}]")
    expect(what, values, f"a list of {wanted}", list, tuple)
    for value in values:
        expect(what, value, wanted, kind)


def expect_variables(what: str, values: Any, *kinds: type) -> None:
    """Raises DeclarationError unless it maps names of variables to texts, or to where texts are found."""
    expect(what, values, "a mapping such as {'A': 'b'}", Mapping)
    for name, value in values.items():
        if not isinstance(name, str) or not _VARIABLE.fullmatch(name):
            raise DeclarationError(f"{what}: {name!r} is not the name of a variable")
        expect(f"{what}: '{name}'", value, "a text", str, *kinds)
