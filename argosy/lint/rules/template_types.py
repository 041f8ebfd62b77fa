"""ARG21: what kind of template it is."""

from collections.abc import Iterator

from argosy.lint.entry import sequence, text
from argosy.lint.model import TYPES
from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
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
