"""Submission through the Kubernetes API."""

from collections.abc import Iterator
from typing import Any

from argosy.submit.api import event_in, phrase
from argosy.submit.http import STREAM_SECONDS, Http, segment
from argosy.submit.kinds import WORKFLOW, Kind


class KubernetesApi:
    """Argo's objects, and Secrets, in the Kubernetes API; the methods are those of `Api`."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self.where = http.where

    def create(self, kind: Kind, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Make an object."""
        doing = phrase("create", kind.name, manifest, namespace)
        return self._http.call("POST", kind.kubernetes_path(segment(namespace)), doing, manifest)

    def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        """The object of that name."""
        path = f"{kind.kubernetes_path(segment(namespace))}/{segment(name)}"
        return self._http.call("GET", path, phrase("read", kind.name, name, namespace))

    def replace(self, kind: Kind, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Put the manifest in the place of what is there."""
        path = f"{kind.kubernetes_path(segment(namespace))}/{segment(manifest['metadata']['name'])}"
        return self._http.call("PUT", path, phrase("update", kind.name, manifest, namespace), manifest)

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

    def create_secret(self, namespace: str, secret: dict[str, Any]) -> dict[str, Any]:
        """Make a Secret."""
        doing = phrase("create", "Secret", secret, namespace)
        return self._http.call("POST", f"/api/v1/namespaces/{segment(namespace)}/secrets", doing, secret)

    def get_secret(self, namespace: str, name: str) -> dict[str, Any]:
        """The Secret of that name."""
        path = f"/api/v1/namespaces/{segment(namespace)}/secrets/{segment(name)}"
        return self._http.call("GET", path, phrase("read", "Secret", name, namespace))
