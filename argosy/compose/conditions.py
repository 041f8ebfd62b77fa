"""From `couler.equal(gate.result, "passed")` to the text of Argo's `when`."""

import math
import re
import sys
from dataclasses import dataclass
from typing import Any

from argosy.compose.placeholders import Placeholder, refuse_unseen
from argosy.compose.references import TaskHandle, couler_output_text
from argosy.compose.tags import tasks_in
from argosy.declare.source import call_site, is_user_code
from argosy.errors import ComposeError
from argosy.step.artifacts import ArtifactKind
from argosy.step.values import ValueType, unboxed

# What govaluate, the evaluator of `when`, reads as one word or one number without quotes.
_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|-?\d+(\.\d+)?")


@dataclass(frozen=True)
class Condition:
    """One comparison, as Argo reads it, and the tasks whose outputs it looks at."""

    text: str

    @property
    def sources(self) -> list[str]:
        return tasks_in(self.text)


class Comparison(dict[str, Any]):
    """The result of `couler.equal(...)` and its like, which the workflow decides and Python cannot.

    Raises:
        ComposeError: Python asks whether it is true (`if`, `and`, `not`), or `couler.when` for a second value
            where there is none.
    """

    def __bool__(self) -> bool:
        if is_user_code(sys._getframe(1)):
            raise ComposeError(
                f"{call_site()}: only the workflow knows whether couler.{_VERBS[self['condition']]}(...) "
                "holds: give it to couler.when, one inside of the other for 'and', two branches for 'or'"
            )
        return True

    def __missing__(self, key: str) -> Any:
        raise ComposeError(
            f"{call_site()}: couler.{_VERBS[self['condition']]} compares two values; None is the empty "
            "text in a workflow: compare with ''"
        )


_VERBS = {
    "==": "equal",
    "!=": "not_equal",
    ">": "bigger",
    "<": "smaller",
    ">=": "bigger_equal",
    "<=": "smaller_equal",
}


def predicate(pre: Any, post: Any, condition: str) -> Comparison:
    """In place of Couler's function behind `couler.equal` and its like: the comparison, if it can be made.

    Raises:
        ComposeError: no values of these two types are ever equal, or in an order.
    """
    left, right = (side() if callable(side) else side for side in (pre, post))
    if right is None:
        return Comparison(pre=left, condition=condition)
    check_comparable(left, condition, right)
    return Comparison(pre=left, condition=condition, post=right)


def check_comparable(left: Any, sign: str, right: Any) -> None:
    """Raise ComposeError on the user's line for a comparison that is an error, or always the same."""
    sides = [unboxed(v[0] if type(v) is TaskHandle else v) for v in (left, right)]
    for value in sides:
        _refuse_incomparable(value)
    kinds = [_kind_of(value) for value in sides]
    if None in kinds:
        return
    if sign in ("==", "!="):
        problem = _never_equal(*kinds, *sides) or _never_equal(*reversed(kinds), *reversed(sides))
    else:
        problem = (
            "" if kinds[0] == kinds[1] != "flag" else "have no order; numbers are declared as int or float"
        )
    if problem:
        told = " and ".join(f"{v.what} ({v.kind})" if isinstance(v, Placeholder) else repr(v) for v in sides)
        raise ComposeError(f"{call_site()}: couler.{_VERBS[sign]}: {told} {problem}")


def _kind_of(value: Any) -> str | None:
    """Number, flag or text; None where only the workflow knows."""
    if isinstance(value, Placeholder):
        base = value.kind.base if isinstance(value.kind, ValueType) else None
        return {int: "number", float: "number", bool: "flag", str: "text"}.get(base)  # type: ignore[arg-type]
    if isinstance(value, bool) or value in ("true", "false"):
        return "flag"
    if isinstance(value, (int, float)) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        return "number"
    return "text" if isinstance(value, str) and "{{" not in value else None


_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def _never_equal(kind: str | None, other: str | None, value: Any, constant: Any) -> str:
    """Why a value of this kind never equals the other side; empty where it may."""
    if not isinstance(value, Placeholder) or not isinstance(value.kind, ValueType):
        return ""
    if isinstance(constant, Placeholder):
        return "are never equal" if kind != other and "text" not in (kind, other) else ""
    text = _text_of(constant)
    if value.kind.optional and text == "":
        return ""
    if value.kind.choices:
        return "" if text in value.kind.choices else "are never equal"
    return "" if kind in ("text", other) else "are never equal"


def read_condition(condition: dict[str, Any]) -> Condition:
    """A condition as Couler's predicates build it: `pre`, `condition` (the operator), `post`."""
    sides = (condition["pre"], condition["post"])
    left, right = (unboxed(v[0] if type(v) is TaskHandle else v) for v in sides)
    sign = condition["condition"]
    numeric = sign not in ("==", "!=") and "number" in map(_kind_of, (left, right))
    quote = not numeric and (_is_free_text(left) or _is_free_text(right))
    return Condition(f"{_operand(left, quote)} {sign} {_operand(right, quote)}")


def _refuse_incomparable(value: Any) -> None:
    kind = value.kind if isinstance(value, Placeholder) else None
    if isinstance(kind, ArtifactKind) or (isinstance(kind, ValueType) and kind.base in (list, dict)):
        value.refuse(f"a {kind} cannot be compared in a workflow: let a component return what to branch on")
    refuse_unseen(str(value) if isinstance(value, str) else "", "the condition", call_site())
    if isinstance(value, float) and not math.isfinite(value):
        raise ComposeError(f"{call_site()}: a workflow cannot compare with {value}")
    if not (isinstance(value, (str, int, float, Placeholder)) or couler_output_text(value) is not None):
        raise ComposeError(
            f"{call_site()}: a workflow compares texts, numbers and flags, and {value!r} is none; let a "
            "component return what to branch on"
        )


def _is_free_text(value: Any) -> bool:
    """Whether a value's text may contain what `when` would not read as one word."""
    if isinstance(value, Placeholder):
        kind = value.kind
        if not isinstance(kind, ValueType):
            return True
        return kind.optional or (kind.base is str and not all(map(_BARE.fullmatch, kind.choices or ("",))))
    return isinstance(value, str) and not _BARE.fullmatch(value)


def _operand(value: Any, quote: bool) -> str:
    text = couler_output_text(value) or _text_of(value)
    if not quote:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text_of(value: Any) -> str:
    """A constant as the workflow writes it, or the tag of a value that is not there yet."""
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
