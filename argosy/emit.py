"""Manifests as text: deterministic, in reading order, quoted where a YAML reader might guess wrong."""

import re
from typing import Any

import yaml

from argosy import collector

# Texts that some YAML reader takes for a number or a boolean, though PyYAML would not quote them.
_MISREAD = re.compile(r"[-+]?(\d[\d_]*)?\.?\d+(\.\d*)?([eE][-+]?\d+)?|0[ox][0-9a-fA-F]+|[yYnN]")
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
    elif _MISREAD.fullmatch(text):
        style = "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style=style)


def _mapping(dumper: Any, mapping: dict[str, Any]) -> Any:
    return dumper.represent_mapping("tag:yaml.org,2002:map", mapping.items())


_Dumper.add_representer(str, _text)
_Dumper.add_multi_representer(str, _text)
_Dumper.add_multi_representer(dict, _mapping)


@collector.paused()
def to_yaml(manifest: dict[str, Any]) -> str:
    """A manifest as YAML, with an empty line before each template."""
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
