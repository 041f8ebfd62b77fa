"""What a controller writes into a workflow's status, and the pods that it makes."""

from typing import Any

from tests.cluster.server import Server


def node(shown: str, phase: str, kind: str = "Pod", parent: str = "greet", **more: Any) -> dict[str, Any]:
    """One node, which took 65 seconds."""
    started = {"startedAt": "2026-01-02T03:04:05Z", "finishedAt": "2026-01-02T03:05:10Z"}
    return {
        "displayName": shown,
        "name": shown,
        "phase": phase,
        "type": kind,
        "boundaryID": parent,
        **started,
        **more,
    }


def status(phase: str, **nodes: dict[str, Any]) -> dict[str, Any]:
    """The status of a workflow `greet` with these nodes by their ids."""
    root = node("greet", phase, "DAG", "")
    return {"phase": phase, "nodes": {"greet": root, **nodes}}


def pod(
    server: Server, name: str, phase: str, log: str | None = None, *, namespace: str = "team", **more: Any
) -> None:
    """A pod with the log of its main container."""
    body = {"kind": "Pod", "metadata": {"name": name}, "status": {"phase": phase, **more}}
    server.store.create("pods", namespace, body)
    if log is not None:
        server.store.logs[namespace, name, "main"] = log
