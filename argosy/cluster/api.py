"""The server as submission needs it."""

import json
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from argosy.cluster.kinds import Kind
from argosy.cluster.nodes import Node


class Api(Protocol):
    """The objects of one server; each method makes one attempt and raises SubmitError in its forms.

    Attributes:
        where: the server, for messages.
        holds_code: whether it keeps the ConfigMaps that have the steps' code.
    """

    where: str
    holds_code: bool

    def create(self, kind: Kind, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Make an object; the answer is the object."""

    def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        """The object of that name."""

    def replace(self, kind: Kind, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Put the manifest, which has a name and a resourceVersion, in the place of what is there."""

    def all_of(self, kind: Kind, namespace: str, labels: str = "") -> Iterator[dict[str, Any]]:
        """The objects of a kind, with these labels as a selector of Kubernetes.

        They are read page by page, as they are asked for: workflows are large. Argo Server tells archived
        workflows, too, without their nodes.
        """

    def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object."""

    def changes(self, namespace: str, workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The states of a workflow after the given one, until the server ends the stream."""

    def stop(self, namespace: str, name: str) -> dict[str, Any]:
        """Stop a workflow, with its exit handler; the answer is the workflow."""

    def resume(self, namespace: str, name: str, step: str | None = None) -> dict[str, Any]:
        """Let a workflow go on at its approvals, or at one of them; the answer is the workflow."""

    def retry(self, namespace: str, name: str) -> dict[str, Any]:
        """Run what failed again; what Succeeded is kept. The answer is the workflow."""

    def log(self, namespace: str, workflow: str, node: Node, tail: int | None, follow: bool) -> Iterator[str]:
        """The lines of a node's log: the last `tail`, or all; with `follow`, until its container ends.

        Raises NotFoundError where the pod is gone.
        """

    def archived_log(self, namespace: str, workflow: dict[str, Any], node: Node) -> list[str]:
        """The lines of the log that was kept as an artifact; raises SubmitError where it cannot be read."""

    def trouble(self, namespace: str, pod: str) -> str:
        """Why a pod does not start, in one line; empty where nothing is wrong, or there is no pod yet."""

    def create_secret(self, namespace: str, secret: dict[str, Any]) -> dict[str, Any]:
        """Make a Secret."""

    def get_secret(self, namespace: str, name: str) -> dict[str, Any]:
        """The Secret of that name."""


PAGE = 100
"""Objects that a server is asked for at once; of workflows that is up to 100 MB."""


def pages(ask: Callable[[str], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The objects of a list that a server hands out in pages; `ask` is given where the next one begins."""
    more = ""
    while True:
        answer = ask(more)
        yield from answer.get("items") or ()
        more = (answer.get("metadata") or {}).get("continue") or ""
        if not more:
            return


def said(query: dict[str, str]) -> dict[str, str]:
    """A query without what it leaves open."""
    return {name: value for name, value in query.items() if value}


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
