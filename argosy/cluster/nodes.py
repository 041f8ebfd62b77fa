"""The nodes of a workflow in a cluster, from its status, and where their artifacts and archived logs are."""

import base64
import binascii
import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from argosy.cluster.failures import SubmitError

FINISHED = ("Succeeded", "Failed", "Error")
BAD = ("Failed", "Error")
LOG_ARTIFACT = "main-logs"
_POD_NAMES = "workflows.argoproj.io/pod-name-format"
_ARCHIVED = ("workflows.argoproj.io/workflow-archiving-status", "Persisted")
"""The label of what the archive hands out."""
_LONGEST_POD_PREFIX = 242  # Argo's: what Kubernetes allows, less the hash
_STORES = ("s3", "gcs", "oss", "azure", "hdfs", "artifactory")
_SCHEMES = {"gcs": "gs"}


@dataclass(frozen=True)
class Node:
    """One node: a pod, a DAG, an attempt, a skipped step.

    Attributes:
        id, parent: of this node and of the one that it stands in; a parent of "" is none.
        name: as in the manifest.
        phase: Argo's.
        message: the controller's.
        started, finished: seconds since 1970, or None.
        kind: Argo's type of node: Pod, Container, DAG, Steps, Retry, TaskGroup, Suspend, ...
        pod, container: where its log is; empty for a node without a log.
        log_artifact: where its log was archived, as Argo's artifact; None if it was not.
    """

    id: str
    parent: str
    name: str
    phase: str
    message: str = ""
    started: float | None = None
    finished: float | None = None
    kind: str = ""
    pod: str = ""
    container: str = ""
    log_artifact: Mapping[str, Any] | None = None


def phase_of(workflow: Mapping[str, Any]) -> str:
    """The workflow's phase; "Pending" until the controller has seen it."""
    return str((workflow.get("status") or {}).get("phase") or "Pending")


def lacks_nodes(workflow: Mapping[str, Any]) -> bool:
    """Whether its nodes are elsewhere: in the controller's database, or the archive, whose list has none."""
    found = workflow.get("status") or {}
    labels = (workflow.get("metadata") or {}).get("labels") or {}
    elsewhere = found.get("offloadNodeStatusVersion") or labels.get(_ARCHIVED[0]) == _ARCHIVED[1]
    return bool(elsewhere) and not raw_nodes(found)


def nodes_of(workflow: Mapping[str, Any]) -> list[Node]:
    """The nodes, each after the one that it stands in, otherwise in the order of their start.

    None where the controller keeps them in a database of its own.
    """
    raw = raw_nodes(workflow.get("status") or {})
    parents = _parents(raw)
    metadata = workflow.get("metadata", {})
    nodes = _with_containers({i: _node(i, parents.get(i, ""), c, metadata) for i, c in raw.items()})
    children: dict[str, list[Node]] = {}
    for node in nodes.values():
        children.setdefault(node.parent if node.parent in nodes else "", []).append(node)
    ordered: list[Node] = []
    pending = _by_start(children.get("", []))
    while pending:
        node = pending.pop()
        ordered.append(node)
        pending += _by_start(children.get(node.id, []))
    return ordered


def failures_of(workflow: Mapping[str, Any]) -> list[Node]:
    """The nodes with a log that made the workflow fail: of a step that was retried, the last attempt."""
    nodes = nodes_of(workflow)
    known = {n.id: n for n in nodes}
    bad = [n for n in nodes if n.pod and n.phase in BAD]
    last = {n.parent: n.id for n in bad if known.get(n.parent, n).kind == "Retry"}
    bad = [n for n in bad if n.parent not in last or last[n.parent] == n.id]
    return [n for n in bad if known.get(n.parent, n).kind != "Retry" or known[n.parent].phase in BAD]


def _with_containers(nodes: dict[str, Node]) -> dict[str, Node]:
    """The containers of a set have their logs in its pod, which has none of its own."""
    inside = {i: n for i, n in nodes.items() if n.kind == "Container" and n.parent in nodes}
    for i, node in inside.items():
        nodes[i] = replace(node, pod=nodes[node.parent].pod, container=node.name)
    for i in {n.parent for n in inside.values()}:
        nodes[i] = replace(nodes[i], pod="", container="")
    return nodes


def _by_start(nodes: list[Node]) -> list[Node]:
    return sorted(nodes, key=lambda n: (n.started or float("inf"), n.name), reverse=True)


def raw_nodes(status: Mapping[str, Any]) -> dict[str, Any]:
    """The nodes by their id as the controller wrote them, unpacked; empty where they cannot be read."""
    if packed := status.get("compressedNodes"):
        try:
            unpacked: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed)))
        except (binascii.Error, OSError, EOFError, ValueError):
            return {}
        return unpacked
    return status.get("nodes") or {}


def _parents(raw: Mapping[str, Any]) -> dict[str, str]:
    """The boundary of each node; an attempt, or an item of a loop, stands in the node of its step."""
    parents = {i: content.get("boundaryID", "") for i, content in raw.items()}
    for i, content in raw.items():
        if content.get("type") in ("Retry", "TaskGroup"):
            parents |= {
                child: i
                for child in content.get("children") or ()
                if _is_attempt(content, raw.get(child, {}))
            }
    return parents


def _is_attempt(group: Mapping[str, Any], child: Mapping[str, Any]) -> bool:
    return str(child.get("name", "")).startswith(str(group.get("name")) + "(")


def _node(node_id: str, parent: str, content: Mapping[str, Any], metadata: Mapping[str, Any]) -> Node:
    kind = str(content.get("type") or "")
    shown = str(content.get("displayName") or content.get("name") or metadata.get("name", ""))
    return Node(
        id=node_id,
        parent=parent,
        name=shown,
        phase=str(content.get("phase") or "Pending"),
        message=" ".join(str(content.get("message") or "").split()),
        started=_seconds(content.get("startedAt")),
        finished=_seconds(content.get("finishedAt")),
        kind=kind,
        pod=_pod(node_id, content, metadata) if kind == "Pod" else "",
        container="main" if kind == "Pod" else "",
        log_artifact=_log_artifact(content),
    )


def _pod(node_id: str, content: Mapping[str, Any], metadata: Mapping[str, Any]) -> str:
    """A pod's name: the workflow's, the template's, and the number at the end of the node's id."""
    workflow, name = str(metadata.get("name", "")), str(content.get("name", ""))
    if (metadata.get("annotations") or {}).get(_POD_NAMES) == "v1":
        return node_id
    if name == workflow:
        return workflow
    reference = content.get("templateRef") or {}
    template = reference.get("template") or content.get("templateName") or ""
    prefix = workflow if ".inline" in name else f"{workflow}-{template}"
    return f"{prefix[:_LONGEST_POD_PREFIX]}-{node_id.rpartition('-')[2]}"


def _log_artifact(content: Mapping[str, Any]) -> Mapping[str, Any] | None:
    artifacts = (content.get("outputs") or {}).get("artifacts") or ()
    return next((a for a in artifacts if a.get("name") == LOG_ARTIFACT), None)


def _seconds(text: Any) -> float | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(str(text).replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or timezone.utc).timestamp()


def place_of(workflow: Mapping[str, Any], node: Node) -> str:
    """Where a node's archived log is, as an address to read; empty if it was not archived."""
    return address_of(workflow, node.log_artifact or {})


def address_of(workflow: Mapping[str, Any], artifact: Mapping[str, Any]) -> str:
    """Where an artifact is, as an address to read; empty if that is not told."""
    kind, location = _location(workflow, artifact)
    if not kind:
        return ""
    root = location.get("bucket") or location.get("container") or ""
    key = location.get("key") or location.get("blob") or location.get("path") or location.get("url") or ""
    return f"{_SCHEMES.get(kind, kind)}://{root}/{key}" if root else str(key)


def read_archived(workflow: Mapping[str, Any], node: Node) -> list[str]:
    """The lines of an archived log, read from S3 with the caller's own credentials.

    Raises:
        SubmitError: it is not in S3, or cannot be read; the message says where it is.
    """
    kind, location = _location(workflow, node.log_artifact or {})
    place = place_of(workflow, node)
    elsewhere = f"the archived log is {place}; read it there, or through Argo Server with --server URL"
    if kind != "s3":
        raise SubmitError(elsewhere)
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise SubmitError(f"{elsewhere} (boto3 is not installed here)") from None
    try:
        client = boto3.client(
            "s3", region_name=location.get("region") or None, endpoint_url=_endpoint(location)
        )
        content = client.get_object(Bucket=location["bucket"], Key=location["key"])["Body"].read()
    except (BotoCoreError, ClientError) as error:
        raise SubmitError(f"{elsewhere} ({' '.join(str(error).split())})") from None
    return list(content.decode("utf-8", "replace").splitlines())


def _location(workflow: Mapping[str, Any], artifact: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The kind of store, and the artifact's place laid over what holds for the whole repository."""
    kind = next((k for k in _STORES if k in artifact), "")
    reference = (workflow.get("status") or {}).get("artifactRepositoryRef") or {}
    common = (reference.get("artifactRepository") or {}).get(kind) or {}
    return kind, {**common, **artifact[kind]} if kind else {}


def _endpoint(location: Mapping[str, Any]) -> str | None:
    endpoint = location.get("endpoint")
    if not endpoint or str(endpoint).endswith("amazonaws.com"):
        return None
    return f"{'http' if location.get('insecure') else 'https'}://{endpoint}"
