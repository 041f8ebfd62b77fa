"""ARG34 and ARG42: expr-lang in `{{=...}}` and in the fields that hold it, and `when`."""

from collections.abc import Iterator
from typing import Any

from argosy.lint.registry import Found, Severity, rule
from argosy.lint.subject import Subject
from argosy.manifest.conditions import ConditionError, evaluate, read, with_tags
from argosy.manifest.conditions import Node as Condition
from argosy.manifest.conditions import check as check_condition
from argosy.manifest.expressions import check as check_expression
from argosy.manifest.expressions import roots
from argosy.manifest.functions import FUNCTIONS
from argosy.manifest.golang import deep_equal, show
from argosy.manifest.model import Entry, Resource, mapping, text
from argosy.manifest.syntax import ExpressionError, Node, parse, walk
from argosy.manifest.tagged import replace
from argosy.manifest.tags import ROOTS
from argosy.manifest.tree import Path
from argosy.text import nearest

FIELDS = ("fromExpression", "expression")
# First words: of tags, of a transformation's data, of a CronWorkflow's end, of the engine's own libraries.
WORDS = ROOTS | FUNCTIONS.keys() | {"data", "failed", "succeeded", "cronworkflow", "sprig", "$env"}


def _written(subject: Subject) -> Iterator[tuple[str, Path]]:
    """Every expression of the resource, with its place."""
    resource = subject.resource
    yield from ((t.text, t.path) for t in resource.tags.tags if t.expression)
    for entry in _holders(resource, subject):
        for field in FIELDS:
            value = entry.get(field)
            if isinstance(value, str) and value.strip() and "{{=" not in value:
                # A plain tag inside an expression becomes text before the expression is read.
                yield replace(value, lambda tag, expression: "workflow"), entry.at(field)


def _holders(resource: Resource, subject: Subject) -> Iterator[Entry]:
    yield from subject.ports("artifacts")
    for parameter in subject.ports("parameters"):
        yield Entry(parameter.at("valueFrom"), mapping(parameter.get("valueFrom")))
    for call in subject.calls:
        yield from call.hooks.values()
    for template in subject.templates:
        yield Entry(template.at("retryStrategy"), mapping(template.get("retryStrategy")))
        yield from template.entries("data", "transformation")
    yield from (Entry(resource.spec.at("hooks", k), h) for k, h in _hooks(resource))
    outer = Entry(("spec",), mapping(resource.body.get("spec")))
    yield Entry(outer.at("stopStrategy"), mapping(outer.get("stopStrategy")))


def _hooks(resource: Resource) -> Iterator[tuple[str, Any]]:
    hooks = mapping(resource.spec.get("hooks"))
    yield from ((k, h) for k, h in hooks.items() if isinstance(h, dict))


@rule("ARG341", "expression-syntax")
def expression_syntax(subject: Subject) -> Iterator[Found]:
    """An expression cannot be read, or its types do not fit, whatever its values will be.

    The language of {{=...}}, fromExpression, expression of hooks, retryStrategy, stopStrategy, valueFrom and
    data transformations.

    A text compared with a number, a function that does not exist, an operator between types that do not fit,
    a first word that Argo never knows: the engine checks names and types before it evaluates.

    Why: the validator does not read expressions; the workflow fails when it gets there.

    Bad:
        value: "{{=asInt(inputs.parameters.epochs) + }}"

    Good:
        value: "{{=asInt(inputs.parameters.epochs) + 1}}"
    """
    for source, path in _written(subject):
        try:
            check_expression(source)
        except ExpressionError as error:
            yield Found(path, f"the expression '{_short(source)}' {error.verdict}", "Correct it.")
            continue
        for name in sorted(roots(source) - WORDS):
            near = nearest(name, WORDS).removeprefix("; ").capitalize()
            message = f"the expression '{_short(source)}' cannot be evaluated: there is no '{name}' here"
            yield Found(path, message, f"{near}." if near else "Name a value of Argo's.")


def _short(source: str) -> str:
    flat = " ".join(source.split())
    return flat if len(flat) <= 60 else flat[:57] + "..."


@rule("ARG342", "expression-step")
def expression_step(subject: Subject) -> Iterator[Found]:
    """An expression names a step or task that its template does not have.

    Why: the validator does not look; the value is nil when the workflow runs. A name with '-' is written in
    brackets: steps['flip-coin'].

    Bad:
        fromExpression: "steps.head.outputs.artifacts.result"       # the step is 'heads'

    Good:
        fromExpression: "steps.heads.outputs.artifacts.result"
    """
    graphs = {t.path: t for t in subject.resource.templates if t.is_graph}
    depth = len(subject.resource.spec.path) + 2
    for source, path in _written(subject):
        template = graphs.get(path[:depth])
        if template is None or "inline" in path:
            continue
        prefix = "steps" if template.type == "steps" else "tasks"
        for name in sorted(_names(source, prefix) - subject.scope(template).calls.keys() - {"name"}):
            hint = f"Name one of the {prefix} of '{template.title}'."
            yield Found(path, f"the expression names {prefix[:-1]} '{name}', which is not there", hint)


# Fields of the spec that Argo fills in for a step, or with words of their own.
_OF_STEPS = ("templates", "templateDefaults", "podSpecPatch", "retryStrategy", "metrics")


@rule("ARG343", "expression-outside")
def expression_outside(subject: Subject) -> Iterator[Found]:
    """An expression in the workflow's own fields names a step, an input or an item.

    Own are the fields of the spec beside the templates: arguments, hooks, volumes, podMetadata,
    synchronization and the like. There an expression knows what begins with workflow. alone.

    Why: the validator does not look; a hook ends the workflow in an error, and elsewhere the tag stays as it
    is written.

    Bad:
        podMetadata: {labels: {stage: "{{=inputs.parameters.stage}}"}}

    Good:
        podMetadata: {labels: {stage: "{{=workflow.parameters.stage}}"}}
    """
    spec = subject.resource.spec
    depth = len(spec.path)
    for source, path in _written(subject):
        if path[:depth] != spec.path or len(path) <= depth or path[depth] in _OF_STEPS:
            continue
        for name in sorted(_roots(source) & (ROOTS - {"workflow"})):
            message = f"the expression '{_short(source)}' names '{name}', which is of a step"
            yield Found(path, message, "Name what begins with 'workflow.'.")


def _roots(source: str) -> set[str]:
    """The first words of an expression; none where it cannot be read, of which ARG341 speaks."""
    try:
        return set(roots(source))
    except (ExpressionError, RecursionError):
        return set()


def _names(source: str, prefix: str) -> set[str]:
    """Names behind `steps.` or `tasks.`; not those that a '-' cuts in two: they may be meant otherwise."""
    try:
        nodes = list(walk(parse(source)))
    except (ExpressionError, RecursionError):
        return set()
    members = {id(node): str(node.parts[1].value) for node in nodes if _is_member(node, prefix)}
    cut = {
        members[id(inner)]
        for node in nodes
        if node.kind == "binary" and node.value in ("+", "-")
        for inner in walk(node)
        if id(inner) in members and inner.value != "["
    }
    return set(members.values()) - cut


def _is_member(node: Node, prefix: str) -> bool:
    if node.kind != "member" or node.parts[0].kind != "name" or node.parts[0].value != prefix:
        return False
    return node.parts[1].kind == "constant" and isinstance(node.parts[1].value, str)


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


def _false(node: Condition, when: str) -> str:
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


def _comparison(node: Condition, when: str) -> str:
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


def _contradiction(node: Condition, when: str) -> str:
    wanted: dict[str, str] = {}
    for left, right in _equalities(node, when):
        if wanted.setdefault(left, right) != right:
            return f"{left} cannot be '{wanted[left]}' and '{right}'"
    return ""


def _equalities(node: Condition, when: str) -> Iterator[tuple[str, str]]:
    if node.kind == "binary" and node.value == "&&":
        for part in node.parts:
            yield from _equalities(part, when)
    elif node.kind == "binary" and node.value == "==":
        left, right = (_text(part, when) for part in node.parts)
        if left and right is not None and left.startswith("{{") and "{{" not in right:
            yield left, right


def _text(node: Condition, when: str) -> str | None:
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
            check_condition(when)
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
