"""The environment of a step's program."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from argosy.errors import ManifestError
from argosy.runner.context import Context
from argosy.runner.model import EnvVar, Workflow

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


def base_environment(own: Mapping[str, str], given: Mapping[str, str], python: Path) -> dict[str, str]:
    """The runner's environment and the caller's, with this Python first on PATH and its output unbuffered."""
    merged = {**own, **given}
    merged["PATH"] = f"{python.parent}:{merged.get('PATH', '/usr/local/bin:/usr/bin:/bin')}"
    merged.setdefault("PYTHONUNBUFFERED", "1")
    return merged


def check_environment(workflow: Workflow, environment: Mapping[str, str]) -> None:
    """Raise ManifestError for a variable from a secret or config map that nobody gives here."""
    for template in workflow.templates.values():
        for variable in template.container.env if template.container else ():
            if variable.kept_in and not variable.optional and variable.name not in environment:
                raise ManifestError(
                    f"template '{template.name}': env '{variable.name}' comes from the {variable.kept_in}; "
                    f"set {variable.name} in the environment of this command"
                )


def declared(
    variables: tuple[EnvVar, ...], ctx: Context, pod: str, render: Callable[[str, Mapping[str, str]], str]
) -> dict[str, str]:
    """The variables that a container declares, in order; later ones may use `$(NAME)` of earlier ones."""
    known: dict[str, str] = {}
    for variable in variables:
        if variable.field_path:
            known[variable.name] = _field(variable.field_path, ctx, pod)
        elif variable.kept_in:
            if variable.name in ctx.environment:
                known[variable.name] = ctx.environment[variable.name]
        else:
            known[variable.name] = render(variable.value or "", known)
    return known


def expand(literal: str, known: Mapping[str, str]) -> str:
    """Kubernetes' own references: `$(NAME)` of a declared variable becomes its value, `$$` a dollar sign."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[1] is None else known.get(match[1], match[0])

    return _REFERENCE.sub(value, literal)


def _field(path: str, ctx: Context, pod: str) -> str:
    workflow = ctx.plan.workflow
    return {
        "metadata.name": pod,
        "metadata.namespace": workflow.namespace,
        "metadata.uid": f"{ctx.plan.uid}-{pod.rpartition('-')[2]}",
        "spec.nodeName": platform.node(),
        "spec.serviceAccountName": workflow.service_account,
        "status.hostIP": "127.0.0.1",
        "status.podIP": "127.0.0.1",
    }[path]
