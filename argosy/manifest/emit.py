"""Manifests as text: deterministic, in reading order, quoted where a reader would not take it for a text."""

import gc
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

from argosy.errors import ManifestError
from argosy.manifest.scalars import is_text

# A template's first line: the only mapping at this depth that starts with its name.
_TEMPLATE = re.compile(r"^(?P<indent> +)- name: ")

try:
    _Base: Any = yaml.CSafeDumper
except AttributeError:  # PyYAML built without libyaml: slower, the same text
    _Base = yaml.SafeDumper


class _Dumper(_Base):  # type: ignore[misc]
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: Any, text: str) -> Any:
    style = None
    if "\n" in text and not re.search(r"[ \t]\n|\A[ \t\n]", text):
        style = "|"
    elif not is_text(text):  # PyYAML quotes what it would misread itself; this is what Argo would
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style=style)


def _mapping(dumper: Any, mapping: dict[str, Any]) -> Any:
    return dumper.represent_mapping("tag:yaml.org,2002:map", mapping.items())


def _number(dumper: Any, number: float) -> Any:
    if not math.isfinite(number):
        raise ManifestError(f"{number} is no number that Argo can read; give it as a text")
    return dumper.represent_float(number)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(float, _number)
_Dumper.add_multi_representer(str, _text)
_Dumper.add_multi_representer(dict, _mapping)


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
    text = yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=1_000_000, allow_unicode=True)
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
