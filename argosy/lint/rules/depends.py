"""ARG40: what `depends` says."""

from collections.abc import Iterator

from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.manifest.conditions import ConditionError
from argosy.manifest.depends import RESULTS, read
from argosy.manifest.model import Call, Template, sequence, text
from argosy.manifest.tagged import has_tag
from argosy.text import remedy

OF_ITEMS = ("AnySucceeded", "AllFailed")


def _dags(subject: Subject) -> Iterator[Template]:
    yield from (t for t in subject.templates if t.type == "dag")


@rule("ARG404", "depends-and-dependencies")
def depends_and_dependencies(subject: Subject) -> Iterator[Found]:
    """One dag uses both depends and dependencies.

    Why: Argo refuses it; `dependencies: [a, b]` is `depends: a && b`.

    Bad:
        - {name: b, template: t, dependencies: [a]}
        - {name: c, template: t, depends: b}

    Good:
        - {name: b, template: t, depends: a}
        - {name: c, template: t, depends: b}
    """
    for call in _beside_depends(subject):
        if sequence(call.get("dependencies")):
            yield Found(
                call.at("dependencies"), "the dag uses 'depends', too", f"Write 'depends: {_joined(call)}'."
            )


def _joined(call: Call) -> str:
    return " && ".join(str(d) for d in sequence(call.get("dependencies")))


def _beside_depends(subject: Subject) -> Iterator[Call]:
    for template in _dags(subject):
        if any(text(c.get("depends")) for c in template.calls):
            yield from template.calls


@rule("ARG405", "depends-and-continue-on")
def depends_and_continue_on(subject: Subject) -> Iterator[Found]:
    """A dag that uses depends has continueOn.

    Why: Argo refuses it; say what may fail in the expression: `depends: train.Succeeded || train.Failed`.

    Bad:
        - {name: train, template: t, continueOn: {failed: true}}
        - {name: report, template: t, depends: train}

    Good:
        - {name: train, template: t}
        - {name: report, template: t, depends: train || train.Failed}
    """
    for call in _beside_depends(subject):
        if call.get("continueOn") is not None:
            hint = f"Remove it, and write '{call.name} || {call.name}.Failed' where it is depended on."
            yield Found(call.at("continueOn"), "continueOn in a dag that uses 'depends'", hint)


@rule("ARG406", "depends-result")
def depends_result(subject: Subject) -> Iterator[Found]:
    """depends asks for a result that tasks do not have.

    Results are Succeeded, Failed, Errored, Skipped, Omitted, Daemoned; of loops also AnySucceeded and
    AllFailed.

    Why: Argo refuses it.

    Bad:
        depends: train.Success

    Good:
        depends: train.Succeeded
    """
    for template in _dags(subject):
        graph = subject.scope(template).graph
        for call in template.calls:
            for needed in graph.dependencies.get(call.name, ()):
                if needed.result and needed.result not in RESULTS:
                    hint = remedy(needed.result, RESULTS, f"Use one of {', '.join(RESULTS)}.")
                    yield Found(
                        call.at("depends"), f"'{needed.result}' is not a result of '{needed.name}'", hint
                    )


@rule("ARG407", "depends-items")
def depends_items(subject: Subject) -> Iterator[Found]:
    """depends asks for AnySucceeded or AllFailed of a task that has no loop.

    Why: Argo refuses it; there is only one run to speak of.

    Bad:
        - {name: a, template: t}
        - {name: b, template: t, depends: a.AnySucceeded}

    Good:
        - {name: a, template: t, withItems: [1, 2]}
        - {name: b, template: t, depends: a.AnySucceeded}
    """
    for template in _dags(subject):
        graph = subject.scope(template).graph
        for call in template.calls:
            for needed in graph.dependencies.get(call.name, ()):
                task = graph.tasks.get(needed.name)
                if needed.result in OF_ITEMS and task is not None and not task.loops:
                    message = f"'{needed.name}' has no loop, so no {needed.result}"
                    yield Found(call.at("depends"), message, "Add a loop, or ask for Succeeded or Failed.")


@rule("ARG408", "depends-syntax")
def depends_syntax(subject: Subject) -> Iterator[Found]:
    """depends is not a logical expression of task names.

    Names, optionally with a result, joined by &&, || and !, with parentheses.

    Why: the validator only looks for names; the controller fails to evaluate the rest.

    Bad:
        depends: a and b

    Good:
        depends: a && b
    """
    for template in _dags(subject):
        for call in template.calls:
            source = text(call.get("depends"))
            if source and not has_tag(source):
                try:
                    read(source)
                except ConditionError as error:
                    message = f"depends '{source[:60]}' cannot be read: {error.why}"
                    yield Found(call.at("depends"), message, "Use &&, || and !.")
