"""ARG30: the values of arguments."""

from collections.abc import Iterator

from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.lint.violation import Severity
from argosy.manifest.model import Entry, mapping
from argosy.manifest.scalars import as_text
from argosy.text import remedy

ONLY_ELSEWHERE = ("path", "jsonPath", "parameter", "expression")


def _arguments(subject: Subject) -> Iterator[tuple[Entry, bool]]:
    """Every parameter argument, and whether it is the workflow's own."""
    yield from ((e, True) for e in subject.resource.parameters)
    for call in subject.calls:
        yield from ((e, False) for e in call.entries("arguments", "parameters"))


@rule("ARG302", "argument-without-value")
def argument_without_value(subject: Subject) -> Iterator[Found]:
    """A step or task passes a parameter but gives it no value.

    Why: Argo refuses it: "value or valueFrom is required". An empty text is written `value: ""`.

    Bad:
        arguments: {parameters: [{name: epochs}]}

    Good:
        arguments: {parameters: [{name: epochs, value: "20"}]}
    """
    for entry, of_workflow in _arguments(subject):
        scheduled = of_workflow and subject.resource.kind == "CronWorkflow"
        merged = scheduled and subject.resource.template_ref is not None
        lacking = entry.get("value") is None and entry.get("valueFrom") is None
        if lacking and not merged and (scheduled or not of_workflow):
            yield Found(entry.path, f"argument '{entry.name}' has no value", "Add 'value:' or 'valueFrom:'.")


@rule("ARG303", "parameter-to-be-given", Severity.WARNING)
def parameter_to_be_given(subject: Subject) -> Iterator[Found]:
    """A parameter of a Workflow has no value.

    Why: it can only be submitted with `-p NAME=VALUE`; `kubectl create` makes a workflow that fails.

    Bad:
        arguments: {parameters: [{name: epochs}]}

    Good:
        arguments: {parameters: [{name: epochs, value: "20"}]}
    """
    if subject.resource.kind == "Workflow":
        for entry in subject.resource.parameters:
            if entry.get("value") is None and entry.get("valueFrom") is None:
                yield Found(
                    entry.path, f"parameter '{entry.name}' has no value", "Submit with -p, or give a value."
                )


@rule("ARG304", "argument-source")
def argument_source(subject: Subject) -> Iterator[Found]:
    """An argument's valueFrom is of a kind that only outputs have.

    Arguments allow configMapKeyRef (with default), supplied and event.

    Why: Argo refuses it. To pass an output on, write `value: "{{tasks.NAME.outputs.parameters.X}}"`.

    Bad:
        parameters: [{name: id, valueFrom: {parameter: "{{tasks.a.outputs.parameters.id}}"}}]

    Good:
        parameters: [{name: id, value: "{{tasks.a.outputs.parameters.id}}"}]
    """
    for entry, _ in _arguments(subject):
        source = entry.get("valueFrom")
        if source is None:
            continue
        body = mapping(source)
        allowed = (
            body.get("configMapKeyRef") is not None or body.get("event") or body.get("supplied") is not None
        )
        if not allowed or any(body.get(key) for key in ONLY_ELSEWHERE):
            hint = "Use 'value:', or valueFrom with configMapKeyRef, supplied or event."
            yield Found(entry.at("valueFrom"), f"argument '{entry.name}' cannot have this valueFrom", hint)


@rule("ARG305", "enum")
def enum(subject: Subject) -> Iterator[Found]:
    """A parameter's enum is empty, or its value is not one of it.

    Why: Argo refuses it.

    Bad:
        parameters: [{name: size, value: huge, enum: [small, large]}]

    Good:
        parameters: [{name: size, value: small, enum: [small, large]}]
    """
    for entry, _ in _arguments(subject):
        allowed = entry.get("enum")
        if not isinstance(allowed, list):
            continue
        value, texts = entry.get("value"), [as_text(v) for v in allowed]
        if not allowed:
            yield Found(
                entry.at("enum"), f"enum of '{entry.name}' is empty", "List its values, or remove it."
            )
        elif value is not None and as_text(value) not in texts:
            message = f"'{as_text(value)}' is none of '{entry.name}': {', '.join(texts)}"
            yield Found(entry.at("value"), message, remedy(as_text(value), texts, "Choose one."))
