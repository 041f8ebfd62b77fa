"""Checks of a manifest before it is sent anywhere."""

import json
from collections.abc import Mapping
from typing import Any

from argosy.cluster.api import kind_of
from argosy.errors import ManifestError
from argosy.lint.validity import refuse_invalid, refuse_too_large


def check_manifest(manifest: Mapping[str, Any]) -> None:
    """Refuse what no cluster would take.

    Raises:
        ManifestError: it is not one of Argo's kinds, has no name or spec, is too large, or is invalid.
    """
    kind = kind_of(manifest.get("kind"))
    metadata, spec = manifest.get("metadata"), manifest.get("spec")
    if not isinstance(spec, Mapping) or not spec:
        raise ManifestError(f"the {kind.name} has no 'spec'")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    if not (metadata.get("name") or (metadata.get("generateName") and not kind.updated)):
        wanted = "metadata.name" if kind.updated else "metadata.name or metadata.generateName"
        raise ManifestError(f"the {kind.name} has no {wanted}")
    refuse_too_large(len(encoded(manifest)), f"the {kind.name}")
    refuse_invalid(manifest, str(metadata.get("name") or metadata.get("generateName")))


def encoded(document: Mapping[str, Any]) -> bytes:
    """A document as it is sent.

    Raises:
        ManifestError: it holds what JSON has no form for.
    """
    try:
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_text)
    except (TypeError, ValueError) as error:
        raise ManifestError(f"the manifest has no JSON form: {error}") from None
    return text.encode()


def _text(value: Any) -> str:
    # YAML reads 2026-01-02 as a date; Kubernetes has texts there.
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    raise TypeError(f"a value of type {type(value).__name__}")
