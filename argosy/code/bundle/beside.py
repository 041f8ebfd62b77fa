"""The code of a manifest in a file: written beside it, and found there again."""

import base64
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from argosy.code.bundle.archive import DIGEST
from argosy.compose.loader import load_manifest
from argosy.errors import ManifestError
from argosy.manifest.code import FILE, VOLUME
from argosy.manifest.parts import templates_in

SUFFIX = ".code.yaml"


def of_code(config_map: Mapping[str, Any]) -> str:
    """A ConfigMap of code by its name and size, for messages."""
    size = len(base64.b64decode(config_map["binaryData"][FILE]))
    return f"the ConfigMap '{config_map['metadata']['name']}' ({size / 1024:.0f} KiB, the steps' code)"


def named_in(manifest: Mapping[str, Any]) -> str | None:
    """The ConfigMap of code that a manifest's steps mount, if they do."""
    for template in templates_in(manifest):
        for volume in template.get("volumes") or ():
            if isinstance(volume, Mapping) and volume.get("name") == VOLUME:
                return str((volume.get("configMap") or {}).get("name"))
    return None


def code_beside(path: Path, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """The ConfigMap that a compiled manifest names, from the files of code in its folder.

    None where the manifest names none, or it is in no file there: then it is in the cluster already.

    Raises:
        ManifestError: a file of code cannot be read.
    """
    name = named_in(manifest)
    if name is None:
        return None
    for file in sorted(path.resolve().parent.glob(f"*{SUFFIX}")):
        found = load_manifest(file)
        if (found.get("metadata") or {}).get("name") == name:
            if FILE not in (found.get("binaryData") or {}):
                raise ManifestError(f"{file}: the ConfigMap holds no {FILE}; compile again")
            return found
    return None


def holds_code(path: Path) -> bool:
    """Whether a file is one of code that was compiled, and nobody else's of that name."""
    if not path.is_file():
        return False
    try:
        found = load_manifest(path)
    except ManifestError:
        return False
    return found.get("kind") == "ConfigMap" and FILE in (found.get("binaryData") or {})


def same_code(text: str, other: str) -> bool:
    """Whether two files of code hold the same, whichever zlib made them."""
    digests = [re.findall(rf"^    {re.escape(DIGEST)}: (\S+)$", t, re.MULTILINE) for t in (text, other)]
    return digests[0] == digests[1] != []
