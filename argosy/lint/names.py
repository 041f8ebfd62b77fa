"""Where a manifest has names of Kubernetes' objects, labels and annotations, and names of images."""

import re
from collections.abc import Iterator

from argosy.declare.names import is_annotation, is_object, is_qualified, is_word
from argosy.manifest.tagged import has_tag
from argosy.manifest.tree import Map, Path

# The mappings of labels and of annotations, by type.
LABELS = {
    "ObjectMeta": ("labels",),
    "Metadata": ("labels",),
    "WorkflowMetadata": ("labels",),
    "LabelSelector": ("matchLabels",),
    "WorkflowSpec": ("nodeSelector",),
    "Template": ("nodeSelector",),
}
ANNOTATIONS = {
    "ObjectMeta": ("annotations",),
    "Metadata": ("annotations",),
    "WorkflowMetadata": ("annotations",),
    "Template": ("annotations",),
}
# The field with the name of a Secret or a ConfigMap, by type.
REFERENCES = {
    "ConfigMapEnvSource": "name",
    "ConfigMapKeySelector": "name",
    "ConfigMapProjection": "name",
    "ConfigMapVolumeSource": "name",
    "LocalObjectReference": "name",
    "SecretEnvSource": "name",
    "SecretKeySelector": "name",
    "SecretProjection": "name",
    "SecretVolumeSource": "secretName",
}


def refused(value: Map, wanted: str) -> Iterator[tuple[Path, str]]:
    """The names in an object of a type that Kubernetes refuses: where below it, and what is wrong."""
    for field in LABELS.get(wanted, ()):
        yield from _labels(value.get(field), field)
    for field in ANNOTATIONS.get(wanted, ()):
        for key in _keys(value.get(field)):
            if not is_annotation(key):
                yield (field, key), f"'{key}' is no key of an annotation"
    if wanted in REFERENCES:
        yield from _reference(value, REFERENCES[wanted])


def _labels(labels: object, field: str) -> Iterator[tuple[Path, str]]:
    for key in _keys(labels):
        if not is_qualified(key):
            yield (field, key), f"'{key}' is no key of a label"
    for key, value in labels.items() if isinstance(labels, Map) else ():
        if isinstance(value, str) and value and not has_tag(value) and not is_word(value):
            yield (field, key), f"'{value}' is no value of a label"


def _keys(mapping: object) -> list[str]:
    return [key for key in mapping if not has_tag(key)] if isinstance(mapping, Map) else []


def _reference(value: Map, field: str) -> Iterator[tuple[Path, str]]:
    name = value.get(field)
    if name is None or name == "":
        yield (field,), "the Secret or ConfigMap has no name"
    elif isinstance(name, str) and not has_tag(name) and not is_object(name):
        yield (field,), f"no Secret or ConfigMap has the name '{name}'"


_HOST = r"[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST_AND_PORT = re.compile(rf"({_HOST}(\.{_HOST})*|\[[0-9a-fA-F:]+\])(:[0-9]+)?", re.ASCII)
_PART = r"[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*"
_REST = re.compile(
    rf"{_PART}(/{_PART})*(:[\w][\w.-]{{0,127}})?(@[A-Za-z][\w+.-]*:[0-9a-fA-F]{{32,}})?", re.ASCII
)


def is_image(text: str) -> bool:
    """True for a name of an image that a runtime takes, as Docker's reference grammar has it."""
    first, slash, rest = text.partition("/")
    is_host = bool(slash) and (
        any(c in first for c in ".:") or first == "localhost" or first != first.lower()
    )
    if is_host:
        return bool(_HOST_AND_PORT.fullmatch(first) and _REST.fullmatch(rest))
    return bool(_REST.fullmatch(text))
