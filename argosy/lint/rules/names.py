"""ARG10: names of objects and of what is in a manifest."""

import re
from collections.abc import Iterable, Iterator

from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.lint.violation import Severity
from argosy.manifest.model import Entry, text
from argosy.manifest.tagged import has_tag

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


OBJECT = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)


LONGEST = {"CronWorkflow": 52}


RESERVED = ("wait", "init")


@rule("ARG104", "object-name-too-long")
def object_name_too_long(subject: Subject) -> Iterator[Found]:
    """metadata.name is longer than 63 characters, or 52 for a CronWorkflow.

    Why: the name becomes a label of every pod, and labels end at 63; each run of a CronWorkflow appends a
    time.

    Bad:
        metadata: {name: train-model-image-classification-with-resnet-18-on-imagenette-every-night}

    Good:
        metadata: {name: train-image-classification-nightly}
    """
    name, longest = subject.resource.name, LONGEST.get(subject.resource.kind, 63)
    if len(name) > longest:
        message = f"the name has {len(name)} characters, more than {longest}"
        yield Found(("metadata", "name"), message, "Shorten it, or use generateName.")


@rule("ARG105", "object-name-invalid", Severity.WARNING)
def object_name_invalid(subject: Subject) -> Iterator[Found]:
    """metadata has neither name nor generateName, or one that Kubernetes refuses.

    Allowed are small letters, digits, '-' and '.'.

    Why: Argo's validator does not look; the API server does.

    Bad:
        metadata: {name: Train_Model}

    Good:
        metadata: {name: train-model}
    """
    metadata = subject.resource.metadata
    name, prefix = metadata.name, text(metadata.get("generateName"))
    if not name and not prefix:
        hint = "Add 'name:'." if subject.resource.is_reusable else "Add 'name:' or 'generateName:'."
        yield Found(("metadata",), "the object has no name", hint)
    elif not OBJECT.fullmatch(name or prefix.rstrip("-.") or "-"):
        key = "name" if name else "generateName"
        yield Found(
            ("metadata", key), f"'{name or prefix}' is not a Kubernetes name", "Use a-z, 0-9, '-' and '.'."
        )


@rule("ARG106", "container-name-reserved", Severity.WARNING)
def container_name_reserved(subject: Subject) -> Iterator[Found]:
    """A sidecar, init container or container of a set takes a name that Argo uses itself.

    'wait' and 'init' are Argo's own containers in every pod; 'main' is the template's container.

    Why: the pod would have two containers of one name and is refused.

    Bad:
        sidecars: [{name: wait, image: redis}]

    Good:
        sidecars: [{name: cache, image: redis}]
    """
    for template in subject.templates:
        extra = template.entries("sidecars") + template.entries("initContainers")
        for entry in extra + template.entries("containerSet", "containers"):
            if entry.name in RESERVED or (entry.name == "main" and entry in extra):
                yield Found(
                    entry.at("name"), f"container name '{entry.name}' is Argo's own", "Choose another."
                )
