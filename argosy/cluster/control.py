"""A workflow of a cluster made to stop, go on or run again, as `argo` does it: by changing the object.

Argo Server does this by itself; through the Kubernetes API whoever asks must do it. The rules are those of
Argo's own client.
"""

import base64
import copy
import gzip
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from argosy.cluster.nodes import BAD, FINISHED, phase_of, raw_nodes
from argosy.errors import UsageError
from argosy.text import did_you_mean

_GROUPS = ("DAG", "Steps", "StepGroup", "TaskGroup")
_LABELS = "workflows.argoproj.io/"
STOP = {"spec": {"shutdown": "Stop"}}
"""The merge patch that stops a workflow; its exit handler still runs."""


def refuse_to_stop(workflow: Mapping[str, Any]) -> None:
    """Raises UsageError if there is nothing to stop."""
    if phase_of(workflow) in FINISHED:
        raise UsageError(f"Workflow '{_name(workflow)}' has ended: it {phase_of(workflow)}")


def resumed(workflow: Mapping[str, Any], step: str | None) -> dict[str, Any]:
    """The workflow with its approvals given, or that of one step.

    Raises:
        UsageError: it waits for none, or not for that one; or an approval wants a value.
    """
    body, nodes = _opened(workflow)
    waiting = {i: n for i, n in nodes.items() if n.get("type") == "Suspend" and n.get("phase") == "Running"}
    chosen = [i for i, n in waiting.items() if step in (None, n.get("displayName"), n.get("name"))]
    suspended = step is None and body["spec"].get("suspend")
    if not chosen and not suspended:
        names = [str(n.get("displayName")) for n in waiting.values()]
        found = f"; it waits at {', '.join(names)}" if names else ""
        raise UsageError(
            f"Workflow '{_name(body)}' does not wait"
            + (f" at '{step}'{did_you_mean(step, names)}{found}" if step else f": it is {phase_of(body)}")
        )
    if suspended:
        body["spec"]["suspend"] = None
    for i in chosen:
        nodes[i] |= {"phase": "Succeeded", "finishedAt": _now(), **_supplied(nodes[i])}
    return _closed(body, nodes)


def _supplied(node: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of an approval, with the defaults of what nobody supplied."""
    outputs = copy.deepcopy(node.get("outputs") or {})
    for parameter in outputs.get("parameters") or ():
        source = parameter.get("valueFrom") or {}
        if "supplied" in source and "value" not in parameter:
            if "default" not in source:
                raise UsageError(
                    f"'{node.get('displayName')}' wants a value for '{parameter['name']}', which has no "
                    "default; give it in Argo's UI, or with 'argo node set'"
                )
            parameter["value"] = source["default"]
    return {"outputs": outputs} if outputs else {}


def retried(workflow: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The workflow as it runs again, and the ids of the nodes that are made anew.

    Nodes that Succeeded or were Skipped are kept; the exit handler runs again.

    Raises:
        UsageError: it has not failed, or a node of it still runs.
    """
    if phase_of(workflow) not in BAD:
        raise UsageError(
            f"Workflow '{_name(workflow)}' is {phase_of(workflow)}; only a failed one is retried"
        )
    body, nodes = _opened(workflow)
    handler = f"{_name(body)}.onExit"
    kept: dict[str, Any] = {}
    for i, node in nodes.items():
        phase, at_exit = node.get("phase"), str(node.get("name", "")).startswith(handler)
        if phase in ("Pending", "Running"):
            raise UsageError(f"Workflow '{_name(body)}' cannot be retried: '{node.get('name')}' is {phase}")
        if at_exit:
            continue
        if phase in ("Succeeded", "Skipped"):
            kept[i] = node
        elif node.get("type") in _GROUPS:
            kept[i] = {k: v for k, v in node.items() if k not in ("message", "outboundNodes")}
            kept[i] |= {"phase": "Running", "startedAt": _now(), "finishedAt": None}
    for node in kept.values():
        for key in ("children", "outboundNodes"):
            if key in node:
                node[key] = [i for i in node[key] if i in kept]
    gone = [i for i in nodes if i not in kept]
    return _closed(_restarted(body, gone), kept), gone


def _restarted(body: dict[str, Any], gone: list[str]) -> dict[str, Any]:
    spec, status = body["spec"], body["status"]
    spec.pop("shutdown", None)
    if spec.get("activeDeadlineSeconds") == 0:
        del spec["activeDeadlineSeconds"]
    labels = body["metadata"].setdefault("labels", {})
    for label in ("completed", "workflow-archiving-status"):
        labels.pop(_LABELS + label, None)
    labels[_LABELS + "phase"] = "Running"
    status.pop("message", None)
    status |= {"phase": "Running", "startedAt": _now(), "finishedAt": None}
    done = [c for c in status.get("conditions") or () if c.get("type") != "Completed"]
    status["conditions"] = [*done, {"type": "Completed", "status": "False"}]
    for i in gone:
        status.get("taskResultsCompletionStatus", {}).pop(i, None)
    return body


def _opened(workflow: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A copy of the workflow, and its nodes."""
    body = copy.deepcopy(dict(workflow))
    status = body.setdefault("status", {})
    nodes = raw_nodes(status)
    if status.get("offloadNodeStatusVersion") or (status.get("compressedNodes") and not nodes):
        raise UsageError(
            f"the nodes of Workflow '{_name(body)}' are kept in the controller's database; "
            "go through Argo Server, with --server URL"
        )
    return body, nodes


def _closed(body: dict[str, Any], nodes: dict[str, Any]) -> dict[str, Any]:
    """The workflow with these nodes, packed if they were."""
    status = body["status"]
    if "compressedNodes" in status:
        packed = gzip.compress(json.dumps(nodes).encode(), mtime=0)
        status["compressedNodes"] = base64.b64encode(packed).decode()
    else:
        status["nodes"] = nodes
    return body


def _name(workflow: Mapping[str, Any]) -> str:
    return str(workflow.get("metadata", {}).get("name", ""))


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
