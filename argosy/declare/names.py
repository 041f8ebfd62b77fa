"""Names: those from elsewhere as Python and Argo have them, and what a name may be in Argo and Kubernetes."""

from __future__ import annotations

import keyword
import re

LONGEST_OBJECT, LONGEST_LABEL, LONGEST_FIELD = 253, 63, 128
FIELD = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")
_OBJECT = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_WORD = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_DATA_KEY = re.compile(r"[-._A-Za-z0-9]+")


def python_name(name: str) -> str:
    """The Python name for an input or output called `name`, as KFP makes it: `Input 1` is `input_1`."""
    found = re.sub(r"[^_0-9a-z]+", "_", name.lower()).strip("_")
    if not found or found[0].isdigit():
        found = f"in_{found}".rstrip("_")
    return f"{found}_" if keyword.iskeyword(found) else found


def step_name(name: str) -> str:
    """The name in YAML for a component called `name`: `Train a model` is `train-a-model`."""
    found = re.sub(r"[^0-9a-z]+", "-", name.lower()).strip("-")[:63].rstrip("-")
    return found or "step"


def is_object(text: str) -> bool:
    """True for a name that an object may have: DNS's subdomain."""
    return len(text) <= LONGEST_OBJECT and bool(_OBJECT.fullmatch(text))


def is_label(text: str) -> bool:
    """True for a name that a namespace, a container or a volume may have: DNS's label."""
    return len(text) <= LONGEST_LABEL and bool(_LABEL.fullmatch(text))


def is_word(text: str) -> bool:
    """True for the value of a label; the empty one is a value, too, and none of these."""
    return len(text) <= LONGEST_LABEL and bool(_WORD.fullmatch(text))


def is_qualified(key: str) -> bool:
    """True for the key of a label, a taint or a selector of nodes: a word, behind a domain and '/' or not."""
    prefix, slash, name = key.rpartition("/")
    return is_word(name) and (not slash or is_object(prefix))


def is_annotation(key: str) -> bool:
    """True for the key of an annotation, in whose domain Kubernetes takes capitals."""
    return is_qualified(key.lower())


def is_data_key(key: str) -> bool:
    """True for a key in a Secret or a ConfigMap, where it is the name of a file, too."""
    return len(key) <= LONGEST_OBJECT and key != "." and key[:2] != ".." and bool(_DATA_KEY.fullmatch(key))


# Fields of settings with the name of an object: what it may be, in code and in words.
NAMED = {"namespace": (is_label, "digits and '-'"), "serviceAccountName": (is_object, "digits, '-' and '.'")}


def wrong_name(field: str, value: object) -> str:
    """The fault of the name in such a field, in words; empty if Kubernetes takes it."""
    good, allowed = NAMED[field]
    return (
        ""
        if isinstance(value, str) and good(value)
        else f"{value!r} is not a name of lowercase letters, {allowed}"
    )
