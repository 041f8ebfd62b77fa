"""ARG21 and ARG50: what kind of template it is; container sets."""

from collections.abc import Iterator

from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.manifest.graph import find_cycle
from argosy.manifest.model import TYPES, Entry, Template, sequence, text, texts
from argosy.manifest.tree import Map, Seq

TYPE_NAMES = ", ".join(TYPES)


@rule("ARG210", "template-type-missing")
def template_type_missing(subject: Subject) -> Iterator[Found]:
    """A template says nothing about what it does.

    It has exactly one of container, containerSet, steps, dag, script, resource, data, suspend, http and
    plugin.

    Why: Argo refuses it: "template type unspecified". A key without a value counts as missing: write
    `suspend: {}`.

    Bad:
        - name: wait
          suspend:

    Good:
        - name: wait
          suspend: {}
    """
    for template in subject.templates:
        if not template.types:
            yield Found(
                template.path, f"template '{template.title}' has no type", f"Add one of {TYPE_NAMES}."
            )


@rule("ARG211", "template-types-many")
def template_types_many(subject: Subject) -> Iterator[Found]:
    """A template has two types at once.

    Why: Argo refuses it: "multiple template types specified".

    Bad:
        - name: both
          container: {image: alpine}
          script: {image: alpine, source: ls}

    Good:
        - name: one
          script: {image: alpine, source: ls}
    """
    for template in subject.templates:
        if len(template.types) > 1:
            message = f"template '{template.title}' has {' and '.join(template.types)}"
            yield Found(template.at(template.types[1]), message, "Keep one, or make two templates.")


@rule("ARG215", "steps-shape")
def steps_shape(subject: Subject) -> Iterator[Found]:
    """steps is not a list of lists.

    The outer list runs in sequence, each inner one in parallel.

    Why: Argo cannot read it; a single dash too few is the most common mistake of all.

    Bad:
        steps:
          - name: a
            template: a

    Good:
        steps:
          - - name: a
              template: a
    """
    for template in subject.templates:
        for i, group in enumerate(sequence(template.get("steps"))):
            if isinstance(group, Map):
                yield Found(
                    template.at("steps", i), "a step stands outside of a group", "Write '- - name: ...'."
                )
            elif group is not None and not isinstance(group, Seq):
                yield Found(
                    template.at("steps", i), "a group of steps is not a list", "Write '- - name: ...'."
                )


@rule("ARG216", "plugin-shape")
def plugin_shape(subject: Subject) -> Iterator[Found]:
    """A plugin template names no plugin, or several.

    Why: Argo reads exactly one key: the plugin's name.

    Bad:
        plugin: {}

    Good:
        plugin: {slack: {text: done}}
    """
    for template in subject.templates:
        plugin = template.get("plugin")
        if plugin is not None and (not isinstance(plugin, Map) or len(plugin) != 1):
            yield Found(template.at("plugin"), "a plugin template has exactly one key", "Name one plugin.")


@rule("ARG217", "data-template")
def data_template(subject: Subject) -> Iterator[Found]:
    """A data template has no source, or no transformation.

    Why: the controller fails when it starts it; the validator does not look.

    Bad:
        data: {transformation: [{expression: "data"}]}

    Good:
        data:
          source: {artifactPaths: {name: logs, s3: {bucket: logs}}}
          transformation: [{expression: 'filter(data, {# endsWith ".log"})'}]
    """
    for template in subject.templates:
        data = template.get("data")
        if isinstance(data, Map) and not data.get("source"):
            yield Found(
                template.at("data"), "a data template has no source", "Add 'source: {artifactPaths: ...}'."
            )


@rule("ARG218", "http-template")
def http_template(subject: Subject) -> Iterator[Found]:
    """An http template has no URL.

    Why: the agent fails when it makes the request; the validator does not look.

    Bad:
        http: {method: POST}

    Good:
        http: {method: POST, url: "https://example.com/hook"}
    """
    for template in subject.templates:
        http = template.get("http")
        if isinstance(http, Map) and not text(http.get("url")):
            yield Found(template.at("http"), "an http template has no url", "Add 'url:'.")


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
