"""The work of a run and its end: plan and result of the workflow, job and outcome of a template."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from argosy.local.model import Template, Workflow
from argosy.local.node import Node, Phase, Values, failed

WOULD_RUN = "it would run"
"""Message of a step that a dry run did not find."""

WOULD_ASK = "it would wait for approval"
"""Message of a suspended step in a dry run."""


@dataclass(frozen=True)
class Plan:
    """A manifest fit to run, its parameters resolved; `name`, `uid`, `run_dir` are known once it runs."""

    workflow: Workflow
    parameters: Mapping[str, str]
    given: frozenset[str] = frozenset()
    """Parameters that the caller gave: their values are never read as text with tags."""
    name: str = ""
    uid: str = ""
    run_dir: Path | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the entrypoint's own tasks, in the manifest's order."""
        return tuple(call.name for call in self.workflow.templates[self.workflow.entrypoint].calls)


@dataclass(frozen=True)
class WorkflowResult:
    """How a run ended: one JSON document."""

    name: str
    uid: str
    phase: Phase
    message: str
    started_at: str
    finished_at: str
    parameters: Mapping[str, str]
    nodes: tuple[Node, ...]
    run_dir: Path
    outputs: Values = field(default_factory=Values)

    @property
    def succeeded(self) -> bool:
        """Whether the workflow Succeeded."""
        return self.phase is Phase.SUCCEEDED

    @property
    def failed_nodes(self) -> tuple[Node, ...]:
        """The programs that Failed, or nodes with an Error of their own, in the order they are listed."""
        return failed(self.nodes)

    def to_dict(self) -> dict[str, Any]:
        """The document: `phase`, `nodes`, `outputs`, and what identifies the run."""
        return {
            "name": self.name,
            "uid": self.uid,
            "phase": self.phase.value,
            "message": self.message,
            "startedAt": self.started_at,
            "finishedAt": self.finished_at,
            "parameters": dict(self.parameters),
            "nodes": [node.to_dict() for node in self.nodes],
            "outputs": self.outputs.to_dict(),
            "runDir": str(self.run_dir),
        }

    def to_json(self) -> Iterator[str]:
        """The document as JSON, in pieces: of thousands of nodes, one at a time is held a second time."""
        nodes = (node.to_dict() for node in self.nodes)
        return json_pieces({**replace(self, nodes=()).to_dict(), "nodes": nodes}, _JSON)


_JSON = json.JSONEncoder(ensure_ascii=False)


def json_pieces(data: Mapping[str, Any], encoder: json.JSONEncoder) -> Iterator[str]:
    """A mapping as JSON, piece by piece; an iterator among its values is a list, made as it is written."""
    begin = "{"
    for key, value in data.items():
        yield f"{begin}{encoder.encode(key)}{encoder.key_separator}"
        begin = encoder.item_separator
        if not isinstance(value, Iterator):
            yield encoder.encode(value)
            continue
        yield "["
        for number, one in enumerate(value):
            yield f"{encoder.item_separator if number else ''}{encoder.encode(one)}"
        yield "]"
    yield "}"


@dataclass(frozen=True)
class Planned:
    """One step of a run to come: `reused` names the run that its outputs would come from."""

    step: str
    what: str
    reused: str | None = None


def planned(result: WorkflowResult) -> list[Planned]:
    """The steps, from a dry run's result; a loop or a DAG is one of them while nobody knows what is in it."""
    found = []
    known = {node.parent for node in result.nodes}
    for node in result.nodes:
        if node.name in known and node.phase is not Phase.SKIPPED:
            continue
        if node.reused:
            found.append(Planned(node.name, f"reused from {node.reused}", node.reused))
        elif node.phase is Phase.SKIPPED:
            found.append(Planned(node.name, f"skipped: {node.message}"))
        elif node.message in (WOULD_RUN, WOULD_ASK):
            found.append(Planned(node.name, "runs" if node.message == WOULD_RUN else "waits for approval"))
        elif node.phase is Phase.SUCCEEDED:
            found.append(Planned(node.name, "approved"))
        else:
            found.append(Planned(node.name, "waits for what runs"))
    return found


class Reporter(Protocol):
    """Told of every change, in order, from the thread that runs the workflow; it should return quickly."""

    def on_start(self, plan: Plan) -> None:
        """The run begins; `plan.name`, `plan.uid` and `plan.run_dir` are set."""

    def on_node(self, node: Node) -> None:
        """A node appeared or changed."""

    def on_finish(self, result: WorkflowResult) -> None:
        """The run is over."""


class NullReporter:
    """Says nothing."""

    def on_start(self, plan: Plan) -> None:
        """Nothing."""

    def on_node(self, node: Node) -> None:
        """Nothing."""

    def on_finish(self, result: WorkflowResult) -> None:
        """Nothing."""


@dataclass(frozen=True, slots=True)
class Job:
    """A template to carry out under a node's name.

    `fresh`: what it depends on ran in this session, so nothing is kept from an earlier one. `queued_at` is
    when it could have started, where that is not now; `begun` is told once it waits for no place any more.
    """

    template: Template
    name: str
    inputs: Inputs
    parent: str = ""
    fresh: bool = False
    queued_at: str | None = None
    begun: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """The inputs of a template: parameters by name, and the artifacts that exist."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Produced:
    """Outputs that exist; `result` is the standard output, where it was captured."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, Path] = field(default_factory=dict)
    result: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended."""

    phase: Phase
    message: str = ""
    exit_code: int | None = None
    produced: Produced = field(default_factory=Produced)
    log_tail: tuple[str, ...] = ()
    timed_out: bool = False
