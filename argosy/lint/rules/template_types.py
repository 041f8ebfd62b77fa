"""ARG2, second half: what kind of template it is, and what that kind allows."""

from collections.abc import Iterator

from argosy.lint.expressions import has_tag
from argosy.lint.model import TYPES, sequence, text
from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.lint.tree import Map, Seq

TYPE_NAMES = ", ".join(TYPES)


@rule("ARG210", "template-type-missing")
def template_type_missing(subject: Subject) -> Iterator[Found]:
    """A template says nothing about what it does.

    It has exactly one of container, containerSet, steps, dag, script, resource, data, suspend, http and plugin.

    Why: Argo refuses it: "template type unspecified". A key without a value counts as missing: write `suspend: {}`.

    Bad:
        - name: wait
          suspend:

    Good:
        - name: wait
          suspend: {}
    """
    for template in subject.templates:
        if not template.types:
            yield Found(template.path, f"template '{template.title}' has no type", f"Add one of {TYPE_NAMES}.")


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


@rule("ARG212", "parallelism-on-leaf")
def parallelism_on_leaf(subject: Subject) -> Iterator[Found]:
    """A template that is neither steps nor dag sets parallelism.

    Why: it runs one pod; Argo refuses the field there.

    Bad:
        - {name: train, parallelism: 2, container: {image: alpine}}

    Good:
        - {name: all, parallelism: 2, dag: {tasks: [{name: train, template: train}]}}
    """
    for template in subject.templates:
        if template.types and not template.is_graph and template.get("parallelism") is not None:
            message = f"parallelism is not for {template.type} templates"
            yield Found(template.at("parallelism"), message, "Set it on the steps or dag template, or on the workflow.")


@rule("ARG213", "deadline")
def deadline(subject: Subject) -> Iterator[Found]:
    """activeDeadlineSeconds is on a steps or dag template, is negative, or is no number of seconds.

    A tag such as "{{inputs.parameters.seconds}}" may stand for the number.

    Why: Argo refuses it. For a whole graph, set it on the workflow.

    Bad:
        - {name: all, activeDeadlineSeconds: 60, steps: [[{name: a, template: a}]]}

    Good:
        - {name: a, activeDeadlineSeconds: 60, container: {image: alpine}}
    """
    for template in subject.templates:
        value = template.get("activeDeadlineSeconds")
        if value is None or not template.types:
            continue
        if template.is_graph:
            message = f"activeDeadlineSeconds is not for {template.type} templates"
            yield Found(template.at("activeDeadlineSeconds"), message, "Set it on each leaf, or on the workflow.")
        elif not has_tag(value) and not _seconds(value):
            message = f"activeDeadlineSeconds '{value}' is no positive number of seconds"
            yield Found(template.at("activeDeadlineSeconds"), message, "Write whole seconds, such as 60.")


def _seconds(value: object) -> bool:
    try:
        return int(value) >= 0 and not isinstance(value, bool)  # type: ignore[call-overload,no-any-return]
    except (TypeError, ValueError):
        return False


@rule("ARG214", "timeout")
def timeout(subject: Subject) -> Iterator[Found]:
    """timeout is on a template that has none, or is a number without a unit.

    Why: Argo refuses both; a duration has a unit: 30s, 5m, 1h.

    Bad:
        - {name: train, timeout: "60", container: {image: alpine}}

    Good:
        - {name: train, timeout: 60s, container: {image: alpine}}
    """
    for template in subject.templates:
        value = template.get("timeout")
        if value in (None, "") or not template.types:
            continue
        if not template.is_leaf:
            yield Found(template.at("timeout"), f"timeout is not for {template.type} templates", "Set it on the leaves.")
        elif isinstance(value, int) or (isinstance(value, str) and value.lstrip("+-").isdecimal()):
            yield Found(template.at("timeout"), f"timeout '{value}' has no unit", f"Write '{value}s'.")


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
                yield Found(template.at("steps", i), "a step stands outside of a group", "Write '- - name: ...'.")
            elif group is not None and not isinstance(group, Seq):
                yield Found(template.at("steps", i), "a group of steps is not a list", "Write '- - name: ...'.")


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
            yield Found(template.at("data"), "a data template has no source", "Add 'source: {artifactPaths: ...}'.")


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
