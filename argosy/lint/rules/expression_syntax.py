"""ARG3: expr-lang in `{{=...}}`, fromExpression, valueFrom.expression, hooks, retries and schedules."""

from collections.abc import Iterator
from typing import Any

from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.manifest.expressions import check, roots
from argosy.manifest.functions import FUNCTIONS
from argosy.manifest.model import Entry, Resource, mapping
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
    for artifact, _ in subject.artifacts():
        yield artifact
    for parameter, _ in subject.parameters():
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
            check(source)
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
