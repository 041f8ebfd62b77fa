"""A run that goes on, shown again: what its folder tells, handed to the view that `argosy run` has."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from argosy.errors import UsageError
from argosy.local.console import DETACH, HINT, ConsoleReporter, Keys, has_keys
from argosy.local.job import WorkflowResult
from argosy.local.node import Node, Phase
from argosy.local.runs.record import Record, runner_of

INTERVAL = 0.3


def watch(folder: Path) -> WorkflowResult | None:
    """Show a run to its end and return how it ended; None once the key `q` was pressed.

    On a terminal Ctrl-C stops the run, as it does in `argosy run`.

    Raises:
        UsageError: the run's runner died, or its folder cannot be read.
    """
    with _keys(folder) as wait:
        record = Record.read(folder)
        while record.state == "running" and record.problem:  # it has the folder and is about to begin
            wait()
            record = Record.read(folder)
        reporter = ConsoleReporter(hint=HINT if has_keys() else "")
        reporter.begin(str(record.whole().head["name"]), folder)
        try:
            return _to_the_end(record, reporter, wait)
        finally:
            reporter.end()


def _to_the_end(record: Record, reporter: ConsoleReporter, wait: Callable[[], bool]) -> WorkflowResult | None:
    shown: dict[str, Node] = {}
    while True:
        for node in record.nodes:
            if shown.get(node.name) != node:
                shown[node.name] = node
                reporter.on_node(node)
        if record.state != "running":
            break
        if wait():
            return None
        record = Record.read(record.folder).whole()
    if record.state == "interrupted":
        raise UsageError(died(record))
    result = result_of(record)
    reporter.on_finish(result)
    return result


def died(record: Record) -> str:
    """The line about a run whose runner is no more."""
    return f"the runner of {record.run} died; go on with: {record.again}"


def result_of(record: Record) -> WorkflowResult:
    """How a run that is over ended, as its runner said it."""
    head = record.head
    return WorkflowResult(
        str(head["name"]),
        str(head["uid"]),
        Phase(head["phase"]),
        str(head.get("message", "")),
        record.started_at,
        str(head.get("finishedAt", "")),
        parameters=dict(head["parameters"]),
        nodes=record.nodes,
        run_dir=record.folder,
        outputs=record.outputs,
    )


def _pause() -> bool:
    time.sleep(INTERVAL)
    return False


@contextmanager
def _keys(folder: Path) -> Iterator[Callable[[], bool]]:
    """While inside: what waits a moment, and tells whether the run is to be left."""
    if not has_keys():
        yield _pause
        return

    def stop(*_: object) -> None:
        if (runner := runner_of(folder)) is not None:
            os.kill(runner, signal.SIGINT)

    keys, before = Keys(), signal.signal(signal.SIGINT, stop)
    keys.start()
    try:
        yield lambda: DETACH in keys.pressed(INTERVAL)
    finally:
        keys.stop()
        signal.signal(signal.SIGINT, before)
