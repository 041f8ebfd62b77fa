"""The objects of a cluster, with the API server's rules for them."""

import copy
import itertools
import queue
import threading
import time
from dataclasses import dataclass, field
from typing import Any

GROUP = "argoproj.io"
PLURALS = {
    "workflows": "Workflow",
    "workflowtemplates": "WorkflowTemplate",
    "cronworkflows": "CronWorkflow",
    "clusterworkflowtemplates": "ClusterWorkflowTemplate",
    "secrets": "Secret",
    "configmaps": "ConfigMap",
    "pods": "Pod",
    "events": "Event",
}
CORE = ("secrets", "configmaps", "pods", "events")
Object = dict[str, Any]


class Refused(Exception):
    """An answer that is no object."""

    def __init__(self, status: int, reason: str, message: str, **details: str) -> None:
        super().__init__(message)
        self.status, self.reason, self.message, self.details = status, reason, message, details


def _group(plural: str) -> str:
    return plural if plural in CORE else f"{plural}.{GROUP}"


@dataclass
class Store:
    """Objects by collection, namespace and name; and who wants to hear of them."""

    namespaces: set[str] = field(default_factory=lambda: {"default", "team"})
    objects: dict[tuple[str, str, str], Object] = field(default_factory=dict)
    logs: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """By namespace, pod and container."""
    archived: dict[tuple[str, str, str], str] = field(default_factory=dict)
    """By namespace, workflow and node."""
    archive: dict[tuple[str, str], Object] = field(default_factory=dict)
    """Workflows that Argo Server's archive holds, by namespace and name."""
    watchers: list["queue.Queue[tuple[str, Object] | None]"] = field(default_factory=list)
    _versions: "itertools.count[int]" = field(default_factory=lambda: itertools.count(100))
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def create(self, plural: str, namespace: str, body: Object) -> Object:
        """As POST on a collection."""
        body = copy.deepcopy(body)
        metadata = body.setdefault("metadata", {})
        self._check(plural, namespace, body)
        if not metadata.get("name"):
            metadata["name"] = f"{metadata['generateName']}{next(self._versions)}"
        name = metadata["name"]
        with self._lock:
            if (plural, namespace, name) in self.objects:
                message = f'{_group(plural)} "{name}" already exists'
                raise Refused(409, "AlreadyExists", message, name=name, kind=plural)
            metadata["uid"] = f"uid-{next(self._versions)}"
            metadata["creationTimestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            return self._put(plural, namespace, body, "ADDED")

    def get(self, plural: str, namespace: str, name: str) -> Object:
        """As GET of an object."""
        try:
            return copy.deepcopy(self.objects[plural, namespace, name])
        except KeyError:
            message = f'{_group(plural)} "{name}" not found'
            raise Refused(404, "NotFound", message, name=name, kind=plural) from None

    def replace(self, plural: str, namespace: str, name: str, body: Object) -> Object:
        """As PUT: of the version that is there, or not at all."""
        body = copy.deepcopy(body)
        self._check(plural, namespace, body)
        with self._lock:
            known = self.get(plural, namespace, name)
            version = body["metadata"].get("resourceVersion")
            if not version:
                message = (
                    f'{PLURALS[plural]} "{name}" is invalid: metadata.resourceVersion: must be specified'
                )
                raise Refused(422, "Invalid", message)
            if version != known["metadata"]["resourceVersion"]:
                message = f'Operation cannot be fulfilled on {_group(plural)} "{name}": modified'
                raise Refused(409, "Conflict", message, name=name)
            body["metadata"]["uid"] = known["metadata"]["uid"]
            return self._put(plural, namespace, body, "MODIFIED")

    def merge(self, plural: str, namespace: str, name: str, patch: Object) -> Object:
        """As PATCH with a merge patch."""
        with self._lock:
            return self._put(plural, namespace, _merged(self.get(plural, namespace, name), patch), "MODIFIED")

    def list(self, plural: str, namespace: str, selector: str = "", labels: str = "") -> Object:
        """As GET on a collection: of a field selector `involvedObject.*`, and labels that must be there."""
        found = [o for (p, n, _), o in self.objects.items() if (p, n) == (plural, namespace)]
        for term in filter(None, selector.split(",")):
            key, _, value = term.removeprefix("involvedObject.").partition("=")
            found = [o for o in found if o.get("involvedObject", {}).get(key) == value]
        for term in filter(None, labels.split(",")):
            key, _, value = term.partition("=")
            found = [o for o in found if o["metadata"].get("labels", {}).get(key) == value]
        return {"kind": f"{PLURALS[plural]}List", "metadata": {}, "items": copy.deepcopy(found)}

    def list_with_archive(self, namespace: str, labels: str) -> Object:
        """As GET of workflows at Argo Server since 3.5: live ones, then archived ones with little of each."""
        found: Object = self.list("workflows", namespace, labels=labels)
        for (place, _), body in self.archive.items():
            if place == namespace and not labels:
                kept = ("name", "namespace", "uid", "labels", "creationTimestamp")
                metadata = {key: value for key, value in body["metadata"].items() if key in kept}
                status = {
                    k: v for k, v in body["status"].items() if k in ("phase", "startedAt", "finishedAt")
                }
                found["items"].append(
                    {"kind": "Workflow", "metadata": metadata, "spec": {}, "status": status}
                )
        return found

    def archived_workflow(self, namespace: str, name: str) -> Object:
        """As GET of a workflow at Argo Server: a live one, else the archived one."""
        if ("workflows", namespace, name) in self.objects or (namespace, name) not in self.archive:
            return self.get("workflows", namespace, name)
        return copy.deepcopy(self.archive[namespace, name])

    def set_status(self, namespace: str, name: str, status: Object) -> None:
        """What a controller would do to a workflow."""
        with self._lock:
            workflow = self.get("workflows", namespace, name)
            self._put("workflows", namespace, {**workflow, "status": status}, "MODIFIED")

    def delete(self, plural: str, namespace: str, name: str) -> Object:
        """As DELETE of an object."""
        with self._lock:
            gone = self.get(plural, namespace, name)
            del self.objects[plural, namespace, name]
            self._tell("DELETED", gone)
        return {"kind": "Status", "status": "Success"}

    def control(self, verb: str, namespace: str, name: str, body: Object) -> Object:
        """As PUT of stop, resume or retry at Argo Server."""
        workflow = self.get("workflows", namespace, name)
        status = workflow.setdefault("status", {})
        nodes = status.get("nodes", {})
        if verb == "stop":
            return self.merge("workflows", namespace, name, {"spec": {"shutdown": "Stop"}})
        if verb == "resume":
            only = body.get("nodeFieldSelector", "").removeprefix("displayName=")
            for node in nodes.values():
                if node["type"] == "Suspend" and only in ("", node["displayName"]):
                    node["phase"] = "Succeeded"
        else:
            if status["phase"] not in ("Failed", "Error"):
                raise Refused(400, "BadRequest", "workflow must be Failed/Error to retry")
            status["phase"] = "Running"
            status["nodes"] = {i: n for i, n in nodes.items() if n["phase"] == "Succeeded"}
        with self._lock:
            return self._put("workflows", namespace, workflow, "MODIFIED")

    def _put(self, plural: str, namespace: str, body: Object, event: str) -> Object:
        body["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[plural, namespace, body["metadata"]["name"]] = body
        self._tell(event, body)
        return copy.deepcopy(body)

    def _tell(self, event: str, body: Object) -> None:
        if body.get("kind") not in ("Workflow", "Event"):
            return
        for watcher in self.watchers:
            watcher.put((event, copy.deepcopy(body)))

    def _check(self, plural: str, namespace: str, body: Object) -> None:
        if namespace and namespace not in self.namespaces:
            message = f'namespaces "{namespace}" not found'
            raise Refused(404, "NotFound", message, name=namespace, kind="namespaces")
        if body.get("kind") != PLURALS[plural]:
            raise Refused(400, "BadRequest", f"{body.get('kind')} does not match {PLURALS[plural]}")
        if body["metadata"].get("namespace", namespace) != namespace:
            raise Refused(400, "BadRequest", "the namespace of the object does not match the request")
        if body["metadata"].get("labels", {}).get("policy") == "broken":
            message = 'admission webhook "policy.example" denied the request: images must come from here'
            raise Refused(422, "Invalid", message)


def _merged(known: Object, patch: Object) -> Object:
    merged = {**known}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merged(merged.get(key) or {}, value) if isinstance(value, dict) else value
    return merged
