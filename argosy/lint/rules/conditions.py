"""ARG4: `when`."""

from collections.abc import Iterator

from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.lint.violation import Severity
from argosy.manifest.conditions import ConditionError, Node, check, evaluate, read, with_tags
from argosy.manifest.golang import deep_equal, show
from argosy.manifest.model import text
from argosy.manifest.tree import Path

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


def _conditions(subject: Subject) -> Iterator[tuple[str, Path]]:
    for call in subject.calls:
        if when := text(call.get("when")):
            yield when, call.at("when")


@rule("ARG421", "when-syntax")
def when_syntax(subject: Subject) -> Iterator[Found]:
    """when is not an expression that Argo can evaluate.

    Comparisons (==, !=, <, =~, in) joined by && and ||; texts need quotes once they hold more than a word.

    Why: the validator does not read it; the step fails when its turn comes.

    Bad:
        when: "{{steps.flip.outputs.result}} == "

    Good:
        when: "{{steps.flip.outputs.result}} == heads"
    """
    for when, path in _conditions(subject):
        try:
            check(when)
        except ConditionError as error:
            fix = f"{error.fix[:1].upper()}{error.fix[1:]}." if error.fix else "Correct it."
            yield Found(path, f"when '{when[:60]}' cannot be read: {error.why}", fix)


@rule("ARG422", "when-never-true", Severity.WARNING)
def when_never_true(subject: Subject) -> Iterator[Found]:
    """when can never be true, so the step never runs.

    Two different constants that are compared; one value that is to equal two; a status that does not exist.

    Why: a skipped step is no error, so nobody notices.

    Bad:
        when: "{{tasks.train.status}} == Success"

    Good:
        when: "{{tasks.train.status}} == Succeeded"
    """
    for when, path in _conditions(subject):
        if reason := never_true(when):
            yield Found(path, f"when '{when[:60]}' is never true: {reason}", "Correct or remove it.")
