"""From arguments to a template's inputs."""

from __future__ import annotations

from pathlib import Path

from argosy.local.artifacts import from_text
from argosy.local.errors import NodeError
from argosy.local.job import Inputs
from argosy.local.model import Arguments, ArtifactArgument, Template
from argosy.local.scope import Scope

_NOTHING = Inputs()


def bind(
    template: Template,
    arguments: Arguments,
    scope: Scope,
    outer: Scope,
    run_dir: Path,
    known: Inputs = _NOTHING,
) -> Inputs:
    """The inputs of a template: arguments read in the caller's scope, defaults in the workflow's (`outer`).

    `known` are values, not text with tags, for what no argument is passed for. An argument that is one
    output of a task that did not run counts as not given. Raises NodeError for an input that has neither
    argument nor default.
    """
    parameters = dict(known.parameters)
    artifacts = dict(known.artifacts)
    for declared in (port for port in template.parameters if port.name not in known.parameters):
        given = arguments.parameters.get(declared.name)
        value = None if given is None else scope.optional(given)
        if value is None and declared.fallback is not None:
            value = outer.render(declared.fallback)
        if value is None:
            why = f"{given} was not produced" if given else "nothing was passed"
            raise NodeError(
                f"input parameter '{declared.name}' of template '{template.name}' has no value: {why}"
            )
        parameters[declared.name] = value
    for artifact in (port for port in template.artifacts if port.name not in known.artifacts):
        passed = arguments.artifacts.get(artifact.name)
        source: Path | None = None
        if passed is not None:
            source = _passed(passed, scope, run_dir)
            source = source / scope.render(passed.sub_path) if source and passed.sub_path else source
        elif artifact.raw is not None:
            source = from_text(outer.render(artifact.raw), run_dir)
        if source is not None and source.exists():
            artifacts[artifact.name] = source
        elif not (artifact.optional or (passed and passed.optional) or (artifact.fetched and not passed)):
            raise NodeError(f"input artifact '{artifact.name}' of template '{template.name}' does not exist")
    return Inputs(parameters, artifacts)


def _passed(passed: ArtifactArgument, scope: Scope, run_dir: Path) -> Path | None:
    if passed.raw is not None:
        return from_text(scope.render(passed.raw), run_dir)
    if passed.source or passed.expression:
        return scope.artifact(passed.source, passed.expression)
    return None
