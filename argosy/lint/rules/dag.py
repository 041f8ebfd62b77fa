"""ARG40: the graph of a DAG, and what `depends` says of it."""

from collections.abc import Iterator

from argosy.lint.registry import Found, Severity, rule
from argosy.lint.subject import Subject
from argosy.manifest.conditions import ConditionError
from argosy.manifest.depends import RESULTS, read
from argosy.manifest.model import Call, Template, mapping, sequence, text
from argosy.manifest.tagged import has_tag, substitute
from argosy.text import remedy


def _dags(subject: Subject) -> Iterator[Template]:
    yield from (t for t in subject.templates if t.type == "dag")


def _where(call: Call) -> str:
    return "depends" if call.get("depends") else "dependencies"


@rule("ARG401", "dag-empty")
def dag_empty(subject: Subject) -> Iterator[Found]:
    """A dag has no tasks.

    Why: Argo refuses it: "must have at least one task".

    Bad:
        dag: {tasks: []}

    Good:
        dag: {tasks: [{name: train, template: train}]}
    """
    for template in _dags(subject):
        if not sequence(mapping(template.get("dag")).get("tasks")):
            yield Found(template.at("dag"), f"dag '{template.title}' has no tasks", "Add 'tasks:'.")


@rule("ARG402", "dependency-undefined")
def dependency_undefined(subject: Subject) -> Iterator[Found]:
    """A task depends on a task that the dag does not have.

    Why: Argo refuses it.

    Bad:
        - {name: report, template: report, depends: trian}

    Good:
        - {name: report, template: report, depends: train}
    """
    for template in _dags(subject):
        graph = subject.scope(template).graph
        for call in template.calls:
            unknown = (d.name for d in graph.dependencies.get(call.name, ()) if d.name not in graph.tasks)
            for name in dict.fromkeys(unknown):
                hint = remedy(name, graph.tasks, "Add the task, or remove the dependency.")
                yield Found(
                    call.at(_where(call)), f"'{call.name}' depends on '{name}', which is not defined", hint
                )


@rule("ARG403", "dependency-cycle")
def dependency_cycle(subject: Subject) -> Iterator[Found]:
    """Tasks depend on each other in a circle.

    Why: none of them could ever start; Argo refuses it.

    Bad:
        - {name: a, template: t, depends: b}
        - {name: b, template: t, depends: a}

    Good:
        - {name: a, template: t}
        - {name: b, template: t, depends: a}
    """
    for template in _dags(subject):
        graph = subject.scope(template).graph
        if cycle := graph.cycle():
            call = graph.tasks[cycle[0]]
            shown = " -> ".join(cycle if len(cycle) < 12 else [*cycle[:5], "...", *cycle[-5:]])
            yield Found(
                call.at(_where(call)), f"the tasks depend on each other: {shown}", "Break the circle."
            )


@rule("ARG409", "dag-target")
def dag_target(subject: Subject) -> Iterator[Found]:
    """dag.target names a task that the dag does not have.

    Several targets stand with one space between them.

    Why: Argo refuses it.

    Bad:
        dag: {target: trian, tasks: [{name: train, template: train}]}

    Good:
        dag: {target: train, tasks: [{name: train, template: train}]}
    """
    for template in _dags(subject):
        target = substitute(text(mapping(template.get("dag")).get("target")), subject.resource.values)
        names = {c.name for c in template.calls}
        for name in target.split(" ") if target else ():
            if name not in names and not has_tag(name):
                hint = remedy(name, names, "Name a task.")
                yield Found(template.at("dag", "target"), f"target '{name}' is not a task", hint)


@rule("ARG410", "task-name-digit")
def task_name_digit(subject: Subject) -> Iterator[Found]:
    """A task's name starts with a digit in a dag with dependencies.

    Why: depends could not tell it from a number; Argo refuses it.

    Bad:
        - {name: 1st, template: t}
        - {name: second, template: t, depends: 1st}

    Good:
        - {name: first, template: t}
        - {name: second, template: t, depends: first}
    """
    for template in _dags(subject):
        logical = any(text(c.get("depends")) for c in template.calls)
        for call in template.calls:
            if call.name[:1].isdigit() and (logical or sequence(call.get("dependencies"))):
                yield Found(
                    call.at("name"), f"task name '{call.name}' starts with a digit", "Start it with a letter."
                )


@rule("ARG411", "dependency-missing")
def dependency_missing(subject: Subject) -> Iterator[Found]:
    """A task's argument takes an output of a task that it does not wait for.

    Why: the value might not exist yet; Argo refuses it: "missing dependency".

    Bad:
        - {name: a, template: a}
        - {name: b, template: b, arguments: {parameters: [{name: x, value: "{{tasks.a.outputs.result}}"}]}}

    Good:
        - {name: a, template: a}
        - name: b
          template: b
          depends: a
          arguments: {parameters: [{name: x, value: "{{tasks.a.outputs.result}}"}]}
    """
    for template in _dags(subject):
        graph = subject.scope(template).graph
        for call in template.calls:
            for kind, key in (("parameters", "value"), ("artifacts", "from")):
                for entry in call.entries("arguments", kind):
                    name = _leading_task(text(entry.get(key)))
                    if name in graph.tasks and not graph.is_ancestor(name, call.name):
                        message = f"'{call.name}' uses '{name}', but does not wait for it"
                        yield Found(entry.at(key), message, f"Add '{name}' to 'depends:'.")


def _leading_task(value: str) -> str:
    return value[len("{{tasks.") :].split(".", 1)[0] if value.startswith("{{tasks.") else ""


# Words of the expression language into which the controller puts the tasks of `depends`.
OPERATORS = ("in", "not", "and", "or", "matches", "contains", "startsWith", "endsWith")
WORDS = (*OPERATORS, "let", "nil", "true", "false")


@rule("ARG412", "task-name-operator", Severity.WARNING)
def task_name_operator(subject: Subject) -> Iterator[Found]:
    """A task that others depend on is named like a word of the expression language.

    The words are in, not, and, or, matches, contains, startsWith, endsWith, let, nil, true and false.

    Why: the controller evaluates `depends` as an expression, in which the word is an operator or a constant:
    the task that depends on it ends in Error, and the validator says nothing.

    Bad:
        - {name: in, template: read}
        - {name: train, template: train, depends: in}

    Good:
        - {name: read, template: read}
        - {name: train, template: train, depends: read}
    """
    for template in _dags(subject):
        graph = subject.scope(template).graph
        needed = {d.name: name for name, found in graph.dependencies.items() for d in found}
        for name in WORDS:
            if name in graph.tasks and name in needed:
                message = f"'{needed[name]}' depends on '{name}', which is a word of the expression language"
                yield Found(graph.tasks[name].at("name"), message, "Rename the task.")


OF_ITEMS = ("AnySucceeded", "AllFailed")


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
