"""The offline linter of Argo manifests: what Argo's validator refuses, and what would fail later."""

from argosy.lint.engine import Options, lint_manifest, lint_paths
from argosy.lint.registry import Severity, Violation

__all__ = ["Options", "Severity", "Violation", "lint_manifest", "lint_paths"]
