"""Can a `when` ever be true? Decides only what its own text proves."""

from collections.abc import Iterator

from argosy.manifest.conditions import ConditionError, Node, evaluate, read, with_tags
from argosy.manifest.golang import deep_equal, show

PHASES = ("Pending", "Running", "Succeeded", "Skipped", "Failed", "Error", "Omitted", "Daemoned")


def never_true(when: str) -> str:
    """Why the condition can never hold, or the empty string."""
    try:
        node = read(when)
        if "{{" not in when and not evaluate(when):
            return _false(node, when) or "its values are known"
    except ConditionError:
        return ""
    return _false(node, when)


def _false(node: Node, when: str) -> str:
    """Why the node is false whatever its tags stand for, or the empty string."""
    if node.kind == "value":
        return "it says so" if node.value is False else ""
    if node.kind != "binary":
        return ""
    if node.value == "||":
        reasons = [_false(part, when) for part in node.parts]
        return reasons[0] if all(reasons) else ""
    if node.value == "&&":
        found = next((r for part in node.parts if (r := _false(part, when))), "")
        return found or _contradiction(node, when)
    return _comparison(node, when)


def _comparison(node: Node, when: str) -> str:
    if node.value not in ("==", "!=") or any(part.kind != "value" for part in node.parts):
        return ""
    equal = node.value == "=="
    left, right = (_text(part, when) or show(part.value) for part in node.parts)
    if "{{" not in left + right:
        same = deep_equal(*(part.value for part in node.parts))
        return f"'{left}' {node.value} '{right}'" if same != equal else ""
    return _status(left, right) or _status(right, left) if equal else ""


def _status(tag: str, value: str) -> str:
    name = tag.strip("{} ")
    is_status = (
        tag.startswith("{{") and tag.count("{{") == 1 and name.startswith(("steps.", "tasks.", "workflow."))
    )
    if not is_status or not name.endswith("status") or "{{" in value or value in PHASES:
        return ""
    return f"a status is one of {', '.join(PHASES)}" if name.rpartition(".")[2] == "status" else ""


def _contradiction(node: Node, when: str) -> str:
    wanted: dict[str, str] = {}
    for left, right in _equalities(node, when):
        if wanted.setdefault(left, right) != right:
            return f"{left} cannot be '{wanted[left]}' and '{right}'"
    return ""


def _equalities(node: Node, when: str) -> Iterator[tuple[str, str]]:
    if node.kind == "binary" and node.value == "&&":
        for part in node.parts:
            yield from _equalities(part, when)
    elif node.kind == "binary" and node.value == "==":
        left, right = (_text(part, when) for part in node.parts)
        if left and right is not None and left.startswith("{{") and "{{" not in right:
            yield left, right


def _text(node: Node, when: str) -> str | None:
    """The text that a single word or quoted text stands for."""
    return with_tags(node.value, when) if node.kind == "value" and isinstance(node.value, str) else None
