"""The fields that may be said of a step, their places in its template, and how they are laid over it.

Every field of Argo's template and of its container, in Argo's words, and a few short forms: `resources` as
`{cpu, memory, gpu}`, `env` as a mapping, `labels`, `annotations`, `podSecurityContext`, and fields of the pod
itself, which travel in the template's `podSpecPatch`.

They are merged as Kubernetes does it: mappings key by key, lists of named things by name, other lists as a
whole. An empty value (`{}`, `[]`, `""`, null) removes what is there. Inside a list that is replaced, and
inside a variable or a volume, which have one source each, values stand as they are.
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from argosy.compose.environments.place import Place
from argosy.declare.merge import merged
from argosy.declare.merge import plain as plain_value
from argosy.declare.names import NAMED, wrong_name
from argosy.lint.schema import RANGES, Defect, check, describe, table
from argosy.manifest.parts import spec_of, with_spec
from argosy.manifest.reading import Unreadable, plain
from argosy.manifest.tree import marked as as_tree
from argosy.text import nearest

GPU = "nvidia.com/gpu"
_LONG = ("requests", "limits", "claims")
_SHORT_FORMS = ("cpu", "memory", "ephemeral-storage")
_SOURCES: dict[frozenset[str], Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    frozenset(("secret", "key")): lambda e: {"secretKeyRef": {"name": e["secret"], "key": e["key"]}},
    frozenset(("configMap", "key")): lambda e: {"configMapKeyRef": {"name": e["configMap"], "key": e["key"]}},
    frozenset(("field",)): lambda e: {"fieldRef": {"fieldPath": e["field"]}},
}
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
    if isinstance(entry, bool):
        return {"value": "true" if entry else "false"}
    if isinstance(entry, int | float):
        return {"value": place.written or str(entry)}
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
        if name not in _SHORT_FORMS:
            hint = nearest(str(name), (*_SHORT_FORMS, *_LONG, "gpu")) or "; others go under 'limits'"
            raise (place / name).error(f"unknown resource '{name}'{hint}")
        amount = value[name]
        pair = amount if isinstance(amount, list) else [amount, amount]
        if len(pair) != 2:
            raise (place / name).error("is a quantity, or a request and a limit: [500m, 2]")
        if negative := next((a for a in pair if str(a).startswith("-")), None):
            raise (place / name).error(f"{negative!r} is negative")
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


# Of a template, yet no business of an environment: what the step is, takes and gives.
_STRUCTURE = {"container", "containerSet", "dag", "data", "http", "inputs", "name", "outputs", "plugin"}
_STRUCTURE |= {"resource", "script", "steps", "suspend", "securityContext"}
# Fields of Kubernetes' pod that Argo's template lacks.
_POD = {
    "dnsConfig": "PodDNSConfig",
    "dnsPolicy": "e:ClusterFirstWithHostNet|ClusterFirst|Default|None",
    "enableServiceLinks": "b",
    "hostIPC": "b",
    "hostNetwork": "b",
    "hostPID": "b",
    "imagePullSecrets": "[LocalObjectReference",
    "runtimeClassName": "s",
    "shareProcessNamespace": "b",
    "terminationGracePeriodSeconds": "i",
    "topologySpreadConstraints": "*",
}
_SHORT = ("annotations", "labels", "podSecurityContext")
_METADATA = ("metadata", "labels", "annotations")


@dataclass(frozen=True)
class StepFields:
    """An environment's fields for some steps, in the template's own structure; an empty value removes."""

    place: Place
    template: Mapping[str, Any] = field(default_factory=dict)
    container: Mapping[str, Any] = field(default_factory=dict)
    pod: Mapping[str, Any] = field(default_factory=dict)
    gpu: int | None = None

    @classmethod
    def read(cls, content: Any, place: Place) -> "StepFields":
        """The fields as written in the settings.

        Raises:
            UsageError: a field that no step has, or a value of another type.
        """
        if not isinstance(content, Mapping):
            raise place.error("the fields of a step are a mapping")
        template: dict[str, Any] = {}
        container: dict[str, Any] = {}
        pod: dict[str, Any] = {}
        gpu = None
        for key, value in content.items():
            here = place / key
            if key in _METADATA:
                pair = value if key == "metadata" else {key: value}
                template["metadata"] = merged(template.get("metadata", {}), as_mapping(pair, here))
            elif key == "podSecurityContext":
                template["securityContext"] = value
            elif key == "env":
                container[key] = variables(value, here)
            elif key == "resources":
                container |= resources(value, here)
                gpu = gpus(value, here)
            elif key in _container_fields():
                container[key] = value
            elif key in _template_fields():
                template[key] = value
                if key in NAMED and not is_empty(value) and (wrong := wrong_name(key, value)):
                    raise here.error(wrong)
            elif key in _POD:
                pod[key] = value
            else:
                raise here.error(f"a step has no field '{key}'{_hint(str(key))}")
        refuse_defects(template, "Template", place, content)
        refuse_defects(container, "Container", place, content)
        refuse_pod(pod, place)
        return cls(place, template, container, pod, gpu)

    def over(self, template: Mapping[str, Any]) -> dict[str, Any]:
        """A step's template with these fields laid over it."""
        kind = "script" if "script" in template else "container"
        result = laid_over(template, self.template, "Template")
        if self.pod:
            result["podSpecPatch"] = self._patched(result.get("podSpecPatch"))
            if result["podSpecPatch"] == "{}":
                del result["podSpecPatch"]
        container = laid_over(result.pop(kind), self.container, "Container")
        if self.gpu is not None:
            container = with_gpus(container, self.gpu)
        return {**result, kind: container}  # the longest part comes last

    def _patched(self, text: Any) -> str:
        try:
            known = plain(text) if text else {}
        except Unreadable:
            known = None
        if not isinstance(known, dict):
            raise self.place.error("the step has a podSpecPatch that is not YAML: nothing can be added")
        kept = {key: value for key, value in merged(known, self.pod).items() if not is_empty(value)}
        return json.dumps(kept, separators=(",", ":"), ensure_ascii=False)


def without_pod_fields(manifest: dict[str, Any]) -> dict[str, Any]:
    """A manifest for one machine, where the fields of a pod that a patch sets mean nothing."""
    templates = [_without_pod_fields(t) for t in spec_of(manifest).get("templates") or ()]
    return with_spec(manifest, {**spec_of(manifest), "templates": templates}) if templates else manifest


def _without_pod_fields(template: Any) -> Any:
    patch = template.get("podSpecPatch") if isinstance(template, dict) else None
    try:
        fields = plain(patch) if isinstance(patch, str) else None
    except Unreadable:
        fields = None
    if not isinstance(fields, dict) or not fields.keys() <= _POD.keys():
        return template
    return {key: value for key, value in template.items() if key != "podSpecPatch"}


def _container_fields() -> dict[str, str]:
    return {k: v for k, v in table()["types"]["Container"].items() if k != "name"}


def _template_fields() -> dict[str, str]:
    fields = table()["types"]["Template"]
    return {k: v for k, v in fields.items() if k not in _STRUCTURE and k not in _SHORT}


def _hint(key: str) -> str:
    """Where a field stands that is none of a step, or which one is meant."""
    fields, types = {**_template_fields(), **_container_fields()}, table()["types"]
    holders = [name for name, kind in fields.items() if key in types.get(kind, ())]
    if len(holders) == 1:
        return f"; it stands under '{holders[0]}'"
    return nearest(key, [*fields, *_POD, *_SHORT])


def as_mapping(content: Any, place: Place) -> Mapping[str, Any]:
    """A mapping as it is written; nothing written is an empty one. Raises UsageError for anything else."""
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise place.error("is not a mapping")
    return content


def texts(content: Any, place: Place) -> dict[str, str]:
    """A mapping of names to texts; raises UsageError for a value that is none."""
    for name, value in as_mapping(content, place).items():
        if not isinstance(value, str):
            raise (place / name).error(f"{value!r} is not a text")
    return dict(content or {})


def refuse_defects(patch: Mapping[str, Any], kind: str, place: Place, content: Any = None) -> None:
    """Raise UsageError for the first field of `patch` that an object of `kind` does not have or allow.

    `content` is how the file has it, where that is otherwise.
    """
    content = patch if content is None else content
    try:
        found = check(as_tree(_checkable(patch, kind)), kind)
    except ValueError as error:
        raise _at(_endless(content), content, place).error(str(error)) from None
    # What is required may be there already; yet an entry of a list is told by its name.
    defects = [d for d in found if d.kind != "required" or d.path[-1] == KEYS.get(d.type)]
    if defects:
        raise _error(defects[0], content, place)


def refuse_pod(pod: Mapping[str, Any], place: Place) -> None:
    """As `refuse_defects`, for the fields of a pod."""
    for key, value in pod.items():
        if not is_empty(value) and (defects := check(as_tree(value), _POD[key])):
            raise _error(defects[0], value, place / key)


def _endless(node: Any) -> tuple[Any, ...]:
    """Where the first number is that JSON has no form for; empty if there is none."""
    pairs = node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ()
    for key, value in pairs:
        if isinstance(value, float) and not math.isfinite(value):
            return (key,)
        if found := _endless(value):
            return (key, *found)
    return ()


def _at(path: Iterable[Any], content: Any, place: Place) -> Place:
    """A field of the manifest as the file spells it: `env[0].value` may stand there as `env.NAME`."""
    for part in path:
        if isinstance(content, Mapping) and part not in content:
            if isinstance(part, int):
                part = [key for key, value in content.items() if not is_empty(value)][part]
            elif part in ("metadata", "requests", "limits"):  # of a short form
                continue
        place = place / part
        inside = isinstance(content, Mapping | list) and (not isinstance(content, Mapping) or part in content)
        content = content[part] if inside else None
    return place


def _error(defect: Defect, content: Any, place: Place) -> Exception:
    place = _at(defect.path, content, place)
    if defect.kind == "required":
        return place.error("is missing: entries of this list are merged by it")
    if defect.kind in ("unknown", "case"):
        return place.error(f"unknown field '{defect.value}'{nearest(str(defect.value), defect.allowed)}")
    if defect.kind == "enum":
        return place.error(f"{defect.value!r} is none of {', '.join(defect.allowed)}")
    if defect.kind == "quantity":
        return place.error(f"{defect.value!r} is not a quantity such as 500m, 2 or 1Gi")
    if defect.kind == "unquoted":
        return place.error(f"{defect.value} is not a text; put it into quotes")
    if defect.kind == "name":
        return place.error(str(defect.value))
    if defect.kind == "range":
        low, high = RANGES[defect.type]
        return place.error(f"{defect.value} is outside of {low} to {high}, the integers that fit")
    return place.error(f"{defect.value!r} is not {describe(defect.type)}")


def _checkable(value: Any, kind: str) -> Any:
    """`value` as the table of types wants it: without removals, named entries as a list."""
    if kind[0] == "[" and kind[1:] in KEYS and isinstance(value, Mapping):
        key = KEYS[kind[1:]]
        return [{key: n, **e} if isinstance(e, Mapping) else e for n, e in value.items() if not is_empty(e)]
    fields = dict.fromkeys(value, kind[1:]) if kind[0] == "{" else table()["types"].get(kind)
    if fields is None or not isinstance(value, Mapping):
        return value
    return {k: _checkable(v, fields.get(k, "*")) for k, v in value.items() if not is_empty(v)}


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
    return plain_value(value)


def _entries(base: Sequence[Any], value: Any, kind: str) -> list[Any]:
    """A list of named entries, with those of `value`: a list too, or a mapping of names to entries."""
    key = KEYS[kind]
    found = {e.get(key): e for e in base}
    for name, entry in named(value, key):
        if is_empty(entry):
            found.pop(name, None)
        elif kind in _ONE_SOURCE or name not in found:
            found[name] = {key: name, **plain_value(entry)}
        else:
            found[name] = laid_over(found[name], {key: name, **entry}, kind)
    return list(found.values())


def named(value: Any, key: str) -> list[tuple[Any, Any]]:
    """The entries of a mapping of names, or of a list whose entries carry their name under `key`."""
    if isinstance(value, Mapping):
        return list(value.items())
    return [(entry.get(key), entry) for entry in value]
