"""Everything about a manifest that can be found wrong before anything is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from argosy.errors import ManifestError, UsageError
from argosy.given import check_values
from argosy.runner import condition
from argosy.runner.check_graph import check_dag
from argosy.runner.errors import ConditionError
from argosy.runner.model import Arguments, Call, Template, Workflow
from argosy.runner.parse import parse_workflow
from argosy.runner.references import (
    CallNames,
    Place,
    call_kind,
    names_at_exit,
    names_of_call,
    names_of_globals,
    names_of_template,
    texts_of_arguments,
    texts_of_leaf,
    texts_of_loop,
)
from argosy.runner.result import Plan
from argosy.runner.retry_expression import FIELDS, bare
from argosy.text import nearest
from argosy.values import shown


def check(manifest: Mapping[str, Any], parameters: Mapping[str, str]) -> Plan:
    """The plan of a run: the manifest understood, its parameters resolved.

    Raises UsageError for a parameter that is unknown, missing or not among its enum, and ManifestError for
    anything in the manifest that cannot work or cannot be done on one machine: unknown templates, fields,
    arguments, outputs and tags, cycles, conditions that cannot be read, unsupported features.
    """
    workflow = parse_workflow(manifest)
    resolved = _parameters(workflow, parameters)
    names = names_of_globals(workflow)
    at_exit = _reachable(workflow, workflow.on_exit.template) if workflow.on_exit else frozenset()
    for template in workflow.templates.values():
        known = names | names_at_exit() if template.name in at_exit else names
        _check_template(template, workflow, known)
    _check_entry(workflow, resolved)
    spec = Place("spec.arguments", names - {f"workflow.parameters.{name}" for name in resolved})
    for parameter in workflow.parameters:
        if parameter.name not in parameters:
            spec.check(f"parameter '{parameter.name}'", parameter.fallback)
    if workflow.on_exit:
        _check_exit(workflow, names | names_at_exit(), resolved)
    return Plan(workflow, resolved, frozenset(parameters))


def _parameters(workflow: Workflow, given: Mapping[str, str]) -> dict[str, str]:
    declared = {parameter.name: parameter for parameter in workflow.parameters}
    unknown = next((name for name in given if name not in declared), None)
    if unknown is not None:
        known = ", ".join(declared) or "none"
        raise UsageError(f"there is no parameter '{unknown}'{nearest(unknown, declared)}; there are: {known}")
    resolved: dict[str, str] = {}
    for parameter in workflow.parameters:
        value = given.get(parameter.name, parameter.fallback)
        if value is None:
            raise UsageError(
                f"parameter '{parameter.name}' has no value and no default: give {parameter.name}=VALUE"
            )
        if parameter.enum and value not in parameter.enum:
            raise UsageError(
                f"parameter '{parameter.name}' is {shown(value)}; one of {', '.join(parameter.enum)}"
            )
        resolved[parameter.name] = value
    check_values(resolved)
    return resolved


def _check_template(template: Template, workflow: Workflow, known: frozenset[str]) -> None:
    where = f"template '{template.name}'"
    place = Place(where, known)
    for parameter in template.parameters:
        place.check(f"input '{parameter.name}'", parameter.fallback)
    own = known | names_of_template(template)
    if template.retry and template.retry.expression:
        Place(where, own | FIELDS).check("retryStrategy.expression", bare(template.retry.expression))
    Place(where, own).check("target", template.target)
    if template.is_leaf:
        _check_leaf(template, Place(where, own))
        return
    if template.retry and template.name == workflow.entrypoint:
        raise ManifestError(
            f"{where}: retryStrategy on the entrypoint is not supported here; put it on the tasks' templates"
        )
    if template.kind == "dag":
        check_dag(template)
    calls = CallNames(template, workflow)
    for call in template.calls:
        _check_call(call, template, workflow, Place(where, own, calls=calls, at=call.name))
    _check_outputs(template, Place(where, own, calls=calls))


def _check_outputs(template: Template, place: Place) -> None:
    for output in template.outputs:
        place.check(f"output '{output.name}'", output.parameter)
        place.check(f"output '{output.name}'", output.default)
    for artifact in template.output_artifacts:
        place.check(f"output artifact '{artifact.name}'", artifact.source)
    for tag, path in template.paths.items():
        if tag.startswith("outputs."):
            raise ManifestError(
                f"{place.where}: {tag} is {path}; a {template.kind} takes its outputs from tasks"
            )


def _check_leaf(template: Template, place: Place) -> None:
    for field, text in texts_of_leaf(template):
        place.check(field, text)
    for tag, path in template.paths.items():
        if "{{" in path:
            raise ManifestError(f"{place.where}: {tag} is {path!r}; here a path cannot hold tags")
    for artifact in template.artifacts:
        if not artifact.path:
            raise ManifestError(f"{place.where}: input artifact '{artifact.name}' needs a path")


def _check_call(call: Call, template: Template, workflow: Workflow, inside: Place) -> None:
    where = f"template '{template.name}', '{call.name}'"
    outer = replace(inside, where=where)
    for text in texts_of_loop(call):
        outer.check("the loop", text)
    place = replace(outer, any_item=call.loop is not None)
    for field, source in texts_of_arguments(call.arguments):
        place.check(field, source)
    if call.when:
        place.check("when", call.when)
        try:
            condition.check_syntax(call.when)
        except ConditionError as error:
            raise ManifestError(f"{where}: {error}") from error
    _check_arguments(where, call.arguments, workflow.templates[call.template])
    if call.exit_hook:
        itself = names_of_call(call_kind(template), call, workflow.templates[call.template])
        hook = replace(place, where=f"{where}, exit hook", known=place.known | itself)
        for field, source in texts_of_arguments(call.exit_hook.arguments):
            hook.check(field, source)
        _check_arguments(hook.where, call.exit_hook.arguments, workflow.templates[call.exit_hook.template])


def _check_arguments(where: str, arguments: Arguments, callee: Template) -> None:
    for noun, given, declared in (
        ("parameter", list(arguments.parameters), [port.name for port in callee.parameters]),
        ("artifact", list(arguments.artifacts), [port.name for port in callee.artifacts]),
    ):
        unknown = next((name for name in given if name not in declared), None)
        if unknown is not None:
            known = ", ".join(declared) or "none"
            raise ManifestError(
                f"{where}: template '{callee.name}' has no input {noun} '{unknown}'"
                f"{nearest(unknown, declared)}; it has: {known}"
            )
    for parameter in callee.parameters:
        if parameter.name not in arguments.parameters and parameter.fallback is None:
            raise ManifestError(
                f"{where}: template '{callee.name}' requires the parameter '{parameter.name}'"
            )
    for artifact in callee.artifacts:
        if artifact.name in arguments.artifacts or artifact.raw is not None or artifact.optional:
            continue
        if artifact.fetched:
            raise ManifestError(
                f"{where}: artifact '{artifact.name}' of template '{callee.name}' would be fetched "
                f"({artifact.fetched}), which is not done here; pass it with `from` or `raw`"
            )
        raise ManifestError(f"{where}: template '{callee.name}' requires the artifact '{artifact.name}'")


def _check_entry(workflow: Workflow, resolved: Mapping[str, str]) -> None:
    callee = workflow.templates[workflow.entrypoint]
    _check_arguments("spec.entrypoint", _wanted(callee, workflow, resolved), callee)
    for artifact in workflow.artifacts.values():
        if artifact.raw is None:
            raise ManifestError(
                f"spec.arguments: artifact '{artifact.name}' needs raw content to be run here"
            )


def _check_exit(workflow: Workflow, known: frozenset[str], resolved: Mapping[str, str]) -> None:
    assert workflow.on_exit is not None
    callee = workflow.templates[workflow.on_exit.template]
    place = Place("the exit handler", known)
    for field, source in texts_of_arguments(workflow.on_exit.arguments):
        place.check(field, source)
    passed = workflow.on_exit.arguments
    wanted = _wanted(callee, workflow, resolved)
    merged = Arguments({**wanted.parameters, **passed.parameters}, {**wanted.artifacts, **passed.artifacts})
    _check_arguments("the exit handler", merged, callee)


def _wanted(callee: Template, workflow: Workflow, resolved: Mapping[str, str]) -> Arguments:
    """The workflow's own arguments that a template asks for by name."""
    names = {port.name for port in callee.parameters}
    artifacts = {port.name for port in callee.artifacts}
    return Arguments(
        {name: value for name, value in resolved.items() if name in names},
        {name: artifact for name, artifact in workflow.artifacts.items() if name in artifacts},
    )


def _reachable(workflow: Workflow, root: str) -> frozenset[str]:
    found: set[str] = set()
    queue = [root]
    while queue:
        name = queue.pop()
        if name not in found:
            found.add(name)
            queue.extend(call.template for call in workflow.templates[name].calls)
            queue.extend(call.exit_hook.template for call in workflow.templates[name].calls if call.exit_hook)
    return frozenset(found)
