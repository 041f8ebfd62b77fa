"""What happened to one node of a run, as it is shown, reported and kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from enum import Enum
from typing import Any

KINDS = {"container": "Container", "script": "Script", "dag": "DAG", "steps": "Steps"}
"""Kind of a node, by its template's; a loop around one is a Loop."""


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


@dataclass(frozen=True)
class Values:
    """Inputs or outputs: parameters by name, artifacts by name as paths relative to the run's folder."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    result: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON: `parameters`, `artifacts`, and `result` (standard output) where it was captured."""
        known: dict[str, Any] = {"parameters": dict(self.parameters), "artifacts": dict(self.artifacts)}
        return known if self.result is None else {**known, "result": self.result}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Values:
        """What `to_dict` wrote."""
        return cls(raw["parameters"], raw["artifacts"], raw.get("result"))


@dataclass(frozen=True)
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
        """What `to_dict` wrote."""
        return cls(
            raw["name"],
            Phase(raw["phase"]),
            raw["startedAt"],
            raw["finishedAt"],
            raw["exitCode"],
            raw["message"],
        )


@dataclass(frozen=True)
class Node:
    """A task, a step, a loop, or one item of a loop.

    `name` is unique: the task's name, inside a nested DAG or steps template `outer.inner`, in a loop
    `task(0:item)`. `kind` is Container, Script, DAG, Steps or Loop. `log` is the file of the last attempt's
    output, relative to the run's folder; `log_tail` its last lines, if the node failed.
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

    @property
    def display_name(self) -> str:
        """The last part of the name."""
        return self.name.removeprefix(f"{self.parent}.") if self.parent else self.name

    @property
    def seconds(self) -> float:
        """How long it ran, or has been running."""
        if self.started_at is None:
            return 0.0
        end = parse_time(self.finished_at) if self.finished_at else datetime.now(timezone.utc)
        return max(0.0, (end - parse_time(self.started_at)).total_seconds())

    def to_dict(self) -> dict[str, Any]:
        """JSON, in Argo's spelling."""
        return {
            "name": self.name,
            "displayName": self.display_name,
            "template": self.template,
            "type": self.kind,
            "parent": self.parent,
            "phase": self.phase.value,
            "startedAt": self.started_at,
            "finishedAt": self.finished_at,
            "inputs": self.inputs.to_dict(),
            "outputs": self.outputs.to_dict(),
            "exitCode": self.exit_code,
            "message": self.message,
            "log": self.log,
            "logTail": list(self.log_tail),
            "attempts": [attempt.to_dict() for attempt in self.attempts],
        }

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Node:
        """What `to_dict` wrote."""
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
        )


def now() -> str:
    """This moment as RFC 3339 in UTC, with milliseconds."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """What `now` wrote."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
