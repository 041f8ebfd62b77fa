"""Faults found before anything starts: the linter's errors, values, and what one machine cannot do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from argosy.compose.given import check_values
from argosy.errors import ManifestError, UsageError
from argosy.lint.engine import refuse_invalid
from argosy.local.artifacts import FETCHERS, fetched_inputs, hindrance
from argosy.local.job import Plan
from argosy.local.model import Template, Workflow
from argosy.local.parse import parse_workflow
from argosy.step.values import shown
from argosy.text import nearest


def check(
    manifest: Mapping[str, Any],
    parameters: Mapping[str, str],
    *,
    linted: bool = False,
    in_images: bool = False,
) -> Plan:
    """The plan of a run: the manifest understood, its parameters resolved.

    `linted` says that the linter has seen the manifest: its errors are not looked for again. `in_images`:
    steps run in their images, so an image's own command will do.

    Raises UsageError for a parameter that is unknown, missing or not among its enum, and ManifestError for
    anything in the manifest that the linter calls an error or that cannot be done on one machine.
    """
    workflow = parse_workflow(manifest)
    resolved = _parameters(workflow, parameters)
    if not linted:
        refuse_invalid(manifest, "the manifest")
    for template in workflow.templates.values():
        _check_paths(template)
        if not in_images:
            _check_commands(template)
    _check_artifacts(workflow)
    return Plan(workflow, resolved, frozenset(parameters))


def _parameters(workflow: Workflow, given: Mapping[str, str]) -> dict[str, str]:
    declared = {parameter.name: parameter for parameter in workflow.parameters}
    unknown = next((name for name in given if name not in declared), None)
    if unknown is not None:
        known = ", ".join(declared) or "none"
        raise UsageError(f"there is no parameter '{unknown}'; there are: {known}{nearest(unknown, declared)}")
    resolved: dict[str, str] = {}
    for parameter in workflow.parameters:
        value = given.get(parameter.name, parameter.value)
        if value is None:  # as in Argo, the default of a workflow's own argument is not looked at
            raise UsageError(f"parameter '{parameter.name}' has no value: give -p {parameter.name}=VALUE")
        if parameter.enum and value not in parameter.enum:
            raise UsageError(
                f"parameter '{parameter.name}' is {shown(value)}; one of {', '.join(parameter.enum)}"
            )
        resolved[parameter.name] = value
    check_values(resolved)
    return resolved


def _check_paths(template: Template) -> None:
    where = f"template '{template.name}'"
    for tag, path in template.paths.items():
        if template.is_leaf and "{{" in path:
            raise ManifestError(f"{where}: {tag} is {path!r}; here a path cannot hold tags")
        if not template.is_leaf and tag.startswith("outputs."):
            raise ManifestError(f"{where}: {tag} is {path}; a {template.kind} takes its outputs from tasks")
    for artifact in template.artifacts if template.is_leaf else ():
        if not artifact.path:
            raise ManifestError(f"{where}: input artifact '{artifact.name}' needs a path")


def _check_commands(template: Template) -> None:
    for container in template.programs:
        if not container.command:
            raise ManifestError(
                f"{template.place(container)}: no command; a process needs it written, the image's own is "
                "used with --runner podman or docker"
            )


def _check_artifacts(workflow: Workflow) -> None:
    """Artifacts that would have to be fetched from a store."""
    for name, artifact in workflow.artifacts.items():
        if artifact.raw is None:
            raise ManifestError(f"spec.arguments: artifact '{name}' needs raw content to be run here")
    for where, template, wanted in fetched_inputs(workflow):
        said = f"{where}: artifact '{wanted.name}' of template '{template.name}'"
        if template.is_leaf and wanted.fetched in FETCHERS:
            if problem := hindrance(wanted):
                raise ManifestError(f"{said} {problem}")
        elif not wanted.optional:
            raise ManifestError(
                f"{said} would be fetched ({wanted.fetched}), which is not done here; pass it with "
                "`from` or `raw`"
            )
