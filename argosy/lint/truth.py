"""Can a `when` ever be true? Decides only what its own text proves."""

from collections.abc import Iterator
from typing import Any

from argosy.lint.grammar import Syntax, parse

PHASES = ("Pending", "Running", "Succeeded", "Skipped", "Failed", "Error", "Omitted", "Daemoned")
_FALSE = ("false", "'false'", '"false"')


def never_true(when: str) -> str:
    """Why the condition can never hold, or the empty string."""
    try:
        tree = parse("when", when)
    except Syntax:
        return ""
    return _false(tree.children[0])


def _false(node: Any) -> str:
    """Why the node is false whatever its tags stand for, or the empty string."""
    kind, children = getattr(node, "data", ""), getattr(node, "children", [])
    if kind == "disjunction":
        reasons = [_false(c) for c in children]
        return reasons[0] if all(reasons) else ""
    if kind == "conjunction":
        return next((r for r in map(_false, children) if r), "") or _contradiction(children)
    if kind == "comparison":
        return _false(children[0]) if len(children) == 1 else _comparison(children)
    if (kind == "primary" and len(children) == 1) or (kind == "group" and len(children) == 1):
        return _false(children[0])
    return "it says so" if str(node) in _FALSE else ""


def _comparison(children: list[Any]) -> str:
    if len(children) != 3 or str(children[1]) not in ("==", "!="):
        return ""
    left, right = _text(children[0]), _text(children[2])
    if left is None or right is None:
        return ""
    equal = str(children[1]) == "=="
    if "{{" not in left + right:
        return f"'{left}' {children[1]} '{right}'" if (left == right) != equal else ""
    return _status(left, right) or _status(right, left) if equal else ""


def _status(tag: str, value: str) -> str:
    name = tag.strip("{} ")
    is_status = (
        tag.startswith("{{") and tag.count("{{") == 1 and name.startswith(("steps.", "tasks.", "workflow."))
    )
    if not is_status or not name.endswith("status") or "{{" in value or value in PHASES:
        return ""
    return f"a status is one of {', '.join(PHASES)}" if name.rpartition(".")[2] == "status" else ""


def _contradiction(parts: list[Any]) -> str:
    wanted: dict[str, str] = {}
    for left, right in _equalities(parts):
        if wanted.setdefault(left, right) != right:
            return f"{left} cannot be '{wanted[left]}' and '{right}'"
    return ""


def _equalities(parts: list[Any]) -> Iterator[tuple[str, str]]:
    for part in parts:
        children = getattr(part, "children", [])
        if getattr(part, "data", "") == "comparison" and len(children) == 3 and str(children[1]) == "==":
            left, right = _text(children[0]), _text(children[2])
            if left and right is not None and left.startswith("{{") and "{{" not in right:
                yield left, right


def _text(node: Any) -> str | None:
    """The text that a single word or quoted text stands for."""
    children = getattr(node, "children", None)
    if children is None:
        text = str(node)
        quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
        return text[1:-1] if quoted else text
    return _text(children[0]) if node.data == "primary" and len(children) == 1 else None
