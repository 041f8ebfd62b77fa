"""From `couler.equal(gate.result, "passed")` to the text of Argo's `when`."""

import re
from dataclasses import dataclass
from typing import Any

from argosy.compose.references import OutputRef, ParameterRef, TaskHandle, couler_output_text, tasks_in
from argosy.values import ValueType

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
    left, right = (v[0] if isinstance(v, TaskHandle) else v for v in (condition["pre"], condition["post"]))
    quote = _is_free_text(left) or _is_free_text(right)
    return Condition(f"{_operand(left, quote)} {condition['condition']} {_operand(right, quote)}")


def _is_free_text(value: Any) -> bool:
    """Whether a value's text may contain what `when` would not read as one word."""
    if isinstance(value, (OutputRef, ParameterRef)):
        kind = value.port.type
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
        if not isinstance(value, (str, ParameterRef)):
            return text
    if not quote:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
