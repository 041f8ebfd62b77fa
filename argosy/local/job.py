"""Inputs and outcome of a template."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from argosy.local.model import Template
from argosy.local.node import Phase


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


@dataclass(frozen=True, slots=True)
class Job:
    """A template to carry out under a node's name.

    `fresh`: what it depends on ran in this session, so nothing is kept from an earlier one.
    """

    template: Template
    name: str
    inputs: Inputs
    parent: str = ""
    fresh: bool = False
