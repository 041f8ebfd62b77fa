"""ARG3: expr-lang in `{{=...}}`, fromExpression, valueFrom.expression, hooks, retries and schedules."""

from collections.abc import Iterator
from typing import Any

from argosy.lint.entry import Entry, mapping
from argosy.lint.expressions import replace
from argosy.lint.grammar import Syntax, parse
from argosy.lint.model import Resource
from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.lint.violation import Path

FIELDS = ("fromExpression", "expression")


def _written(subject: Subject) -> Iterator[tuple[str, Path]]:
    """Every expression of the resource, with its place."""
    resource = subject.resource
    yield from ((t.text, t.path) for t in resource.tags.tags if t.expression)
    for entry in _holders(resource, subject):
        for field in FIELDS:
            value = entry.get(field)
            if isinstance(value, str) and value.strip() and "{{=" not in value:
                # A plain tag inside an expression becomes text before the expression is read.
                yield replace(value, lambda tag, expression: "x"), entry.at(field)


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
    """An expression does not follow the grammar of expr-lang.

    The language of {{=...}}, fromExpression, expression of hooks, retryStrategy, stopStrategy, valueFrom and
    data transformations.

    Why: the validator does not read expressions; the workflow fails when it gets there.

    Bad:
        value: "{{=asInt(inputs.parameters.epochs) + }}"

    Good:
        value: "{{=asInt(inputs.parameters.epochs) + 1}}"
    """
    for source, path in _written(subject):
        try:
            parse("expr", source)
        except Syntax as error:
            yield Found(path, f"the expression '{_short(source)}' cannot be read: {error}", "Correct it.")


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
    try:
        tree = parse("expr", source)
    except Syntax:
        return set()
    found = {str(n.children[1]) for n in tree.find_data("member") if _is(n.children[0], prefix)}
    for node in tree.find_data("item"):
        if _is(node.children[0], prefix):
            strings = list(node.children[-1].find_data("string"))
            found |= {str(s.children[0])[1:-1] for s in strings[:1] if len(node.children[-1].children) == 1}
    return found - _subtracted(tree, prefix)


def _subtracted(tree: Any, prefix: str) -> set[str]:
    """Names that a '-' cuts in two, as in steps.flip-coin.outputs: they may be meant otherwise."""
    cut = set()
    for node in tree.find_data("sum"):
        for member in node.find_data("member"):
            if _is(member.children[0], prefix):
                cut.add(str(member.children[1]))
    return cut


def _is(node: Any, name: str) -> bool:
    return getattr(node, "data", "") == "name" and str(node.children[0]) == name
