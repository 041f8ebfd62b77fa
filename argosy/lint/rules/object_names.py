"""ARG10: names of objects and of containers."""

import re
from collections.abc import Iterator

from argosy.lint.entry import text
from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.lint.violation import Severity

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
