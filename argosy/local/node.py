"""The story of one node of a run, as it is shown, reported and kept, and the name of its folder."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

from argosy.local.marks import Mark

KINDS = {
    "container": "Container",
    "script": "Script",
    "containerSet": "ContainerSet",
    "dag": "DAG",
    "steps": "Steps",
    "suspend": "Suspend",
    "http": "HTTP",
}
"""Kind of a node, by its template's; a loop around one is a Loop, a container of a set a Container."""

PROGRAMS = ("Container", "Script", "ContainerSet")
"""Kinds of nodes that run programs themselves."""

PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
"""Characters that stand unquoted in a script, where paths of the manifest are replaced by those of a run."""

_LONGEST = 100  # characters of a folder's name


class Phase(str, Enum):
    """Argo's phases."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    ERROR = "Error"
    SKIPPED = "Skipped"
    OMITTED = "Omitted"

    @property
    def is_bad(self) -> bool:
        """Failed or Error."""
        return self in (Phase.FAILED, Phase.ERROR)

    @property
    def is_final(self) -> bool:
        """Nothing more will happen."""
        return self not in (Phase.PENDING, Phase.RUNNING)


@dataclass(frozen=True, slots=True)
class Values:
    """Inputs or outputs: parameters by name, artifacts by name as paths relative to the run's folder.

    `marks` tell of artifacts that a program made how they were then.
    """

    parameters: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    result: str | None = None
    marks: Mapping[str, Mark] | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON: `parameters`, `artifacts`, and where there are any `result` (standard output) and `marks`."""
        known: dict[str, Any] = {"parameters": dict(self.parameters), "artifacts": dict(self.artifacts)}
        if self.result is not None:
            known["result"] = self.result
        if self.marks:
            known["marks"] = {name: one.to_dict() for name, one in self.marks.items()}
        return known

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Values:
        """The object that `to_dict` wrote."""
        marks = {name: Mark.from_dict(one) for name, one in raw["marks"].items()} if "marks" in raw else None
        return cls(raw["parameters"], raw["artifacts"], raw.get("result"), marks)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a node that may be retried."""

    name: str
    phase: Phase
    started_at: str
    finished_at: str
    exit_code: int | None
    message: str

    def to_dict(self) -> dict[str, Any]:
        """JSON, in Argo's spelling."""
        return {
            "name": self.name,
            "phase": self.phase.value,
            "startedAt": self.started_at,
            "finishedAt": self.finished_at,
            "exitCode": self.exit_code,
            "message": self.message,
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Attempt:
        """The object that `to_dict` wrote."""
        return cls(
            raw["name"],
            Phase(raw["phase"]),
            raw["startedAt"],
            raw["finishedAt"],
            raw["exitCode"],
            raw["message"],
        )


@dataclass(frozen=True, slots=True)
class Node:
    """A task, a step, a loop, or one item of a loop.

    `name` is unique: the task's name, inside a nested DAG or steps template `outer.inner`, in a loop
    `task(0:item)`, of a container in a set `task.container`. `kind` is one of KINDS, or Loop. `log` is the
    file of the last attempt's output, relative to the run's folder; `log_tail` its last lines, if it failed.
    `queued_at` is when it could have started: until `started_at` it waited for a free place. `reused` names
    the run whose outputs these are, where the node was not carried out.
    """

    name: str
    template: str
    kind: str
    phase: Phase = Phase.PENDING
    parent: str = ""
    started_at: str | None = None
    finished_at: str | None = None
    inputs: Values = field(default_factory=Values)
    outputs: Values = field(default_factory=Values)
    exit_code: int | None = None
    message: str = ""
    log: str | None = None
    log_tail: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    retry_at: str | None = None
    """While it waits for its next attempt: when that begins."""
    queued_at: str | None = None
    reused: str | None = None
    seen_at: str | None = None
    """Of a run whose runner died: when something was last heard of it. Of the reader, not of the record."""

    @property
    def display_name(self) -> str:
        """The last part of the name."""
        return self.name.removeprefix(f"{self.parent}.") if self.parent else self.name

    @property
    def seconds(self) -> float:
        """How long it ran, has been running, or did for all that is known."""
        if self.started_at is None:
            return 0.0
        known = self.finished_at or self.seen_at
        end = parse_time(known) if known else datetime.now(timezone.utc)
        return max(0.0, (end - parse_time(self.started_at)).total_seconds())

    @property
    def seconds_to_retry(self) -> int | None:
        """Whole seconds until its next attempt, if it waits for one."""
        if self.retry_at is None or self.phase.is_final:
            return None
        left = (parse_time(self.retry_at) - datetime.now(timezone.utc)).total_seconds()
        return max(0, round(left))

    def to_dict(self) -> dict[str, Any]:
        """JSON, in Argo's spelling."""
        return {
            "name": self.name,
            "displayName": self.display_name,
            "template": self.template,
            "type": self.kind,
            "parent": self.parent,
            "phase": self.phase.value,
            "queuedAt": self.queued_at,
            "startedAt": self.started_at,
            "finishedAt": self.finished_at,
            "inputs": self.inputs.to_dict(),
            "outputs": self.outputs.to_dict(),
            "exitCode": self.exit_code,
            "message": self.message,
            "log": self.log,
            "logTail": list(self.log_tail),
            "attempts": [attempt.to_dict() for attempt in self.attempts],
            **({"retryAt": self.retry_at} if self.retry_at else {}),
            **({"reused": self.reused} if self.reused else {}),
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Node:
        """The object that `to_dict` wrote."""
        return cls(
            name=raw["name"],
            template=raw["template"],
            kind=raw["type"],
            phase=Phase(raw["phase"]),
            parent=raw["parent"],
            started_at=raw["startedAt"],
            finished_at=raw["finishedAt"],
            inputs=Values.from_dict(raw["inputs"]),
            outputs=Values.from_dict(raw["outputs"]),
            exit_code=raw["exitCode"],
            message=raw["message"],
            log=raw["log"],
            log_tail=tuple(raw["logTail"]),
            attempts=tuple(Attempt.from_dict(attempt) for attempt in raw["attempts"]),
            retry_at=raw.get("retryAt"),
            queued_at=raw.get("queuedAt"),  # the first format had none of these
            reused=raw.get("reused"),
        )


def in_order(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """The nodes, each followed by what is inside of it; one whose parent is not there stands at the top."""
    known = {node.name: node for node in nodes}
    inside: dict[str, list[Node]] = {}
    for node in known.values():
        inside.setdefault(node.parent if node.parent in known else "", []).append(node)
    ordered: list[Node] = []
    stack = inside.get("", [])[::-1]
    while stack:
        node = stack.pop()
        ordered.append(node)
        stack.extend(inside.get(node.name, [])[::-1])
    return tuple(ordered)


def failed(nodes: Sequence[Node]) -> tuple[Node, ...]:
    """The programs that Failed, or nodes with an Error of their own, in the order they are listed."""
    inner = {node.parent for node in nodes if node.phase.is_bad}
    return tuple(node for node in nodes if node.phase.is_bad and node.name not in inner)


def now(later: float = 0) -> str:
    """This moment, or that `later` seconds from it, as RFC 3339 in UTC, with milliseconds."""
    return as_text(datetime.now(timezone.utc) + timedelta(seconds=later))


def as_text(moment: datetime) -> str:
    """A moment in UTC as `now` writes it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """The time that `now` wrote."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def folder_name(node: str) -> str:
    """A node's name as the name of a folder: readable, and different for different nodes."""
    safe = "".join(c if c in PLAIN else "." for c in node).strip(".")
    if safe == node and len(node) <= _LONGEST:
        return node
    return f"{safe[:_LONGEST]}-{zlib.crc32(node.encode()):08x}"
