"""What submission needs of a server."""

import json
from collections.abc import Iterator
from typing import Any, Protocol

from argosy.submit.kinds import Kind


class Api(Protocol):
    """The objects of one server; each method makes one attempt and raises SubmitError in its forms."""

    where: str

    def create(self, kind: Kind, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Make an object; the answer is the object."""

    def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        """The object of that name."""

    def replace(self, kind: Kind, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Put the manifest, which has a name and a resourceVersion, in the place of what is there."""

    def changes(self, namespace: str, workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The states of a workflow after the given one, until the server ends the stream."""

    def create_secret(self, namespace: str, secret: dict[str, Any]) -> dict[str, Any]:
        """Make a Secret."""

    def get_secret(self, namespace: str, name: str) -> dict[str, Any]:
        """The Secret of that name."""


def event_in(line: bytes) -> dict[str, Any]:
    """The event that a line of a stream holds; an empty one if it holds none."""
    try:
        event = json.loads(line)
    except ValueError:
        return {}
    return event if isinstance(event, dict) else {}


def phrase(verb: str, kind: str, manifest: dict[str, Any] | str, namespace: str) -> str:
    """`create Workflow 'x' in namespace 'y'`, for messages."""
    name = manifest if isinstance(manifest, str) else manifest.get("metadata", {}).get("name", "")
    return f"{verb} {kind} '{name}'" + (f" in namespace '{namespace}'" if namespace else "")
