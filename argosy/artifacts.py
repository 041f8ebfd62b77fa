"""What travels as a file; see `argosy.step.artifacts`."""

from __future__ import annotations

from argosy.step.artifacts import Artifact, ArtifactKind, Directory, File, Stored

__all__ = ["Artifact", "ArtifactKind", "Directory", "File", "Stored"]
