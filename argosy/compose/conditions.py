"""From `couler.equal(gate.result, "passed")` to the text of Argo's `when`."""

import re
from dataclasses import dataclass
from typing import Any

from argosy.compose.placeholders import Placeholder, refuse_unseen
from argosy.compose.references import TaskHandle, couler_output_text
from argosy.compose.tags import tasks_in
from argosy.declare.source import call_site
from argosy.step.artifacts import ArtifactKind
from argosy.step.values import ValueType

# What govaluate, the evaluator of `when`, reads as one word or one number without quotes.
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|-?\d+(\.\d+)?")


@dataclass(frozen=True)
class Condition:
    """One comparison, as Argo reads it, and the tasks whose outputs it looks at."""

    text: str

    @property
    def sources(self) -> list[str]:
        return tasks_in(self.text)


def read_condition(condition: dict[str, Any]) -> Condition:
    """A condition as Couler's predicates build it: `pre`, `condition` (the operator), `post`."""
    left, right = (v[0] if type(v) is TaskHandle else v for v in (condition["pre"], condition["post"]))
    for value in (left, right):
        _refuse_incomparable(value)
    quote = _is_free_text(left) or _is_free_text(right)
    return Condition(f"{_operand(left, quote)} {condition['condition']} {_operand(right, quote)}")


def _refuse_incomparable(value: Any) -> None:
    kind = value.kind if isinstance(value, Placeholder) else None
    if isinstance(kind, ArtifactKind) or (isinstance(kind, ValueType) and kind.base in (list, dict)):
        value.refuse(f"a {kind} cannot be compared in a workflow: let a component return what to branch on")
    refuse_unseen(str(value) if isinstance(value, str) else "", "the condition", call_site())


def _is_free_text(value: Any) -> bool:
    """Whether a value's text may contain what `when` would not read as one word."""
    if isinstance(value, Placeholder):
        kind = value.kind
        if not isinstance(kind, ValueType):
            return True
        return kind.optional or (kind.base is str and not all(map(_BARE.fullmatch, kind.choices or ("",))))
    return isinstance(value, str) and not _BARE.fullmatch(value)


def _operand(value: Any, quote: bool) -> str:
    text = couler_output_text(value)
    if text is None:
        if isinstance(value, bool):
            return "true" if value else "false"
        text = str(value)
        if not isinstance(value, (str, Placeholder)):
            return text
    if not quote:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
