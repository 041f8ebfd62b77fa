"""The zip: same code, same name, on whatever machine it is made."""

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argosy.code.project import printable
from argosy.errors import UsageError
from argosy.manifest.code import FILE

LABEL = "argosy.dev/code"
DIGEST = "argosy.dev/sha256"
LIVES_WITH = "argosy.dev/lives-with"
"""Of a ConfigMap: the collection of objects that keep it, where those of its namespace do not tell."""
_NAME = "argosy-code-"
_LETTERS = 20
MAX_BYTES = 1024 * 1024
"""Kubernetes' limit for what a ConfigMap holds."""
_READ_AT_MOST = 64 * 1024 * 1024
_SHOWN = 3
_OLDEST = (1980, 1, 1, 0, 0, 0)
_STAND_IN = '''"""Takes the place of a module that composes, in a container where only a step runs."""

from typing import Any

from argosy.step.absent import Absent


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return Absent(f"{__name__}.{name}")
'''
"""Takes the place of a module that composes, in a container where only a step runs."""


@dataclass(frozen=True)
class Bundle:
    """A zip of code.

    Attributes:
        digest: the SHA-256 of its names and contents, in hex; not of the zip, whose compression may differ
            from one version of zlib to the next.
        data: the zip.
    """

    digest: str
    data: bytes

    @property
    def name(self) -> str:
        """Of its ConfigMap."""
        return _NAME + self.digest[:_LETTERS]

    def config_map(self, namespace: str | None = None, lives_with: str | None = None) -> dict[str, Any]:
        """The ConfigMap that holds it; it never changes, because other code has another name."""
        place = {"namespace": namespace} if namespace else {}
        keeper = {LIVES_WITH: lives_with} if lives_with else {}
        return {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": self.name,
                **place,
                "labels": {"app.kubernetes.io/managed-by": "argosy", LABEL: "bundle"},
                "annotations": {DIGEST: self.digest, **keeper},
            },
            "immutable": True,
            "binaryData": {FILE: base64.b64encode(self.data).decode()},
        }


def pack(files: dict[str, Path], texts: dict[str, bytes], of: str) -> Bundle:
    """The bundle of some files and texts by their names in it; a name that ends with `/` is a folder.

    Raises:
        UsageError: it is larger than a ConfigMap may be, and the largest are named; or one is not readable.
    """
    contents = _read(files, of) | texts
    digest, buffer = hashlib.sha256(), io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in sorted(contents.items()):
            for part in (name.encode(), content):
                digest.update(len(part).to_bytes(8, "big") + part)
            entry = zipfile.ZipInfo(name, _OLDEST)
            entry.external_attr = (0o40755 if name.endswith("/") else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_STORED if name.endswith("/") else zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
        packed = {i.filename: i.compress_size for i in archive.infolist()}
    data = buffer.getvalue()
    if len(data) > MAX_BYTES:
        raise _too_large(len(data), packed, of)
    return Bundle(digest.hexdigest(), data)


def _read(files: dict[str, Path], of: str) -> dict[str, bytes]:
    try:
        sizes = {name: path.stat().st_size for name, path in files.items() if not name.endswith("/")}
        if sum(sizes.values()) > _READ_AT_MOST:
            raise _too_large(sum(sizes.values()), sizes, of)
        return {n: b"" if n.endswith("/") else p.read_bytes() for n, p in files.items()}
    except OSError as error:
        raise UsageError(f"{of}: cannot read '{printable(error.filename)}': {error.strerror}") from None


def _too_large(size: int, sizes: dict[str, int], of: str) -> UsageError:
    largest = sorted(sizes, key=lambda name: (-sizes[name], name))[:_SHOWN]
    shown = ", ".join(f"{printable(name)} {sizes[name] / 2**20:.1f} MiB" for name in largest)
    return UsageError(
        f"{of}: its code has {size / 2**20:.1f} MiB, and a ConfigMap takes 1 MiB; the largest: {shown}; "
        "move them out of the package, or put the code into an image: argosy build"
    )


def stand_ins(modules: Iterable[str]) -> dict[str, bytes]:
    """Stand-ins for modules that compose, by the names of the files."""
    text = _STAND_IN.encode()
    return {f"{name.replace('.', '/')}/__init__.py": text for name in sorted(modules)}
