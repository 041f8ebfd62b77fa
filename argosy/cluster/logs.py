"""Logs of a cluster's steps: from their pods, or archived where the pods are gone."""

import shlex
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from argosy.cluster.api import Api
from argosy.cluster.failures import NotFoundError, SubmitError
from argosy.cluster.follow import follow
from argosy.cluster.nodes import Node, failures_of, nodes_of, place_of
from argosy.errors import UsageError
from argosy.text import did_you_mean, visible

_TAIL = 15
_STEPS = 3
"""Failed steps whose last lines are shown; of the others the command."""

Emit = Callable[[str, str], object]
"""Takes a step's name and a line of its log."""


def read_log(
    api: Api, namespace: str, workflow: dict[str, Any], node: Node, tail: int | None = None
) -> tuple[list[str], str]:
    """The lines of a node's log, and where they are from: the last `tail` lines, or all.

    Raises:
        SubmitError: there is none any more, or it cannot be read.
    """
    name = str(workflow["metadata"]["name"])
    try:
        return list(api.log(namespace, name, node, tail, False)), f"pod {node.pod}"
    except NotFoundError:
        if node.log_artifact is None:
            raise SubmitError(f"pod {node.pod} is gone, and its log was not archived (archiveLogs)") from None
    lines = api.archived_log(namespace, workflow, node)
    return lines if tail is None else lines[-tail:], f"the archived log {place_of(workflow, node)}"


def report_failures(
    console: Console, api: Api, namespace: str, workflow: dict[str, Any], options: Iterable[str] = ()
) -> None:
    """Print the last lines of the steps that failed, and the commands that show the rest.

    Args:
        console: where to.
        api, namespace, workflow: of the failed workflow.
        options: of the command line, that lead to the same cluster.
    """
    place = f"{namespace}/{workflow['metadata']['name']}"
    for number, node in enumerate(failures_of(workflow)):
        command = shlex.join(["argosy", "logs", place, node.name, *options])
        if number >= _STEPS:
            console.print(Text(f"{node.name} {node.phase}, too: {command}"), soft_wrap=True)
            continue
        try:
            lines, source = read_log(api, namespace, workflow, node, _TAIL)
        except SubmitError as error:
            console.print(Text(f"{node.name}: no log: {error}"), soft_wrap=True)
            continue
        console.print(Text(f"{node.name}: the last lines of {source}", "bold"), soft_wrap=True)
        for line in lines or ["(nothing was written)"]:
            console.print(Text(f"  {visible(line.expandtabs())}"), soft_wrap=True)
        console.print(Text(f"all of it: {command}", "dim"), soft_wrap=True)


def chosen(workflow: Mapping[str, Any], step: str | None) -> list[Node]:
    """The nodes with a log: all, or those of a step with its attempts, items and inner steps."""
    nodes = nodes_of(workflow)
    if step is None:
        return [n for n in nodes if n.pod]
    inside: set[str] = set()
    for node in nodes:  # each after the one that it stands in
        if node.name == step or node.parent in inside:
            inside.add(node.id)
    return [n for n in nodes if n.id in inside and n.pod]


def print_logs(
    api: Api, namespace: str, workflow: dict[str, Any], step: str | None, tail: int | None, emit: Emit
) -> None:
    """Hand over the lines of the logs as they are now.

    Raises:
        UsageError: there is no such step, or it has no log.
        SubmitError: logs cannot be read; all others were handed over.
    """
    nodes = chosen(workflow, step)
    if not nodes:
        raise _no_log(workflow, step)
    started = [n for n in nodes if n.phase != "Pending"]
    if not started:
        raise UsageError(f"{nodes[0].name} is Pending and has no log yet; -f waits for it")
    lost: list[SubmitError] = []
    for node in started:
        try:
            lines, _ = read_log(api, namespace, workflow, node, tail)
        except SubmitError as error:
            lost.append(error)
            continue
        for line in lines:
            emit(node.name, line)
    if lost:
        more = f"; {len(lost) - 1} more logs cannot be read" if lost[1:] else ""
        raise SubmitError(f"{lost[0]}{more}")


def follow_logs(api: Api, namespace: str, name: str, step: str | None, tail: int | None, emit: Emit) -> None:
    """Hand over the lines of the logs as they are written, of steps that start later, too, until the end.

    Raises:
        UsageError: the workflow has ended without such a step.
        SubmitError: the workflow cannot be followed.
    """
    readers: dict[str, threading.Thread] = {}
    workflow: dict[str, Any] = {}
    for workflow in follow(api, namespace, name):
        for node in chosen(workflow, step):
            if node.id not in readers and node.phase != "Pending":
                words = (api, namespace, workflow, node, tail, emit)
                readers[node.id] = threading.Thread(target=_read_on, args=words, daemon=True)
                readers[node.id].start()
    for reader in readers.values():
        reader.join()
    if not readers:
        raise _no_log(workflow, step)


def _read_on(
    api: Api, namespace: str, workflow: dict[str, Any], node: Node, tail: int | None, emit: Emit
) -> None:
    try:
        try:
            for line in api.log(namespace, str(workflow["metadata"]["name"]), node, tail, True):
                emit(node.name, line)
        except NotFoundError:
            for line in read_log(api, namespace, workflow, node, tail)[0]:
                emit(node.name, line)
    except SubmitError as error:
        emit(node.name, f"(the log ends here: {error})")


def _no_log(workflow: Mapping[str, Any], step: str | None) -> UsageError:
    name = workflow["metadata"]["name"]
    nodes = nodes_of(workflow)
    names = list(dict.fromkeys(n.name for n in nodes))
    if step is None:
        return UsageError(f"Workflow '{name}' has no step with a log")
    if step not in names:
        return UsageError(f"Workflow '{name}' has no step '{step}'{did_you_mean(step, names)}")
    phases = {n.phase for n in nodes if n.name == step}
    return UsageError(f"'{step}' of Workflow '{name}' has no log: it is {', '.join(sorted(phases))}")
