"""ARG4: loops and hooks of steps and tasks."""

from collections.abc import Iterator

from argosy.lint.entry import mapping
from argosy.lint.expressions import has_tag
from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.lint.violation import Severity


@rule("ARG431", "loop-sources")
def loop_sources(subject: Subject) -> Iterator[Found]:
    """A step or task has more than one of withItems, withParam and withSequence.

    Why: Argo refuses it.

    Bad:
        {name: a, template: a, withItems: [1, 2], withParam: "[1, 2]"}

    Good:
        {name: a, template: a, withItems: [1, 2]}
    """
    for call in subject.calls:
        if len(call.loops) > 1:
            yield Found(call.at(call.loops[1]), f"'{call.name}' has {' and '.join(call.loops)}", "Keep one.")


@rule("ARG432", "sequence-bounds")
def sequence_bounds(subject: Subject) -> Iterator[Found]:
    """withSequence has both count and end.

    Why: Argo refuses it.

    Bad:
        withSequence: {count: "10", end: "9"}

    Good:
        withSequence: {start: "0", end: "9"}
    """
    for call in subject.calls:
        body = mapping(call.get("withSequence"))
        if body.get("count") is not None and body.get("end") is not None:
            yield Found(call.at("withSequence", "end"), "withSequence has count and end", "Keep one.")


@rule("ARG433", "sequence-numbers", Severity.WARNING)
def sequence_numbers(subject: Subject) -> Iterator[Found]:
    """withSequence has neither count nor end, or a bound that is no number.

    Why: the validator does not look; the workflow fails when it expands the loop.

    Bad:
        withSequence: {start: one, end: "3"}

    Good:
        withSequence: {start: "1", end: "3"}
    """
    for call in subject.calls:
        body = call.get("withSequence")
        if not isinstance(body, dict):
            continue
        if body.get("count") is None and body.get("end") is None:
            yield Found(call.at("withSequence"), "withSequence has no end", "Add 'count:' or 'end:'.")
        for key in ("start", "end", "count"):
            value = body.get(key)
            if value is not None and not has_tag(value) and not str(value).lstrip("+-").isdecimal():
                yield Found(
                    call.at("withSequence", key), f"{key} '{value}' is no number", "Write whole numbers."
                )


@rule("ARG434", "loop-empty", Severity.WARNING)
def loop_empty(subject: Subject) -> Iterator[Found]:
    """withItems is an empty list.

    Why: Argo takes it for no loop at all, runs the step once, and {{item}} stays as it is.

    Bad:
        {name: a, template: a, withItems: []}

    Good:
        {name: a, template: a, withItems: [1]}
    """
    for call in subject.calls:
        if call.get("withItems") == [] and not call.loops:
            yield Found(
                call.at("withItems"), f"withItems of '{call.name}' is empty", "Add items, or remove it."
            )


@rule("ARG441", "hook-expression")
def hook_expression(subject: Subject) -> Iterator[Found]:
    """A lifecycle hook other than `exit` has no expression.

    Why: the expression says when it fires; Argo refuses it without.

    Bad:
        hooks: {running: {template: notify}}

    Good:
        hooks: {running: {template: notify, expression: workflow.status == "Running"}}
    """
    spec = subject.resource.spec
    hooks = [(spec.at("hooks", n), n, h) for n, h in mapping(spec.get("hooks")).items()]
    for call in subject.calls:
        hooks += [(call.at("hooks", n), n, h) for n, h in mapping(call.get("hooks")).items()]
    for path, name, hook in hooks:
        if name != "exit" and not mapping(hook).get("expression"):
            yield Found(path, f"hook '{name}' has no expression", "Add 'expression:', or name it 'exit'.")
