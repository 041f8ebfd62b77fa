"""Short forms of a container's fields: `env` as a mapping, `resources` as one line."""

from collections.abc import Callable, Mapping
from typing import Any

from argosy.compose.environments.merge import is_empty
from argosy.compose.environments.place import Place
from argosy.text import nearest

GPU = "nvidia.com/gpu"
_LONG = ("requests", "limits", "claims")
_SHORT = ("cpu", "memory", "ephemeral-storage")
_SOURCES: dict[frozenset[str], Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    frozenset(("secret", "key")): lambda e: {"secretKeyRef": {"name": e["secret"], "key": e["key"]}},
    frozenset(("configMap", "key")): lambda e: {"configMapKeyRef": {"name": e["configMap"], "key": e["key"]}},
    frozenset(("field",)): lambda e: {"fieldRef": {"fieldPath": e["field"]}},
}


def variables(value: Any, place: Place) -> Any:
    """Kubernetes' `env` for a mapping of names to values; a list is Kubernetes' own already.

    Raises:
        UsageError: a value is of no form that a variable has.
    """
    if not isinstance(value, Mapping):
        return value
    return {name: _variable(entry, place / name) for name, entry in value.items()}


def _variable(entry: Any, place: Place) -> Any:
    """One variable: a text, a key of a Secret or a ConfigMap, a field of the pod, or Kubernetes' own form."""
    if is_empty(entry):
        return entry
    if isinstance(entry, bool | int | float):
        return {"value": str(entry).lower() if isinstance(entry, bool) else str(entry)}
    if isinstance(entry, str):
        return {"value": entry}
    if isinstance(entry, Mapping) and entry.keys() <= {"value", "valueFrom"}:
        return dict(entry)
    source = _SOURCES.get(frozenset(entry.keys() - {"optional"})) if isinstance(entry, Mapping) else None
    if source is None:
        raise place.error(
            "a variable is a text, {secret: NAME, key: KEY}, {configMap: NAME, key: KEY}, {field: PATH} "
            "or Kubernetes' {valueFrom: ...}"
        )
    found = source(entry)
    if "optional" in entry:
        next(iter(found.values()))["optional"] = entry["optional"]
    return {"valueFrom": found}


def resources(value: Any, place: Place) -> dict[str, Any]:
    """The container's `resources` for `{cpu: 2, memory: [1Gi, 2Gi]}`: one value, or a request and a limit.

    Empty where only the number of GPUs is said. Raises UsageError for a resource of another name.
    """
    if not isinstance(value, Mapping) or not value:
        return {"resources": value}
    long = {key: dict(value.get(key) or {}) if key in value else {} for key in ("requests", "limits")}
    for name in (key for key in value if key not in (*_LONG, "gpu")):
        if name not in _SHORT:
            hint = nearest(str(name), (*_SHORT, *_LONG, "gpu")) or "; others go under 'limits'"
            raise (place / name).error(f"unknown resource '{name}'{hint}")
        amount = value[name]
        pair = amount if isinstance(amount, list) else [amount, amount]
        if len(pair) != 2:
            raise (place / name).error("is a quantity, or a request and a limit: [500m, 2]")
        long["requests"][name], long["limits"][name] = (None if is_empty(a) else str(a) for a in pair)
    found = {key: long.get(key) or value.get(key) for key in _LONG if long.get(key) or key in value}
    return {"resources": found} if found else {}


def gpus(value: Any, place: Place) -> int | None:
    """How many GPUs `resources` says, if it does; raises UsageError if it is no number of them."""
    number = value.get("gpu") if isinstance(value, Mapping) else None
    if number is not None and (not isinstance(number, int) or isinstance(number, bool) or number < 0):
        raise (place / "gpu").error(f"{number!r} is not a number of GPUs")
    return number


def with_gpus(container: Mapping[str, Any], number: int) -> dict[str, Any]:
    """The container with this many of the GPUs that it asks for, NVIDIA's unless it says others."""
    parts = {key: value for key, value in (container.get("resources") or {}).items() if value}
    counted = [parts.get(key, {}) for key in ("limits", "requests")]
    names = [n for part in counted for n in part if n.endswith("/gpu")]
    for key in ("requests", "limits"):
        parts[key] = {n: v for n, v in parts.get(key, {}).items() if n not in names}
    if number:
        parts["limits"][names[0] if names else GPU] = str(number)
    kept = {key: value for key, value in parts.items() if value}
    rest = {key: value for key, value in container.items() if key != "resources"}
    return {**rest, "resources": kept} if kept else rest
