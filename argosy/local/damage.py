"""The shape of a run's state: what else was written into its file is told by name, and read no further."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import Any

from argosy.local.node import Phase, parse_time

Check = Callable[[Any], bool]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_text, value.values()))


def _lines(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _moment(value: Any) -> bool:
    try:
        return _text(value) and parse_time(value).tzinfo is not None
    except ValueError:
        return False


def _phase(value: Any) -> bool:
    return _text(value) and value in {phase.value for phase in Phase}


def _code(value: Any) -> bool:
    return isinstance(value, int)


def _inside(value: Any) -> bool:
    """A path of the run's own folder."""
    return _text(value) and not PurePosixPath(value).is_absolute() and ".." not in PurePosixPath(value).parts


def _values(value: Any) -> bool:
    return isinstance(value, dict) and not _wrong(
        value, {"parameters": _texts, "artifacts": _texts}, {"result": _text}
    )


def _attempts(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict) and not _wrong(one, _ATTEMPT, {}) for one in value
    )


def _nodes(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


_HEAD: dict[str, Check] = {
    "name": _name, "uid": _text, "startedAt": _moment, "phase": _phase, "parameters": _texts, "nodes": _nodes,
}  # fmt: skip
_HEAD_MAY: dict[str, Check] = {
    "format": _code, "message": _text, "finishedAt": _moment, "savedAt": _moment, "outputs": _values,
    "journal": _text,
}  # fmt: skip
_ATTEMPT: dict[str, Check] = {
    "name": _name, "phase": _phase, "startedAt": _moment, "finishedAt": _moment, "exitCode": _or_none(_code),
    "message": _text,
}  # fmt: skip
_NODE: dict[str, Check] = {
    "name": _name, "template": _text, "type": _text, "parent": _text, "phase": _phase,
    "startedAt": _or_none(_moment), "finishedAt": _or_none(_moment), "inputs": _values, "outputs": _values,
    "exitCode": _or_none(_code), "message": _text, "log": _or_none(_inside), "logTail": _lines,
    "attempts": _attempts,
}  # fmt: skip
_NODE_MAY: dict[str, Check] = {"queuedAt": _moment, "retryAt": _moment, "reused": _text}


def damage(document: Mapping[str, Any]) -> str:
    """The field of a run's state that is none, such as `nodes[3].outputs`; empty where all are sound."""
    if wrong := _wrong(document, _HEAD, _HEAD_MAY):
        return wrong
    parents: dict[str, str] = {}
    for number, node in enumerate(document["nodes"]):
        if wrong := _wrong(node, _NODE, _NODE_MAY):
            return f"nodes[{number}].{wrong}"
        if node["name"] in parents:
            return f"nodes[{number}].name, which an earlier node has"
        parents[node["name"]] = node["parent"]
    return _circle(parents)


def _wrong(found: Mapping[str, Any], fields: Mapping[str, Check], sometimes: Mapping[str, Check]) -> str:
    for name, check in fields.items():
        if name not in found or not check(found[name]):
            return name
    for name, check in sometimes.items():
        if found.get(name) is not None and not check(found[name]):
            return name
    return ""


def _circle(parents: Mapping[str, str]) -> str:
    """A node that is inside of itself."""
    known: set[str] = set()
    for name in parents:
        way: set[str] = set()
        while name in parents and name not in known:
            if name in way:
                return f"the parent of '{name}', which is inside of itself"
            way.add(name)
            name = parents[name]
        known |= way
    return ""
