"""Submission through the REST API of Argo Server."""

from collections.abc import Iterator
from typing import Any

from argosy.errors import UsageError
from argosy.submit.api import event_in, phrase
from argosy.submit.http import Http, segment
from argosy.submit.kinds import Kind

_SSE = b"data:"


class ArgoServerApi:
    """Argo's objects in Argo Server's API; the methods are those of `Api`."""

    def __init__(self, http: Http) -> None:
        self._http = http
        self.where = http.where

    def create(self, kind: Kind, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Make an object."""
        body = {"namespace": namespace, kind.argo_key: manifest}
        doing = phrase("create", kind.name, manifest, namespace)
        return self._http.call("POST", kind.argo_server_path(segment(namespace)), doing, body)

    def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        """The object of that name."""
        path = f"{kind.argo_server_path(segment(namespace))}/{segment(name)}"
        return self._http.call("GET", path, phrase("read", kind.name, name, namespace))

    def replace(self, kind: Kind, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Put the manifest in the place of what is there."""
        name = manifest["metadata"]["name"]
        path = f"{kind.argo_server_path(segment(namespace))}/{segment(name)}"
        body = {"namespace": namespace, "name": name, kind.argo_key: manifest}
        return self._http.call("PUT", path, phrase("update", kind.name, manifest, namespace), body)

    def changes(self, namespace: str, workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The states of a workflow after the given one."""
        metadata = workflow["metadata"]
        query = {
            "listOptions.fieldSelector": f"metadata.name={metadata['name']}",
            "listOptions.resourceVersion": str(metadata.get("resourceVersion", "")),
        }
        path = f"/api/v1/workflow-events/{segment(namespace)}"
        for line in self._http.lines(path, phrase("watch", "Workflow", workflow, namespace), query):
            if not line.startswith(_SSE):
                continue
            event = event_in(line.removeprefix(_SSE)).get("result")
            if not event or event.get("type") == "DELETED":
                return
            yield event["object"]

    def create_secret(self, namespace: str, secret: dict[str, Any]) -> dict[str, Any]:
        """Refused: Argo Server has no Secrets."""
        name = secret["metadata"]["name"]
        raise UsageError(
            f"the Secret '{name}' of couler.create_secret cannot be made through Argo Server; "
            "submit through the Kubernetes API, or make the Secret beforehand"
        )

    def get_secret(self, namespace: str, name: str) -> dict[str, Any]:
        """Refused: Argo Server has no Secrets."""
        raise UsageError(f"the Secret '{name}' cannot be read through Argo Server")
