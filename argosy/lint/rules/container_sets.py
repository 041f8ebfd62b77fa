"""ARG50: container sets."""

from collections.abc import Iterator

from argosy.lint.entry import Entry, texts
from argosy.lint.graph import find_cycle
from argosy.lint.model import Template
from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject


def _sets(subject: Subject) -> Iterator[tuple[Template, list[Entry]]]:
    for template in subject.templates:
        if template.type == "containerSet":
            yield template, template.entries("containerSet", "containers")


@rule("ARG503", "container-set-empty")
def container_set_empty(subject: Subject) -> Iterator[Found]:
    """A container set has no containers.

    Why: Argo refuses it.

    Bad:
        containerSet: {containers: []}

    Good:
        containerSet: {containers: [{name: main, image: alpine}]}
    """
    for template, containers in _sets(subject):
        if not containers:
            yield Found(
                template.at("containerSet"), f"'{template.title}' has no containers", "Add 'containers:'."
            )


@rule("ARG504", "container-set-main")
def container_set_main(subject: Subject) -> Iterator[Found]:
    """A container set has artifacts or output parameters, but no container called main.

    Why: Argo collects outputs from main, and refuses a set without.

    Bad:
        containerSet: {containers: [{name: a, image: alpine}]}
        outputs: {parameters: [{name: id, valueFrom: {path: /tmp/id}}]}

    Good:
        containerSet: {containers: [{name: main, image: alpine}]}
        outputs: {parameters: [{name: id, valueFrom: {path: /tmp/id}}]}
    """
    for template, containers in _sets(subject):
        outputs = template.entries("outputs", "parameters") + template.entries("outputs", "artifacts")
        moves = outputs + template.entries("inputs", "artifacts")
        if containers and moves and all(c.name != "main" for c in containers):
            hint = "Name the container that reads and writes them 'main'."
            yield Found(template.at("containerSet"), f"'{template.title}' has no container 'main'", hint)


@rule("ARG505", "container-set-graph")
def container_set_graph(subject: Subject) -> Iterator[Found]:
    """Containers of a set depend on one that is not there, or on each other in a circle.

    Why: Argo refuses it.

    Bad:
        containers: [{name: a, image: alpine, dependencies: [b]}]

    Good:
        containers: [{name: b, image: alpine}, {name: a, image: alpine, dependencies: [b]}]
    """
    for template, containers in _sets(subject):
        names = {c.name for c in containers}
        for entry in containers:
            for name in texts(entry.get("dependencies")):
                if name not in names:
                    message = f"container '{entry.name}' depends on '{name}', which is not defined"
                    yield Found(entry.at("dependencies"), message, "Correct the name.")
        parents = {c.name: [d for d in texts(c.get("dependencies")) if d in names] for c in containers}
        if cycle := find_cycle(parents):
            message = f"containers depend on each other: {' -> '.join(cycle)}"
            yield Found(template.at("containerSet", "containers"), message, "Break the circle.")
