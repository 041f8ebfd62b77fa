"""The server as submission needs it, and the kinds of objects that it keeps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from argosy.cluster.nodes import Node
from argosy.errors import ManifestError


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


API_VERSION = "argoproj.io/v1alpha1"
GROUP_PATH = f"/apis/{API_VERSION}"


@dataclass(frozen=True)
class Kind:
    """One kind.

    Attributes:
        name: as in a manifest.
        plural: its collection in the Kubernetes API.
        argo_path, argo_key: its collection in Argo Server's API, and the key of an object in a request.
        updated: whether submitting it again replaces it; else each submission makes a new one.
        namespaced: whether it lives in a namespace.
        core: whether it is of Kubernetes itself; Argo Server has none of these.
    """

    name: str
    plural: str
    argo_path: str
    argo_key: str
    updated: bool = True
    namespaced: bool = True
    core: bool = False

    def kubernetes_path(self, namespace: str) -> str:
        """The collection in the Kubernetes API."""
        if self.core:
            return f"/api/v1/namespaces/{namespace}/{self.plural}"
        return f"{GROUP_PATH}/namespaces/{namespace}/{self.plural}" if self.namespaced else self.cluster_path

    @property
    def cluster_path(self) -> str:
        return f"{GROUP_PATH}/{self.plural}"

    def argo_server_path(self, namespace: str) -> str:
        """The collection in Argo Server's API."""
        return f"/api/v1/{self.argo_path}/{namespace}" if self.namespaced else f"/api/v1/{self.argo_path}"


_ALL = (
    Kind("Workflow", "workflows", "workflows", "workflow", updated=False),
    Kind("WorkflowTemplate", "workflowtemplates", "workflow-templates", "template"),
    Kind("CronWorkflow", "cronworkflows", "cron-workflows", "cronWorkflow"),
    Kind(
        "ClusterWorkflowTemplate",
        "clusterworkflowtemplates",
        "cluster-workflow-templates",
        "template",
        namespaced=False,
    ),
)
KINDS = {kind.name: kind for kind in _ALL}
WORKFLOW = KINDS["Workflow"]
CONFIG_MAP = Kind("ConfigMap", "configmaps", "", "", core=True)


def kind_of(name: object) -> Kind:
    """The kind of that name; raises ManifestError for one that is not Argo's."""
    kind = KINDS.get(str(name))
    if kind is None:
        raise ManifestError(f"a manifest of kind '{name}' cannot be submitted; only {', '.join(KINDS)}")
    return kind


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
