"""`podSpecPatch`: laid over a template before it is read, as Kubernetes merges it into the pod.

Of the pod's containers `main` is the template's own; init containers, sidecars and those of a container set
are found by name. Lists
of named things (`env`, `volumeMounts`, `volumes`) are merged item by item, others are replaced, and null
removes a field. A field that a local run does not heed is ignored or refused as in the template itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from argosy.errors import ManifestError
from argosy.local.fields import PATCHED, PATCHED_IN_VAIN
from argosy.local.shape import Raw, expect_list, expect_mapping, refuse_field
from argosy.manifest.reading import Unreadable, plain
from argosy.text import nearest

_KEYS = {"env": "name", "volumeMounts": "mountPath", "volumes": "name", "ports": "containerPort"}
"""What tells the items of a list apart."""

_EXECUTOR = ("init", "wait")
"""Containers of Argo's own, which a local run does not have."""


def patched(raw: Raw, spec: Raw, where: str) -> Raw:
    """The template with the workflow's patch and its own. Raises ManifestError for what cannot be done."""
    kind = next((kind for kind in ("container", "script", "containerSet") if raw.get(kind) is not None), None)
    patches = [(spec.get("podSpecPatch"), "spec"), (raw.get("podSpecPatch"), where)]
    for text, place in patches if kind else ():
        if text:
            patch = _read(text, f"{place}.podSpecPatch")
            raw = _laid_over(raw, spec, kind or "", patch, f"{place}.podSpecPatch")
    return raw


def _read(text: Any, where: str) -> Raw:
    try:
        patch = plain(text) if isinstance(text, str) else text
    except Unreadable as error:
        raise ManifestError(
            f"{where} is not YAML before its tags are replaced, as it has to be: {error}"
        ) from None
    patch = expect_mapping(patch or {}, where)
    for field in (field for field in patch if field not in (*PATCHED, *PATCHED_IN_VAIN)):
        advice = "write what it patches into the template, if it changes what a step does"
        refuse_field(field, patch[field], advice, where)
    return patch


def _laid_over(raw: Raw, spec: Raw, kind: str, patch: Raw, where: str) -> Raw:
    result = dict(raw)
    for item in expect_list(patch.get("containers"), f"{where}.containers"):
        name = expect_mapping(item, f"{where}.containers").get("name")
        if kind == "containerSet" and name not in _EXECUTOR:
            result = _in_set(result, item, name, f"{where}.containers")
        elif name == "main":
            body = {key: value for key, value in item.items() if key != "name"}
            result[kind] = _merged(expect_mapping(result[kind], where), body)
        elif name not in _EXECUTOR:
            result["sidecars"] = _of_name(result.get("sidecars"), item, f"{where}.containers")
    for item in expect_list(patch.get("initContainers"), f"{where}.initContainers"):
        if expect_mapping(item, f"{where}.initContainers").get("name") not in _EXECUTOR:
            result["initContainers"] = _of_name(result.get("initContainers"), item, f"{where}.initContainers")
    if "securityContext" in patch and not result.get("securityContext"):
        result["securityContext"] = spec.get("securityContext") or {}
    own = {key: patch[key] for key in ("volumes", "activeDeadlineSeconds", "securityContext") if key in patch}
    return _merged(result, own)


def _in_set(raw: Raw, item: Raw, name: Any, where: str) -> dict[str, Any]:
    """The template with a container of its set patched, or else a sidecar."""
    body = raw["containerSet"]
    inside = expect_list(body.get("containers"), where)
    if all(one.get("name") != name for one in inside) and raw.get("sidecars"):
        return {**raw, "sidecars": _of_name(raw.get("sidecars"), item, where)}
    return {**raw, "containerSet": {**body, "containers": _of_name(inside, item, where)}}


def _of_name(items: Any, patch: Raw, where: str) -> list[Raw]:
    found = expect_list(items, where)
    names = [str(item.get("name")) for item in found]
    if patch.get("name") not in names:
        name = str(patch.get("name"))
        known = names if "main" in names else ["main", *names]
        raise ManifestError(f"{where}: there is no container '{name}'{nearest(name, known)}")
    return [_merged(item, patch) if item.get("name") == patch["name"] else item for item in found]


def _merged(base: Raw, over: Raw) -> dict[str, Any]:
    result = dict(base)
    for field, value in over.items():
        below = result.get(field)
        if value is None:
            result.pop(field, None)
        elif field in _KEYS and isinstance(value, list):
            result[field] = _by_key(below or [], value, _KEYS[field])
        elif isinstance(below, Mapping) and isinstance(value, Mapping):
            result[field] = _merged(below, value)
        else:
            result[field] = value
    return result


def _by_key(base: Sequence[Any], over: Sequence[Any], key: str) -> list[Any]:
    found = {item.get(key): item for item in base}
    for item in over:
        below = found.get(item.get(key))
        # a variable has a value or a place that it comes from, never both
        found[item.get(key)] = item if below is None or key == "name" else _merged(below, item)
    return list(found.values())
