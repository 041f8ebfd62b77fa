"""Outputs of a node: read from a program's files, or taken from the tasks inside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from argosy.local.artifacts import keep
from argosy.local.errors import NodeError
from argosy.local.folders import folder_name
from argosy.local.job import Produced
from argosy.local.model import Output, Template
from argosy.local.place import Place
from argosy.local.scope import Scope


def collect(pod: Place, result: str | None, complete: bool) -> tuple[Produced, str]:
    """The outputs that a program left behind, and a message about the first that is missing, if any.

    Of a program that failed (not `complete`) whatever is there is taken.
    """
    parameters: dict[str, str] = {}
    artifacts: dict[str, Path] = {}
    missing: list[str] = []
    for output in pod.template.outputs:
        if output.path is None:
            value = _composed(output, pod.scope)
            parameters[output.name] = "" if value is None else value
            continue
        value = _content(output, _written(pod, output.path), pod.scope)
        if value is None:
            missing.append(
                f"output parameter '{output.name}' was not written: no file {output.path}"
                f"{_moved(pod, output.path)}"
            )
        else:
            parameters[output.name] = value
    store = pod.ctx.run_dir / "artifacts" / folder_name(pod.name)
    for artifact in pod.template.output_artifacts:
        produced = _written(pod, artifact.path or "")
        if produced.exists():
            # a volume as a whole stays where it is: other outputs may lie in it
            own = pod.paths.root if produced in pod.paths.volumes.values() else pod.folder
            name = folder_name(artifact.name)
            artifacts[artifact.name] = keep(
                produced, store / name / Path(artifact.path or "").name, name, own
            )
        elif not artifact.optional:
            missing.append(
                f"output artifact '{artifact.name}' was not written: no file or folder {artifact.path}"
                f"{_moved(pod, artifact.path or '')}"
            )
    return Produced(parameters, artifacts, result), missing[0] if complete and missing else ""


def _written(pod: Place, path: str) -> Path:
    """Where an output lies, after a program that saw its declared paths, or one that was given others."""
    if not path.startswith("/") or not pod.paths.shown:
        return pod.paths.place(path)
    place = pod.paths.found(pod.paths.inside(path)) if pod.paths.shows(path) else pod.paths.place(path)
    if place.is_dir():
        pod.paths.lead_outside(place)
    return place


def _moved(pod: Place, path: str) -> str:
    """A note on a path that lies elsewhere here, for a program that may have it built in; else nothing."""
    why = pod.paths.why_moved(path)
    return f" (a program that has the path built in does not find it here: {why})" if why else ""


def of_composite(template: Template, scope: Scope) -> Produced:
    """The outputs of a DAG or steps template, from its tasks. Raises NodeError for one that nobody made."""
    parameters: dict[str, str] = {}
    artifacts: dict[str, Path] = {}
    for output in template.outputs:
        value = _composed(output, scope)
        if value is None:
            raise NodeError(
                f"output parameter '{output.name}' has no value: {output.parameter} was not produced"
            )
        parameters[output.name] = value
    for artifact in template.output_artifacts:
        source = scope.artifact(artifact.source, artifact.expression)
        if source is not None:
            artifacts[artifact.name] = source
        elif not artifact.optional:
            raise NodeError(
                f"output artifact '{artifact.name}' does not exist: {artifact.source} was not produced"
            )
    return Produced(parameters, artifacts)


def supplied_outputs(template: Template, supplied: Mapping[str, str], scope: Scope) -> dict[str, str]:
    """The outputs of a suspend template. Raises NodeError for one that nobody supplied."""
    found: dict[str, str] = {}
    for output in template.outputs:
        value = supplied.get(output.name)
        if value is None and output.default is not None:
            value = scope.render(output.default)
        if value is None:
            raise NodeError(
                f"output '{output.name}' has no value: approve with --approve STEP:{output.name}=VALUE"
            )
        found[output.name] = value
    return found


def _composed(output: Output, scope: Scope) -> str | None:
    """An output that is no file: of a task, or of an expression; its default where that has no value."""
    if output.expression is not None and (found := _expressed(output, scope)) is not None:
        return found
    value = scope.optional(output.parameter) if output.parameter else None
    return scope.render(output.default) if value is None and output.default is not None else value


def _expressed(output: Output, scope: Scope) -> str | None:
    try:
        return scope.expressed(output.expression or "")
    except NodeError:
        if output.default is None:
            raise
        return None


def _content(output: Output, path: Path, scope: Scope) -> str | None:
    if not path.is_file():
        return None if output.default is None else scope.render(output.default)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise NodeError(f"output parameter '{output.name}' is not text in UTF-8: {error}") from error
