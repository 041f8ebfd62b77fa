"""Merging as Kubernetes does it: mappings key by key, lists of named things by name, other lists as a whole.

An empty value (`{}`, `[]`, `""`, null) removes what is there. Inside a list that is replaced, and inside a
variable or a volume, which have one source each, values stand as they are.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from argosy.declare.merge import plain
from argosy.lint.schema import table

# What tells the entries of a list apart: Kubernetes' patchMergeKey.
KEYS = {
    "ContainerPort": "containerPort",
    "EnvVar": "name",
    "HostAlias": "ip",
    "LocalObjectReference": "name",
    "UserContainer": "name",
    "Volume": "name",
    "VolumeDevice": "devicePath",
    "VolumeMount": "mountPath",
}
_ONE_SOURCE = ("EnvVar", "Volume")


def is_empty(value: Any) -> bool:
    """Whether a value removes what it is laid over; False and 0 do not."""
    return value is None or (isinstance(value, str | Mapping | list | tuple) and not value)


def laid_over(base: Mapping[str, Any], over: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """`base`, an object of `kind` in the linter's table of types, with `over` laid on it.

    Neither is changed. A mapping or list that a removal empties goes with it.
    """
    result = dict(base)
    for key, value in over.items():
        merged = None if is_empty(value) else _merged(result.get(key), value, _field(kind, key))
        if is_empty(merged):
            result.pop(key, None)
        else:
            result[key] = merged
    return result


def _field(kind: str, key: str) -> str:
    if kind[0] == "{":
        return kind[1:]
    fields = table()["types"].get(kind, {})
    return str(fields.get(key, "*"))


def _merged(base: Any, value: Any, kind: str) -> Any:
    if kind[0] == "[" and kind[1:] in KEYS:
        return _entries(base if isinstance(base, list) else [], value, kind[1:])
    if isinstance(value, Mapping) and (kind[0] == "{" or kind in table()["types"]):
        return laid_over(base if isinstance(base, Mapping) else {}, value, kind)
    return plain(value)


def _entries(base: Sequence[Any], value: Any, kind: str) -> list[Any]:
    """A list of named entries, with those of `value`: a list too, or a mapping of names to entries."""
    key = KEYS[kind]
    found = {e.get(key): e for e in base}
    for name, entry in named(value, key):
        if is_empty(entry):
            found.pop(name, None)
        elif kind in _ONE_SOURCE or name not in found:
            found[name] = {key: name, **plain(entry)}
        else:
            found[name] = laid_over(found[name], {key: name, **entry}, kind)
    return list(found.values())


def named(value: Any, key: str) -> list[tuple[Any, Any]]:
    """The entries of a mapping of names, or of a list whose entries carry their name under `key`."""
    if isinstance(value, Mapping):
        return list(value.items())
    return [(entry.get(key), entry) for entry in value]


Manifest = dict[str, Any]
