"""The fields of a declaration, checked on the user's line: Argo would refuse them without one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from argosy.declare.names import (
    FIELD,
    LONGEST_FIELD,
    LONGEST_LABEL,
    LONGEST_OBJECT,
    is_annotation,
    is_data_key,
    is_label,
    is_object,
    is_qualified,
    is_word,
)
from argosy.errors import DeclarationError

_OF_THE_RUN = re.compile(r"\{\{=|\{\{\s*(?:inputs|tasks|loops)\b")
INT32 = (-(2**31), 2**31 - 1)  # the smallest and the largest integer that most fields of Argo's hold
_VARIABLE = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*")


def expect(what: str, value: object, wanted: str, *kinds: type, instead: str = "") -> None:
    """Raises DeclarationError unless `value` is of one of the types; True and False are no numbers.

    `instead` is the value as the user might have meant it, for the message.
    """
    if isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool)):
        return
    scalar = isinstance(value, (bool, int, float))
    written = instead or (repr(str(value).lower()) if str in kinds and scalar else "")
    hint = f"; write {written}" if written else ""
    raise DeclarationError(f"{what}: {value!r} is not {wanted}{hint}")


def expect_text(what: str, value: object) -> None:
    """Raises DeclarationError unless it is a text."""
    expect(what, value, "a text", str)


def expect_name(what: str, value: object) -> None:
    """Raises DeclarationError unless it can be the name of a step.

    One with a tag is Argo's to judge, unless that is of a value of the run: a step has one name in all runs.
    """
    expect_text(what, value)
    if _OF_THE_RUN.search(str(value)):
        raise DeclarationError(f"{what}: {value!r} has to be a text of the program's own")
    if "{{" not in str(value) and not FIELD.fullmatch(str(value)):
        raise DeclarationError(
            f"{what}: {value!r} is no name; write letters, digits and '-', as in 'train-again'"
        )
    if len(str(value)) > LONGEST_FIELD:
        raise DeclarationError(f"{what}: a name of {len(str(value))} characters; Argo takes {LONGEST_FIELD}")


def expect_object(what: str, value: object, longest: int = LONGEST_OBJECT) -> None:
    """Raises DeclarationError unless it can be the name of an object; one with a tag is Argo's to judge."""
    expect_text(what, value)
    if "{{" not in str(value) and (len(str(value)) > longest or not is_object(str(value))):
        raise DeclarationError(
            f"{what}: {value!r} is no name in Kubernetes; write lowercase letters, digits and '-', at most "
            f"{longest}"
        )


def expect_label(what: str, value: object) -> None:
    """Raises DeclarationError unless it can be the name of a volume, which has no dots."""
    expect_object(what, value, LONGEST_LABEL)
    if "{{" not in str(value) and not is_label(str(value)):
        raise DeclarationError(f"{what}: {value!r} has a dot; write lowercase letters, digits and '-'")


def expect_key(what: str, value: object) -> None:
    """Raises DeclarationError unless it can be a key of a Secret or a ConfigMap."""
    expect_text(what, value)
    if "{{" not in str(value) and not is_data_key(str(value)):
        raise DeclarationError(f"{what}: {value!r} is no key; write letters, digits, '-', '_' and '.'")


def expect_qualified(what: str, value: object, good: Callable[[str], bool] = is_qualified) -> None:
    """Raises DeclarationError unless it can be the key of a label, a taint or what else `good` says."""
    expect_text(f"{what}: the key", value)
    if "{{" not in str(value) and not good(str(value)):
        raise DeclarationError(
            f"{what}: the key {value!r} is none; write letters, digits, '-', '_' and '.', behind a domain "
            "and '/' if you like"
        )


def expect_labels(what: str, values: object) -> None:
    """Raises DeclarationError unless it maps keys of labels to values of labels."""
    expect_texts(what, values)
    for key, value in values.items() if isinstance(values, Mapping) else ():
        expect_qualified(what, key)
        if value and "{{" not in value and not is_word(value):
            raise DeclarationError(f"{what}: '{key}': {value!r} is not a label's value")


def expect_annotations(what: str, values: object) -> None:
    """Raises DeclarationError unless it maps keys of annotations to texts."""
    expect_texts(what, values)
    for key, value in values.items() if isinstance(values, Mapping) else ():
        expect_qualified(what, key, is_annotation)
        _expect_no_nul(f"{what}: '{key}'", value)


def _expect_no_nul(what: str, value: object) -> None:
    if isinstance(value, str) and "\0" in value:
        raise DeclarationError(f"{what}: {value!r} holds a NUL character, which no program can be given")


def expect_count(what: str, value: object, least: int = 0) -> None:
    """Raises DeclarationError unless it is a whole number, and not below `least`."""
    expect(what, value, "a whole number", int)
    if isinstance(value, int) and value < least:
        raise DeclarationError(f"{what} {value} is below {least}")
    if isinstance(value, int) and value > INT32[1]:
        raise DeclarationError(f"{what} {value} is above {INT32[1]}, and Argo counts no further")


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
        _expect_no_nul(f"{what}: '{name}'", value)
