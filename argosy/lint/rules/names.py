"""ARG10: names inside of a manifest."""

import re
from collections.abc import Iterable, Iterator

from argosy.lint.entry import Entry, text
from argosy.lint.expressions import has_tag
from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject

FIELD = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*", re.ASCII)
VALUE = re.compile(r"[-a-zA-Z0-9_]+", re.ASCII)
KNOWN_TAG = re.compile(r"\{\{\s*(inputs|workflow)\.[^{}]+\}\}")  # in a name, it is filled in first
LONGEST_FIELD = 128
TAGGED = ("template", "step", "task")


def _groups(subject: Subject) -> Iterator[tuple[str, list[Entry], re.Pattern[str]]]:
    """Every list whose entries have names: what they are, the entries, and the pattern of their names."""
    spec = subject.resource.spec
    yield "template", list(subject.resource.templates), FIELD
    for kind in ("parameters", "artifacts"):
        yield kind[:-1], spec.entries("arguments", kind), VALUE
    for template in subject.templates:
        for place in ("inputs", "outputs"):
            for kind in ("parameters", "artifacts"):
                yield kind[:-1], template.entries(place, kind), VALUE
        yield template.type and ("step" if template.type == "steps" else "task"), list(template.calls), FIELD
        yield "container", template.entries("containerSet", "containers"), FIELD
        for call in template.calls:
            for kind in ("parameters", "artifacts"):
                yield kind[:-1], call.entries("arguments", kind), VALUE


@rule("ARG101", "name-missing")
def name_missing(subject: Subject) -> Iterator[Found]:
    """A template, step, task, parameter, artifact or container has no name.

    Why: nothing can refer to it; Argo refuses it.

    Bad:
        templates:
          - container: {image: alpine}

    Good:
        templates:
          - name: main
            container: {image: alpine}
    """
    for what, entries, _ in _groups(subject):
        yield from (
            Found(e.at("name"), f"a {what} has no name", "Add 'name:'.") for e in entries if not e.name
        )


@rule("ARG102", "name-invalid")
def name_invalid(subject: Subject) -> Iterator[Found]:
    """A name has a character that Argo does not allow, or is too long.

    Templates, steps, tasks and containers: letters, digits and '-', not '-' first, at most 128 characters.
    Parameters and artifacts: letters, digits, '-' and '_'. Names of templates, steps and tasks may hold
    tags of inputs and of the workflow.

    Why: names end up in variables and in names of pods.

    Bad:
        templates: [{name: train_model}]

    Good:
        templates: [{name: train-model}]
    """
    for what, entries, pattern in _groups(subject):
        for entry in entries:
            allowed = "letters, digits and '-'" + (", '_'" if pattern is VALUE else ", starting with no '-'")
            name = KNOWN_TAG.sub("x", entry.name) if what in TAGGED else entry.name
            if name and not pattern.fullmatch(name):
                yield Found(entry.at("name"), f"{what} name '{entry.name}' is invalid", f"Use {allowed}.")
            elif pattern is FIELD and len(name) > LONGEST_FIELD:
                message = f"{what} name has {len(name)} characters, more than {LONGEST_FIELD}"
                yield Found(entry.at("name"), message, "Shorten it.")


@rule("ARG103", "name-not-unique")
def name_not_unique(subject: Subject) -> Iterator[Found]:
    """Two templates, steps of one template, tasks, parameters or artifacts share a name.

    Steps must differ within the whole template, not only within their group.

    Why: a reference would be ambiguous; Argo refuses it.

    Bad:
        tasks:
          - {name: build, template: a}
          - {name: build, template: b}

    Good:
        tasks:
          - {name: build-a, template: a}
          - {name: build-b, template: b}
    """
    for what, entries, _ in _groups(subject):
        for entry in _repeated(entries):
            yield Found(
                entry.at("name"), f"{what} name '{entry.name}' is not unique", "Rename one of the two."
            )


def _repeated(entries: Iterable[Entry]) -> Iterator[Entry]:
    seen: set[str] = set()
    for entry in entries:
        if entry.name and entry.name in seen:
            yield entry
        seen.add(entry.name)


@rule("ARG107", "global-name-invalid")
def global_name_invalid(subject: Subject) -> Iterator[Found]:
    """A globalName has a character that Argo does not allow.

    Letters, digits, '-' and '_'.

    Why: {{workflow.outputs.parameters.NAME}} could not name it.

    Bad:
        outputs: {parameters: [{name: id, globalName: run id, value: "1"}]}

    Good:
        outputs: {parameters: [{name: id, globalName: run-id, value: "1"}]}
    """
    for template in subject.templates:
        for kind in ("parameters", "artifacts"):
            for entry in template.entries("outputs", kind):
                name = text(entry.get("globalName"))
                if name and not has_tag(name) and not VALUE.fullmatch(name):
                    hint = "Use letters, digits, '-' and '_'."
                    yield Found(entry.at("globalName"), f"globalName '{name}' is invalid", hint)
