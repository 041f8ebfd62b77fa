"""What a manifest must be before it is written, run or sent: valid, and small enough for Kubernetes."""

from collections.abc import Mapping
from typing import Any

from argosy.errors import ManifestError
from argosy.merge import merged

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
    from argosy.lint import lint_manifest

    errors = [v for v in lint_manifest(_with_values(manifest), source=name) if v.is_error]
    if errors:
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise ManifestError(f"{name}: {first.path}: {first.code} {first.message}. {first.hint}{more}")


def _with_values(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest as it will be submitted: each parameter has a value by then."""
    spec = manifest.get("spec")
    arguments = spec.get("arguments") if isinstance(spec, Mapping) else None
    parameters = arguments.get("parameters") if isinstance(arguments, Mapping) else None
    if not isinstance(parameters, list):
        return dict(manifest)
    filled = [{"value": (p.get("enum") or [""])[0], **p} if isinstance(p, Mapping) else p for p in parameters]
    return merged(manifest, {"spec": {"arguments": {"parameters": filled}}})
