"""ARG3: output parameters, and where their values come from."""

from collections.abc import Iterator

from argosy.lint.entry import Entry, mapping
from argosy.lint.model import Template
from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject

SOURCES = ("path", "jqFilter", "jsonPath", "parameter", "expression")
WANTED = {
    "container": ("path",),
    "containerSet": ("path",),
    "script": ("path",),
    "resource": ("jqFilter", "jsonPath"),
    "dag": ("parameter", "expression"),
    "steps": ("parameter", "expression"),
}


def _outputs(subject: Subject) -> Iterator[tuple[Template, Entry]]:
    for template in subject.templates:
        for entry in template.entries("outputs", "parameters"):
            yield template, entry


def _sources(entry: Entry) -> list[str]:
    source = mapping(entry.get("valueFrom"))
    return [k for k in SOURCES if source.get(k)] + (
        ["supplied"] if source.get("supplied") is not None else []
    )


@rule("ARG311", "output-without-value")
def output_without_value(subject: Subject) -> Iterator[Found]:
    """An output parameter says neither its value nor where it comes from, or says both.

    Why: Argo refuses it.

    Bad:
        outputs: {parameters: [{name: accuracy}]}

    Good:
        outputs: {parameters: [{name: accuracy, valueFrom: {path: /tmp/accuracy}}]}
    """
    for _, entry in _outputs(subject):
        value, source = entry.get("value"), entry.get("valueFrom")
        if value is None and source is None:
            yield Found(entry.path, f"output '{entry.name}' has no value", "Add 'valueFrom:'.")
        elif value is not None and source is not None:
            yield Found(entry.at("value"), f"output '{entry.name}' has value and valueFrom", "Keep one.")


@rule("ARG312", "output-source")
def output_source(subject: Subject) -> Iterator[Found]:
    """An output parameter's valueFrom names no source, or several.

    Exactly one of path, jqFilter, jsonPath, parameter, expression and supplied; `default` may stand beside.

    Why: Argo refuses it.

    Bad:
        valueFrom: {path: /tmp/id, jqFilter: .id}

    Good:
        valueFrom: {path: /tmp/id, default: ""}
    """
    for _, entry in _outputs(subject):
        if entry.get("value") is not None or entry.get("valueFrom") is None:
            continue
        sources = _sources(entry)
        if not sources:
            hint = f"Add one of {', '.join(SOURCES)} or supplied."
            yield Found(entry.at("valueFrom"), f"output '{entry.name}' has no source", hint)
        elif len(sources) > 1:
            yield Found(
                entry.at("valueFrom"), f"output '{entry.name}' has {' and '.join(sources)}", "Keep one."
            )


@rule("ARG313", "output-source-type")
def output_source_type(subject: Subject) -> Iterator[Found]:
    """An output parameter's source does not fit its template's type.

    container, containerSet and script read a file (path); resource reads the object (jqFilter, jsonPath);
    steps and dag pass on what their calls gave (parameter, expression).

    Why: Argo refuses it.

    Bad:
        - name: all
          steps: [[{name: a, template: a}]]
          outputs: {parameters: [{name: id, valueFrom: {path: /tmp/id}}]}

    Good:
        - name: all
          steps: [[{name: a, template: a}]]
          outputs: {parameters: [{name: id, valueFrom: {parameter: "{{steps.a.outputs.parameters.id}}"}}]}
    """
    for template, entry in _outputs(subject):
        wanted, sources = WANTED.get(template.type, ()), _sources(entry)
        fits = not wanted or any(k in wanted for k in sources)
        if entry.get("value") is None and len(sources) == 1 and not fits:
            message = f"output '{entry.name}' of a {template.type} template has {sources[0]}"
            yield Found(entry.at("valueFrom", sources[0]), message, f"Use {' or '.join(wanted)}.")
