"""Submission through the REST API of Argo Server."""

import math
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from argosy.cluster.api import PAGE, WORKFLOW, Kind, event_in, pages, phrase, said
from argosy.cluster.control import refuse_to_stop, resumed
from argosy.cluster.failures import NotFoundError, TransientError
from argosy.cluster.follow import event_trouble
from argosy.cluster.http import EVENT_STREAM, STREAM_SECONDS, Http, segment
from argosy.cluster.nodes import LOG_ARTIFACT, Node
from argosy.errors import UsageError

_DATA = b"data:"
_SILENT = 24 * 3600.0
"""Seconds that a followed log may stay without a line."""
_EVENTS_COME = 1.0
"""Seconds in which the events that are there already come."""


class ArgoServerApi:
    """Argo's objects in Argo Server's API; the methods are those of `Api`."""

    holds_code = False

    def __init__(self, http: Http) -> None:
        self._http = http
        self.where = http.where

    def create(self, kind: Kind, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Make an object."""
        if kind.core:
            raise UsageError(
                f"the {kind.name} '{manifest['metadata']['name']}' with the steps' code cannot be made "
                "through Argo Server; submit through the Kubernetes API, or write both files with "
                "'argosy compile FILE.py -o DIR', apply the code with kubectl, and submit the Workflow's file"
            )
        body = {"namespace": namespace, kind.argo_key: manifest}
        doing = phrase("create", kind.name, manifest, namespace)
        return self._http.resource("POST", kind.argo_server_path(segment(namespace)), doing, body)

    def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        """The object of that name."""
        path = f"{kind.argo_server_path(segment(namespace))}/{segment(name)}"
        return self._http.resource("GET", path, phrase("read", kind.name, name, namespace))

    def replace(self, kind: Kind, namespace: str, manifest: dict[str, Any]) -> dict[str, Any]:
        """Put the manifest in the place of what is there."""
        name = manifest["metadata"]["name"]
        path = f"{kind.argo_server_path(segment(namespace))}/{segment(name)}"
        body = {"namespace": namespace, "name": name, kind.argo_key: manifest}
        return self._http.resource("PUT", path, phrase("update", kind.name, manifest, namespace), body)

    def all_of(self, kind: Kind, namespace: str, labels: str = "") -> Iterator[dict[str, Any]]:
        """The objects of a kind."""
        self._refuse_core(kind)
        path, doing = (
            kind.argo_server_path(segment(namespace)),
            f"list {kind.name}s in namespace '{namespace}'",
        )

        def ask(more: str) -> dict[str, Any]:
            query = said({"limit": str(PAGE), "labelSelector": labels, "continue": more})
            return self._http.call(
                "GET", path, doing, query={f"listOptions.{name}": value for name, value in query.items()}
            )

        return pages(ask)

    def delete(self, kind: Kind, namespace: str, name: str) -> None:
        """Delete an object."""
        self._refuse_core(kind)
        path = f"{kind.argo_server_path(segment(namespace))}/{segment(name)}"
        self._http.call("DELETE", path, phrase("delete", kind.name, name, namespace))

    def _refuse_core(self, kind: Kind) -> None:
        if kind.core:
            raise UsageError(
                f"Argo Server has no {kind.name}s; go through the Kubernetes API, without --server"
            )

    def changes(self, namespace: str, workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The states of a workflow after the given one."""
        metadata = workflow["metadata"]
        query = {
            "listOptions.fieldSelector": f"metadata.name={metadata['name']}",
            "listOptions.resourceVersion": str(metadata.get("resourceVersion", "")),
        }
        path = f"/api/v1/workflow-events/{segment(namespace)}"
        for event in self._events(path, phrase("watch", "Workflow", workflow, namespace), query):
            if event.get("type") in ("ERROR", "DELETED"):
                return
            if event.get("type") in ("ADDED", "MODIFIED"):
                yield event["object"]

    def stop(self, namespace: str, name: str) -> dict[str, Any]:
        """Stop a workflow."""
        refuse_to_stop(self.get(WORKFLOW, namespace, name))
        return self._do("stop", namespace, name, {})

    def resume(self, namespace: str, name: str, step: str | None = None) -> dict[str, Any]:
        """Let a workflow go on at its approvals."""
        resumed(self.get(WORKFLOW, namespace, name), step)  # the server is silent where nothing waits
        return self._do(
            "resume", namespace, name, {"nodeFieldSelector": f"displayName={step}"} if step else {}
        )

    def retry(self, namespace: str, name: str) -> dict[str, Any]:
        """Run what failed again."""
        return self._do("retry", namespace, name, {})

    def _do(self, verb: str, namespace: str, name: str, more: dict[str, Any]) -> dict[str, Any]:
        path = f"{WORKFLOW.argo_server_path(segment(namespace))}/{segment(name)}/{verb}"
        doing = phrase(verb, "Workflow", name, namespace)
        return self._http.resource("PUT", path, doing, {"namespace": namespace, "name": name, **more})

    def log(self, namespace: str, workflow: str, node: Node, tail: int | None, follow: bool) -> Iterator[str]:
        """The lines of a node's log; NotFoundError where there is none, as for a pod that is gone."""
        path = f"{WORKFLOW.argo_server_path(segment(namespace))}/{segment(workflow)}/log"
        query = {"podName": node.pod, "logOptions.container": node.container}
        query |= {"logOptions.follow": "true"} if follow else {}
        query |= {} if tail is None else {"logOptions.tailLines": str(tail)}
        doing = phrase("read the log of", "Pod", node.pod, namespace)
        seen = False
        for entry in self._events(path, doing, query, _SILENT if follow else STREAM_SECONDS):
            seen = True
            yield str(entry.get("content", "")).rstrip("\n")
        if not seen and node.log_artifact is not None:
            raise NotFoundError(f"cannot {doing}: it has none any more")

    def archived_log(self, namespace: str, workflow: dict[str, Any], node: Node) -> list[str]:
        """The lines of the log, which the server reads from the artifact repository."""
        name = str(workflow["metadata"]["name"])
        path = (
            f"/artifact-files/{segment(namespace)}/workflows/{segment(name)}/{segment(node.id)}"
            f"/outputs/{LOG_ARTIFACT}"
        )
        return self._http.text(
            path, phrase("read the archived log of", "Workflow", name, namespace)
        ).splitlines()

    def trouble(self, namespace: str, pod: str) -> str:
        """Why a pod does not start, by its events; the server shows nothing else of a pod."""
        path = f"/api/v1/stream/events/{segment(namespace)}"
        query = {"listOptions.fieldSelector": f"involvedObject.kind=Pod,involvedObject.name={pod}"}
        doing = phrase("read the events of", "Pod", pod, namespace)
        events: list[dict[str, Any]] = []
        with suppress(TransientError):  # the stream does not end by itself
            events += self._events(path, doing, query, _EVENTS_COME, _EVENTS_COME)
        return event_trouble(events)

    def _events(
        self,
        path: str,
        doing: str,
        query: dict[str, str],
        seconds: float = STREAM_SECONDS,
        total: float = math.inf,
    ) -> Iterator[dict[str, Any]]:
        """The results in a stream, until it ends or holds an error.

        The server writes `data: {...}` and an empty line for each, and empty lines as heartbeats, to whoever
        accepts an event stream; to anybody else, and behind some gateways, plain lines of JSON.

        Args:
            path, doing, query: of the request.
            seconds: how long the server may be silent.
            total: seconds after which no more is read.
        """
        end = time.monotonic() + total
        for line in self._http.lines(path, doing, query, EVENT_STREAM, seconds):
            content = line.removeprefix(_DATA).strip()
            if content.startswith(b"{"):  # else a heartbeat, or another field of an event
                event = event_in(content).get("result")
                if not isinstance(event, dict):
                    return
                yield event
            if time.monotonic() > end:
                return

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
