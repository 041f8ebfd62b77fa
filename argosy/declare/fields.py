"""The fields of a declaration, checked on the user's line: Argo would refuse them without one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from argosy.errors import DeclarationError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_LONGEST_NAME = 128
_OF_THE_RUN = re.compile(r"\{\{=|\{\{\s*(?:inputs|tasks|loops)\b")
# Names of Kubernetes' objects, of the keys in them, and of labels and annotations.
_OBJECT = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_KEY = re.compile(r"[-._A-Za-z0-9]+")
_QUALIFIED = re.compile(
    r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
_LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LARGEST = 2**31 - 1
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
    """Raises DeclarationError unless it can be the name of a step.

    One with a tag is Argo's to judge, unless that is of a value of the run: a step has one name in all runs.
    """
    expect_text(what, value)
    if _OF_THE_RUN.search(str(value)):
        raise DeclarationError(f"{what}: {value!r} has to be a text of the program's own")
    if "{{" not in str(value) and not _NAME.fullmatch(str(value)):
        raise DeclarationError(
            f"{what}: {value!r} is no name; write letters, digits and '-', as in 'train-again'"
        )
    if len(str(value)) > _LONGEST_NAME:
        raise DeclarationError(f"{what}: a name of {len(str(value))} characters; Argo takes {_LONGEST_NAME}")


def expect_object(what: str, value: object, longest: int = 253) -> None:
    """Raises DeclarationError unless it can be the name of an object; one with a tag is Argo's to judge."""
    expect_text(what, value)
    if "{{" not in str(value) and (len(str(value)) > longest or not _OBJECT.fullmatch(str(value))):
        raise DeclarationError(
            f"{what}: {value!r} is no name in Kubernetes; write lowercase letters, digits and '-', at most "
            f"{longest}"
        )


def expect_key(what: str, value: object) -> None:
    """Raises DeclarationError unless it can be a key of a Secret or a ConfigMap."""
    expect_text(what, value)
    if "{{" not in str(value) and not _KEY.fullmatch(str(value)):
        raise DeclarationError(f"{what}: {value!r} is no key; write letters, digits, '-', '_' and '.'")


def expect_qualified(what: str, value: object) -> None:
    """Raises DeclarationError unless it can be the key of a label, an annotation or a taint."""
    expect_text(f"{what}: the key", value)
    if "{{" not in str(value) and not _QUALIFIED.fullmatch(str(value)):
        raise DeclarationError(
            f"{what}: the key {value!r} is none; write letters, digits, '-', '_' and '.', behind a domain "
            "and '/' if you like"
        )


def expect_labels(what: str, values: object) -> None:
    """Raises DeclarationError unless it maps keys of labels to values of labels."""
    expect_texts(what, values)
    for key, value in values.items() if isinstance(values, Mapping) else ():
        expect_qualified(what, key)
        if "{{" not in value and not _LABEL.fullmatch(value):
            raise DeclarationError(f"{what}: '{key}': {value!r} is not a label's value")


def expect_annotations(what: str, values: object) -> None:
    """Raises DeclarationError unless it maps keys of annotations to texts."""
    expect_texts(what, values)
    for key, value in values.items() if isinstance(values, Mapping) else ():
        expect_qualified(what, key)
        _expect_no_nul(f"{what}: '{key}'", value)


def _expect_no_nul(what: str, value: object) -> None:
    if isinstance(value, str) and "\0" in value:
        raise DeclarationError(f"{what}: {value!r} holds a NUL character, which no program can be given")


def expect_count(what: str, value: object, least: int = 0) -> None:
    """Raises DeclarationError unless it is a whole number, and not below `least`."""
    expect(what, value, "a whole number", int)
    if isinstance(value, int) and value < least:
        raise DeclarationError(f"{what} {value} is below {least}")
    if isinstance(value, int) and value > _LARGEST:
        raise DeclarationError(f"{what} {value} is above {_LARGEST}, and Argo counts no further")


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
