"""Checks of a manifest before it is written, run or sent: is it valid, and small enough for Kubernetes?"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from argosy.errors import ManifestError
from argosy.manifest.parts import parameters_of
from argosy.manifest.reading import from_object
from argosy.manifest.tree import Map

if TYPE_CHECKING:
    from argosy.lint import Violation
    from argosy.manifest.reading import Source

# What etcd takes in one request, and therefore Kubernetes as one object.
MAX_BYTES = 3 * 512 * 1024


def refuse_too_large(size: int, name: str) -> None:
    """Raises ManifestError if `size`, in bytes as JSON, is more than Kubernetes takes."""
    if size > MAX_BYTES:
        raise ManifestError(
            f"{name} has {size / 2**20:.2f} MiB, and Kubernetes takes 1.5 MiB at most; loop with couler.map "
            "in place of many like tasks, keep templates in a WorkflowTemplate and call them by templateRef, "
            "or split the workflow"
        )


def refuse_invalid(manifest: Mapping[str, Any], name: str) -> None:
    """Raises ManifestError with the linter's first error, if it finds any."""
    errors = _errors([from_object(dict(manifest), name)])
    if errors:
        raise ManifestError(f"{name}: {errors[0].path}: {_said(errors)}")


def refuse_invalid_files(files: Iterable[Path]) -> None:
    """The same for manifests as they are written, looked at together: the message has the line."""
    from argosy.lint.engine import load

    errors = _errors(load(list(files)))
    if errors:
        raise ManifestError(f"{errors[0].file}:{errors[0].line}: {_said(errors)}")


def _errors(sources: "list[Source]") -> "list[Violation]":
    """The linter's errors in manifests as they will be submitted."""
    from argosy.lint.engine import lint_sources

    for document in (d for source in sources for d in source.documents if d.is_argo):
        _give_values(document.root)
    return [v for v in lint_sources(sources) if v.is_error]


def _said(errors: "list[Violation]") -> str:
    first, more = errors[0], f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{first.code} {first.message}. {first.hint}{more}"


def _give_values(manifest: Map) -> None:
    """Give each of the workflow's parameters a value, as each has one by the time it is submitted."""
    for parameter in parameters_of(manifest):
        if isinstance(parameter, Map) and "value" not in parameter:
            value = (parameter.get("enum") or [""])[0]
            parameter.put("value", value, parameter.mark, parameter.mark)
