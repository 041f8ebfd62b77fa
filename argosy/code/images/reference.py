"""Names of images, read as Docker and Kubernetes read them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from argosy.errors import UsageError

DOCKER_HUB = "docker.io"
_NAME = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|\w[\w.-]*)(?::(\d{1,5}))?", re.ASCII)
_PORTS = range(1, 1 << 16)
_PYTHON = re.compile(r"3\.\d{1,3}(\.\d{1,3})?", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def _is_host(text: str) -> bool:
    match = _HOST.fullmatch(text)
    return match is not None and (match[1] is None or int(match[1]) in _PORTS)


def refuse_name(name: str) -> None:
    """Raise UsageError for a name that no registry takes below a prefix."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"--name {name!r} is no name of an image: it has small letters and digits, and between them "
            "'-', '_', '.' and '/'; write --name train, and a tag with --tag"
        )


def refuse_version(python: str) -> None:
    """Raise UsageError for a text that is no version of Python 3."""
    if not _PYTHON.fullmatch(python):
        raise UsageError(f"{python!r} is no version of Python such as 3.11")


def refuse_tags(tags: Iterable[str]) -> None:
    """Raise UsageError for a tag that no registry takes."""
    wrong = next((tag for tag in tags if not _TAG.fullmatch(tag)), None)
    if wrong is not None:
        raise UsageError(
            f"--tag {wrong!r} is no tag of an image: it has letters, digits, '_', '.' and '-', at most 128, "
            "and begins with none of the last two; write --tag 1.0"
        )


@dataclass(frozen=True)
class Reference:
    """An image: its registry, its repository there, and a tag, a digest or both."""

    host: str
    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> "Reference":
        """The image of a name: `python:3.11` is `docker.io/library/python:3.11`.

        Raises:
            UsageError: it is not the name of an image.
        """
        name, at, digest = text.partition("@")
        path, colon, tag = name.rpartition(":")
        if not colon or "/" in tag:
            path, tag = name, ""
        host, slash, rest = path.partition("/")
        if not slash or not ("." in host or ":" in host or host == "localhost"):
            host, rest = DOCKER_HUB, path if slash else f"library/{path}"
        good = _NAME.fullmatch(rest) and (not colon or "/" in name.rpartition(":")[2] or _TAG.fullmatch(tag))
        if not good or not _is_host(host) or (at and not _DIGEST.fullmatch(digest)):
            raise UsageError(f"{text!r} is not the name of an image, such as registry.example/ml/train:1.0")
        return cls(host, rest, tag if tag or digest else "latest", digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}" + (f"@{self.digest}" if self.digest else "")

    @property
    def name(self) -> str:
        """The image without tag and digest."""
        return f"{self.host}/{self.repository}"

    @property
    def version(self) -> str:
        """The name by which the registry is asked: the digest, else the tag."""
        return self.digest or self.tag

    def at(self, digest: str) -> "Reference":
        """The same image by its digest alone."""
        return replace(self, tag="", digest=digest)
