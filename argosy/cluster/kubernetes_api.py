"""Submission through the Kubernetes API."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from argosy.cluster.api import PAGE, WORKFLOW, Kind, event_in, pages, phrase, said
from argosy.cluster.control import STOP, refuse_to_stop, resumed, retried
from argosy.cluster.failures import ConflictError, NotFoundError
from argosy.cluster.follow import event_trouble, pod_trouble
from argosy.cluster.http import ANYTHING, STREAM_SECONDS, Http, segment
from argosy.cluster.nodes import Node, nodes_of, read_archived

_UPDATES = 5
_SILENT = 24 * 3600.0
"""Seconds that a followed log may stay without a line."""


def _core(plural: str, namespace: str, name: str | None = None) -> str:
    path = f"/api/v1/namespaces/{segment(namespace)}/{plural}"
    return path if name is None else f"{path}/{segment(name)}"


class KubernetesApi:
    """Argo's objects, and Secrets, in the Kubernetes API; the methods are those of `Api`."""

    holds_code = True

    def __init__(self, http: Http) -> None:
        self._http = http
        self.where = http.where

    def create(self, kind: Kind, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Make an object."""
        doing = phrase("create", kind.name, manifest, namespace)
        return self._http.resource("POST", kind.kubernetes_path(segment(namespace)), doing, manifest)

    def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        """The object of that name."""
        path = f"{kind.kubernetes_path(segment(namespace))}/{segment(name)}"
        return self._http.resource("GET", path, phrase("read", kind.name, name, namespace))

    def replace(self, kind: Kind, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Put the manifest in the place of what is there."""
        path = f"{kind.kubernetes_path(segment(namespace))}/{segment(manifest['metadata']['name'])}"
        return self._http.resource("PUT", path, phrase("update", kind.name, manifest, namespace), manifest)

    def all_of(self, kind: Kind, namespace: str, labels: str = "") -> Iterator[dict[str, Any]]:
        """The objects of a kind."""
        path, doing = (
            kind.kubernetes_path(segment(namespace)),
            f"list {kind.name}s in namespace '{namespace}'",
        )

        def ask(more: str) -> dict[str, Any]:
            query = {"limit": str(PAGE), "labelSelector": labels, "continue": more}
            return self._http.call("GET", path, doing, query=said(query))

        return pages(ask)

    def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object."""
        path = f"{kind.kubernetes_path(segment(namespace))}/{segment(name)}"
        self._http.call("DELETE", path, phrase("delete", kind.name, name, namespace))

    def changes(self, namespace: str, workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The states of a workflow after the given one."""
        metadata = workflow["metadata"]
        query = {
            "watch": "true",
            "fieldSelector": f"metadata.name={metadata['name']}",
            "resourceVersion": str(metadata.get("resourceVersion", "")),
            "timeoutSeconds": str(STREAM_SECONDS),
        }
        path = WORKFLOW.kubernetes_path(segment(namespace))
        for line in self._http.lines(path, phrase("watch", "Workflow", workflow, namespace), query):
            event = event_in(line)
            if event.get("type") in ("ERROR", "DELETED"):
                return
            if event.get("type") in ("ADDED", "MODIFIED"):
                yield event["object"]

    def stop(self, namespace: str, name: str) -> dict[str, Any]:
        """Stop a workflow."""
        refuse_to_stop(self.get(WORKFLOW, namespace, name))
        path = f"{WORKFLOW.kubernetes_path(segment(namespace))}/{segment(name)}"
        return self._http.resource("PATCH", path, phrase("stop", "Workflow", name, namespace), STOP)

    def resume(self, namespace: str, name: str, step: str | None = None) -> dict[str, Any]:
        """Let a workflow go on at its approvals."""
        return self._changed(namespace, name, lambda workflow: resumed(workflow, step))

    def retry(self, namespace: str, name: str) -> dict[str, Any]:
        """Run what failed again; the pods of the failed nodes are deleted first."""

        def again(workflow: dict[str, Any]) -> dict[str, Any]:
            body, gone = retried(workflow)
            pods = [n.pod for n in nodes_of(workflow) if n.id in gone and n.kind == "Pod" and n.pod]
            for pod in pods:
                with suppress(NotFoundError):
                    doing = phrase("delete", "Pod", pod, namespace)
                    self._http.call("DELETE", _core("pods", namespace, pod), doing)
            return body

        return self._changed(namespace, name, again)

    def _changed(
        self, namespace: str, name: str, change: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> dict[str, Any]:
        """The workflow after a change, made anew where the controller wrote to it at the same time."""
        for left in reversed(range(_UPDATES)):
            body = change(self.get(WORKFLOW, namespace, name))
            try:
                return self.replace(WORKFLOW, namespace, body)
            except ConflictError:
                if not left:
                    raise
        raise AssertionError("unreachable")

    def log(self, namespace: str, workflow: str, node: Node, tail: int | None, follow: bool) -> Iterator[str]:
        """The lines of a node's log."""
        query = {"container": node.container, **({"follow": "true"} if follow else {})}
        query |= {} if tail is None else {"tailLines": str(tail)}
        path = _core("pods", namespace, node.pod) + "/log"
        doing = phrase("read the log of", "Pod", node.pod, namespace)
        for line in self._http.lines(path, doing, query, ANYTHING, _SILENT if follow else STREAM_SECONDS):
            yield line.decode("utf-8", "replace")

    def archived_log(self, namespace: str, workflow: dict[str, Any], node: Node) -> list[str]:
        """The lines of the log in the artifact repository, read with the rights of whoever asks."""
        return read_archived(workflow, node)

    def trouble(self, namespace: str, pod: str) -> str:
        """Why a pod does not start, by its own status, else by the last warning of its events."""
        try:
            found = self._http.call(
                "GET", _core("pods", namespace, pod), phrase("read", "Pod", pod, namespace)
            )
        except NotFoundError:
            return ""
        if found.get("status", {}).get("phase", "Pending") != "Pending":
            return ""
        if reason := pod_trouble(found):
            return reason
        query = {"fieldSelector": f"involvedObject.kind=Pod,involvedObject.name={pod}"}
        doing = phrase("read the events of", "Pod", pod, namespace)
        events = self._http.call("GET", _core("events", namespace), doing, query=query)
        return event_trouble(events.get("items") or ())

    def create_secret(self, namespace: str, secret: dict[str, Any]) -> dict[str, Any]:
        """Make a Secret."""
        doing = phrase("create", "Secret", secret, namespace)
        return self._http.resource("POST", _core("secrets", namespace), doing, secret)

    def get_secret(self, namespace: str, name: str) -> dict[str, Any]:
        """The Secret of that name."""
        doing = phrase("read", "Secret", name, namespace)
        return self._http.resource("GET", _core("secrets", namespace, name), doing)
