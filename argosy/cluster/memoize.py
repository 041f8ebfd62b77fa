"""The cluster's own cache: steps declared with `cache=True` get Argo's `memoize`.

Its key is made of what the key of a local run is made of: a hash of template, code and Argosy's version,
which is known here, and a hash of the inputs and of the workflow's parameters that the template reads, which
the controller computes. Argo keeps outputs in a ConfigMap, takes letters, digits and dashes for a key, knows
nothing of an input artifact's content and remembers no step without outputs.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from argosy import __version__
from argosy.errors import UsageError
from argosy.local.runs.cache import code_hash, may_be_reused, spec_of, variables_in
from argosy.manifest import parts
from argosy.manifest.code import module_of

_PARAMETER = "workflow.parameters."
_CODE_CHARACTERS = 32
_LONGEST_NAME = 253  # characters of a ConfigMap's name
_NO_NAME = re.compile(r"[^a-z0-9.-]")


@dataclass(frozen=True)
class Memoized:
    """A manifest whose declared steps have `memoize`, and why others have none, a line each."""

    manifest: dict[str, Any]
    notes: tuple[str, ...]


def memoized(manifest: dict[str, Any], folders: Iterable[str] = ()) -> Memoized:
    """The manifest with `memoize` in each template that is declared with `cache=True` and can have it.

    Args:
        manifest: compiled, before its code is attached: a change of one step's code is none of the others'.
        folders: where modules are looked for before `sys.path`.

    Raises:
        UsageError: no step is declared so.
    """
    search, name = list(folders), parts.title_of(manifest)
    templates, notes = [], []
    for template in parts.templates_in(manifest):
        if may_be_reused(template, everything=False):
            reason = _hindrance(template, manifest)
            found = None if reason else _memoize(template, name, search)
            if found is None:
                reason = reason or f"the code of its module '{module_of(template)}' is not here"
                notes.append(f"template '{template['name']}' is not memoized: {reason}")
            else:
                template = {**template, "memoize": {**found, **(template.get("memoize") or {})}}
        templates.append(template)
    if not notes and not any("memoize" in template for template in templates):
        raise UsageError(f"--memoize: no step of '{name}' is declared with @component(cache=True)")
    return Memoized(parts.with_templates(manifest, templates), tuple(notes))


def _hindrance(template: Mapping[str, Any], manifest: Mapping[str, Any]) -> str:
    """Why Argo could not remember a template, or would remember what must not be; empty if it can."""
    inputs, outputs = (template.get(side) or {} for side in ("inputs", "outputs"))
    if artifacts := inputs.get("artifacts"):
        return f"its key would not hold the content of the input artifact '{artifacts[0]['name']}'"
    if not outputs.get("parameters") and not outputs.get("artifacts"):
        return "Argo remembers outputs, and it has none"
    if outputs.get("artifacts") and _are_deleted(outputs["artifacts"], manifest):
        return f"its artifact '{outputs['artifacts'][0]['name']}' is deleted with its workflow (artifactGC)"
    read = variables_in(spec_of(template))
    if read is None:
        return "it computes with variables ({{=...}}), so nothing tells which its outputs depend on"
    other = sorted(name for name in read if not name.startswith(_PARAMETER))
    return f"it reads {{{{{other[0]}}}}}, which no two workflows share" if other else ""


def _are_deleted(artifacts: Iterable[Mapping[str, Any]], manifest: Mapping[str, Any]) -> bool:
    default = (parts.spec_of(manifest).get("artifactGC") or {}).get("strategy")
    strategies = ((a.get("artifactGC") or {}).get("strategy", default) for a in artifacts)
    return any(strategy not in (None, "", "Never") for strategy in strategies)


def _memoize(template: Mapping[str, Any], pipeline: str, folders: Iterable[str]) -> dict[str, Any] | None:
    """The field, or None where the step's code cannot be read."""
    module, spec = module_of(template), spec_of(template)
    code = code_hash([module], folders) if module else ""
    read = variables_in(spec)
    if code is None or read is None:
        return None
    known = json.dumps({"argosy": __version__, "template": spec, "code": code}, sort_keys=True)
    parameters = (template.get("inputs") or {}).get("parameters") or ()
    values = [
        *(f"inputs.parameters['{parameter['name']}']" for parameter in parameters),
        *(f"workflow.parameters['{name.removeprefix(_PARAMETER)}']" for name in sorted(read)),
    ]
    key = hashlib.sha256(known.encode()).hexdigest()[:_CODE_CHARACTERS]
    if values:
        key += f"-{{{{=sprig.sha256sum(toJson([{', '.join(values)}]))}}}}"
    config_map = _NO_NAME.sub("-", f"argosy-cache-{pipeline}-{template['name']}".lower())
    config_map = config_map[:_LONGEST_NAME].rstrip("-.")
    return {"key": key, "cache": {"configMap": {"name": config_map}}}
