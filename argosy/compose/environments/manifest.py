"""The parts of a manifest of any kind."""

from collections.abc import Mapping
from typing import Any

Manifest = dict[str, Any]


def name_of(manifest: Mapping[str, Any]) -> str:
    """The name of the pipeline that a manifest was compiled from."""
    metadata = manifest.get("metadata") or {}
    return str(metadata.get("name") or str(metadata.get("generateName", "")).removesuffix("-"))


def spec_of(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """The workflow spec, also of a CronWorkflow."""
    spec: dict[str, Any] = manifest.get("spec") or {}
    inner: dict[str, Any] = spec.get("workflowSpec", spec)
    return inner


def with_spec(manifest: Manifest, spec: dict[str, Any]) -> Manifest:
    """The manifest with another workflow spec."""
    outer = manifest.get("spec") or {}
    return {**manifest, "spec": {**outer, "workflowSpec": spec} if "workflowSpec" in outer else spec}
