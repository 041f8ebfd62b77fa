"""Manifests as text: deterministic, in reading order, quoted where a reader would not take it for a text."""

import gc
import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import yaml

from argosy.errors import ManifestError
from argosy.manifest.scalars import is_text

# A template's first line: the only mapping at this depth that starts with its name.
_TEMPLATE = re.compile(r"^(?P<indent> +)- name: ")

# PyYAML built without libyaml writes the same text, slower.
_Writer: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
_REPRESENTER = yaml.representer.SafeRepresenter()
_RESOLVER: Any = yaml.resolver.Resolver()
_STR = "tag:yaml.org,2002:str"
_UNFIT_FOR_A_BLOCK = re.compile(r"[ \t]\n|\A[ \t\n]")

_MAPPING = yaml.MappingStartEvent(None, None, True, flow_style=False), yaml.MappingEndEvent()
_SEQUENCE = yaml.SequenceStartEvent(None, None, True, flow_style=False), yaml.SequenceEndEvent()


class _Texts(dict[str, Any]):
    """The event of each text: keys and most values come again and again."""

    def __missing__(self, text: str) -> Any:
        style = None
        if "\n" in text and not _UNFIT_FOR_A_BLOCK.search(text):
            style = "|"
        elif not is_text(text):  # libyaml quotes what it would misread itself; this is what Argo would
            style = "'"
        plain = _RESOLVER.resolve(yaml.ScalarNode, text, (True, False)) == _STR
        event = yaml.ScalarEvent(None, None, (plain, True), str(text), style=style)
        self[text] = event
        return event


def _scalar(value: Any) -> Any:
    """The event of a number, a boolean or null.

    Raises ManifestError for a number that JSON has no form for, and yaml.representer.RepresenterError for
    what YAML has none for.
    """
    if isinstance(value, float) and not math.isfinite(value):
        raise ManifestError(f"{value} is no number that Argo can read; give it as a text")
    node = _REPRESENTER.represent_data(value)
    return yaml.ScalarEvent(None, node.tag, (True, False), node.value)


def _write(manifest: dict[str, Any], stream: IO[str]) -> None:
    """Write the events themselves: the nodes that PyYAML makes of data first take four fifths of the time."""
    emit = _Writer(stream, width=1_000_000, allow_unicode=True).emit
    texts = _Texts()

    def walk(value: Any) -> None:
        if isinstance(value, str):
            emit(texts[value])
        elif isinstance(value, dict):
            emit(_MAPPING[0])
            for key, inner in value.items():
                walk(key)
                walk(inner)
            emit(_MAPPING[1])
        elif isinstance(value, (list, tuple)):
            emit(_SEQUENCE[0])
            for inner in value:
                walk(inner)
            emit(_SEQUENCE[1])
        else:
            emit(_scalar(value))

    emit(yaml.StreamStartEvent())
    emit(yaml.DocumentStartEvent(explicit=False))
    walk(manifest)
    emit(yaml.DocumentEndEvent(explicit=False))
    emit(yaml.StreamEndEvent())


@contextmanager
def paused() -> Iterator[None]:
    """Collect nothing during the block, which is for the whole process.

    The collector looks through all objects each time their number has grown by a quarter, which finds no
    garbage in a manifest that is being built and costs a third of the time at 5000 tasks.
    """
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if on:
            gc.enable()


@paused()
def to_yaml(manifest: dict[str, Any]) -> str:
    """A manifest as YAML, with an empty line before each template.

    Raises ManifestError for a number that JSON, and so Argo, has no form for.
    """
    stream = io.StringIO()
    _write(manifest, stream)
    text = stream.getvalue()
    head, mark, tail = text.partition("templates:\n")
    if not mark:
        return text
    return head + mark + _spaced(tail)


def _spaced(templates: str) -> str:
    lines = templates.splitlines(keepends=True)
    first = _TEMPLATE.match(lines[0]) if lines else None
    if first is None:
        return templates
    start = first["indent"] + "- name: "
    return lines[0] + "".join(("\n" + line) if line.startswith(start) else line for line in lines[1:])
