"""A workflow in a cluster, followed to its end, with the reason where a step does not start."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from argosy.cluster.api import WORKFLOW, Api
from argosy.cluster.failures import ForbiddenError, NotFoundError, Patience, SubmitError, TransientError
from argosy.cluster.nodes import FINISHED, Node, nodes_of, phase_of, raw_nodes

FOLLOWING = Patience(attempts=12, first=0.5, longest=30.0)
_QUIET = 1.0
"""Seconds between one stream and the next, and between looks where the server allows no stream."""
_LOOK = 2.0
"""Seconds between two looks at pods that do not start."""
_ORDINARY = ("", "ContainerCreating", "PodInitializing")
"""What the kubelet says of a container that starts as it should."""


def follow(
    api: Api,
    namespace: str,
    name: str,
    patience: Patience | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[dict[str, Any]]:
    """The states of a workflow, the last one finished; a lost connection is taken up again.

    Raises:
        SubmitError: the workflow was deleted, or the server stays away.
    """
    patience = patience or FOLLOWING
    failures = 0
    while True:
        try:
            for workflow in _states(api, namespace, name):
                failures = 0
                yield workflow
                if phase_of(workflow) in FINISHED:
                    return
        except NotFoundError:
            raise SubmitError(f"Workflow '{name}' was deleted from namespace '{namespace}'") from None
        except TransientError:
            failures += 1
            if failures >= patience.attempts:
                raise
        sleep(patience.pause(failures) if failures else _QUIET)


def _states(api: Api, namespace: str, name: str) -> Iterator[dict[str, Any]]:
    workflow = api.get(WORKFLOW, namespace, name)
    yield workflow
    try:
        yield from api.changes(namespace, workflow)
    except ForbiddenError:
        return  # to read is allowed, to watch is not: the next look comes soon


def pod_trouble(pod: Mapping[str, Any]) -> str:
    """The trouble in a pod's own status; empty where there is none, or it only starts."""
    status = pod.get("status") or {}
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    for container in containers:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason", "") not in _ORDINARY:
            return _line(waiting)
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return _line(condition)
    return ""


def event_trouble(events: Iterable[Mapping[str, Any]]) -> str:
    """The last warning among a pod's events; empty where there is none."""
    warnings = [e for e in events if e.get("type") == "Warning"]
    return _line(max(warnings, key=_moment)) if warnings else ""


def _moment(event: Mapping[str, Any]) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp") or "")


def _line(says: Mapping[str, Any]) -> str:
    reason, message = str(says.get("reason") or ""), " ".join(str(says.get("message") or "").split())
    return f"{reason}: {message}" if message else reason


def explained(
    api: Api, namespace: str, states: Iterable[dict[str, Any]], look: float | None = None
) -> Iterator[dict[str, Any]]:
    """The states of a workflow as they come, and again with the reason where a pod does not start.

    A workflow that waits for its pods does not change, so the reasons are looked for at intervals.

    Args:
        api, namespace: where its pods are.
        states: as they come.
        look: seconds between two looks.
    """
    reasons = _Reasons(api, namespace)
    last: dict[str, Any] | None = None
    looked = time.monotonic()
    interval = _LOOK if look is None else look
    for state in _with_ticks(states, interval):
        changed = state is not None
        last = state or last
        if last is not None and time.monotonic() - looked >= interval:
            looked = time.monotonic()
            changed |= reasons.look(last)
        if changed and last is not None:
            yield reasons.put_into(last)


def with_reasons(api: Api, namespace: str, workflow: dict[str, Any]) -> dict[str, Any]:
    """The workflow, with the reason where a pod does not start, as it is now."""
    reasons = _Reasons(api, namespace)
    reasons.look(workflow)
    return reasons.put_into(workflow)


class _Reasons:
    def __init__(self, api: Api, namespace: str) -> None:
        self._api, self._namespace = api, namespace
        self._known: dict[str, str] = {}
        self._allowed = True

    def look(self, workflow: Mapping[str, Any]) -> bool:
        """Ask for the pods that wait; whether anything is new."""
        before = dict(self._known)
        self._known = {n.id: self._reason(n) for n in nodes_of(workflow) if _is_unexplained(n)}
        return self._known != before

    def _reason(self, node: Node) -> str:
        if not self._allowed:
            return self._known.get(node.id, "")
        try:
            return self._api.trouble(self._namespace, node.pod)
        except ForbiddenError as error:
            self._allowed = False
            return f"no reason is known: {error}"
        except SubmitError:
            return self._known.get(node.id, "")  # the next look may tell

    def put_into(self, workflow: dict[str, Any]) -> dict[str, Any]:
        """The workflow with the reasons as messages of its nodes."""
        status = workflow.get("status") or {}
        found = {n.id: self._known.get(n.id) for n in nodes_of(workflow) if _is_unexplained(n)}
        told = {i: reason for i, reason in found.items() if reason}
        if not told:
            return workflow
        nodes = {i: {**n, "message": told.get(i, n.get("message"))} for i, n in raw_nodes(status).items()}
        rest = {k: v for k, v in status.items() if k != "compressedNodes"}
        return {**workflow, "status": {**rest, "nodes": nodes}}


def _is_unexplained(node: Node) -> bool:
    return node.kind == "Pod" and bool(node.pod) and node.phase == "Pending" and node.message in _ORDINARY


def _with_ticks(states: Iterable[dict[str, Any]], seconds: float) -> Iterator[dict[str, Any] | None]:
    """The states, read in a thread of its own; None where none came for so long. It may be left early."""
    arrived: queue.Queue[Callable[[], dict[str, Any]] | None] = queue.Queue()

    def read() -> None:
        try:
            for state in states:
                arrived.put(lambda state=state: state)  # type: ignore[misc]
        except BaseException as error:
            arrived.put(lambda error=error: _raise(error))  # type: ignore[misc]
        arrived.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            item = arrived.get(timeout=seconds)
        except queue.Empty:
            yield None
            continue
        if item is None:
            return
        yield item()


def _raise(error: BaseException) -> dict[str, Any]:
    raise error
