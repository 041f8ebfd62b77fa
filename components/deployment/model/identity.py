"""Which model it is: one checksum, however many files the model has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from argosy.components.deployment.model.layout import MODEL_FILE


def identity(checksums: Mapping[str, str]) -> str:
    """One checksum for a model: that of model.onnx, or of the list of all files where it has more.

    Args:
        checksums: file name -> SHA-256, hexadecimal; model.onnx and its data files.
    """
    if set(checksums) == {MODEL_FILE}:
        return checksums[MODEL_FILE]
    lines = "".join(f"{checksums[name]}  {name}\n" for name in sorted(checksums))
    return hashlib.sha256(lines.encode()).hexdigest()
