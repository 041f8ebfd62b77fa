"""The values of tags at one place of a workflow."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from argosy.local.errors import NodeError, language
from argosy.local.model import Parameter, Workflow
from argosy.local.texts import compact
from argosy.manifest import conditions, expressions, golang
from argosy.manifest.tags import Rewrite, parse, value_text

STRFTIME = "aAbBcdHIjmMpSUwWxXyYZ"
"""Letters of `{{workflow.creationTimestamp.X}}`."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Variables and artifacts by the text of their tags; inner scopes see the outer ones."""

    variables: ChainMap[str, str] = field(default_factory=ChainMap)
    artifacts: ChainMap[str, Path] = field(default_factory=ChainMap)

    def inner(self, variables: dict[str, str], artifacts: dict[str, Path] | None = None) -> Scope:
        """A scope that also knows these; the dicts are kept, not copied."""
        known = self.artifacts if artifacts is None else self.artifacts.new_child(artifacts)
        return Scope(self.variables.new_child(variables), known)

    def render(self, source: str, rewrite: Rewrite | None = None) -> str:
        """Text with its tags replaced. Raises NodeError."""
        with language():
            return parse(source).render(self.variables, rewrite)

    def holds(self, condition: str) -> tuple[bool, str]:
        """Whether a `when` holds, and the text of it that was asked. Raises NodeError."""
        asked = self.render(condition)
        with language():
            return conditions.evaluate(asked), asked

    def evaluate(self, expression: str) -> Any:
        """The value of an expression, its tags replaced before. Raises NodeError."""
        with language():
            return expressions.evaluate(parse(expression).render(self.variables), self.variables)

    def expressed(self, expression: str) -> str:
        """The value of an expression as text. Raises NodeError, also where it has none."""
        value = self.evaluate(expression)
        with language():
            return value_text(expression, value)

    def artifact(self, source: str | None, expression: str | None = None) -> Path | None:
        """The artifact that `from: "{{...}}"` names; None if whoever makes it did not. Raises NodeError.

        An expression yields the artifact itself: the names of artifacts stand for their tags there.
        """
        if expression is not None:
            known = {name: f"{{{{{name}}}}}" for name in self.artifacts}
            chosen = self.inner(known).evaluate(expression)
            source = chosen if isinstance(chosen, str) else ""
        tag = parse(source or "").only_tag
        if tag is None and expression is not None:
            return None
        if tag is None:
            raise NodeError(
                f"{source!r} does not name an artifact, like {{{{tasks.A.outputs.artifacts.model}}}}"
            )
        return self.artifacts.get(tag.name)

    def optional(self, source: str) -> str | None:
        """`render`, or None where the text is one tag whose task made no such output."""
        tag = parse(source).only_tag
        if tag and not tag.expression and ".outputs." in tag.name and tag.name not in self.variables:
            return None
        return self.render(source)


def global_variables(workflow: Workflow, name: str, uid: str, created: datetime) -> dict[str, str]:
    """`workflow.*`, except the parameters."""
    known = {
        "workflow.name": name,
        "workflow.uid": uid,
        "workflow.namespace": workflow.namespace,
        "workflow.mainEntrypoint": workflow.entrypoint,
        "workflow.serviceAccountName": workflow.service_account,
        "workflow.priority": workflow.priority,
        "workflow.duration": "0.000000",
        "workflow.status": "Running",
        "workflow.failures": golang.quote("[]"),
        "workflow.labels": compact(dict(workflow.labels)),
        "workflow.annotations": compact(dict(workflow.annotations)),
        "workflow.labels.json": compact(dict(workflow.labels)),
        "workflow.annotations.json": compact(dict(workflow.annotations)),
        "workflow.creationTimestamp": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "workflow.creationTimestamp.RFC3339": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "workflow.creationTimestamp.s": str(int(created.timestamp())),
    }
    known |= {f"workflow.labels.{key}": value for key, value in workflow.labels.items()}
    known |= {f"workflow.annotations.{key}": value for key, value in workflow.annotations.items()}
    return known | {
        f"workflow.creationTimestamp.{letter}": created.strftime(f"%{letter}") for letter in STRFTIME
    }


def parameter_variables(prefix: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """`PREFIX.parameters.X`, and all of them as JSON: a list of names and values."""
    whole = compact([{"name": name, "value": value} for name, value in parameters.items()])
    known = {f"{prefix}.parameters": whole, f"{prefix}.parameters.json": whole}
    return known | {f"{prefix}.parameters.{name}": value for name, value in parameters.items()}


def composed(output: Parameter, scope: Scope) -> str | None:
    """An output that is no file: of a task, or of an expression; its default where that has no value."""
    if output.expression is not None and (found := _expressed(output, scope)) is not None:
        return found
    value = scope.optional(output.parameter) if output.parameter else None
    return scope.render(output.default) if value is None and output.default is not None else value


def _expressed(output: Parameter, scope: Scope) -> str | None:
    try:
        return scope.expressed(output.expression or "")
    except NodeError:
        if output.default is None:
            raise
        return None
