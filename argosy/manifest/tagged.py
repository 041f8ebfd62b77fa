"""`{{...}}` in texts: finding the tags, and what they name.

Argo replaces text between the first `{{` and the next `}}`. A tag that starts with `=` is an expression of
expr-lang; any other is a plain name. Names that do not start with one of `PREFIXES` belong to somebody else
(Helm, Jinja, the user's own program) and are left alone.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from argosy.manifest.tags import filled, spans
from argosy.manifest.tree import Map, Path, Seq

PREFIXES = ("item.", "steps.", "inputs.", "outputs.", "pod.", "workflow.", "tasks.")
# Known only once the workflow runs; Argo lets whatever starts like them pass.
AT_RUN_TIME = ("workflow.creationTimestamp", "workflow.scheduledTime", "workflow.duration")
_NESTED = re.compile(r"(\{\{[^{}]*)\{\{\s*([^{}]+?)\s*\}\}")
NODE_NAMES = ("tasks.name", "steps.name", "node.name")


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag: the trimmed text between the braces, and where the text that holds it is."""

    text: str
    path: Path
    expression: bool = False

    @property
    def parts(self) -> list[str]:
        """The name's parts between the dots."""
        return self.text.split(".")


def split(value: str) -> Iterator[tuple[str, bool]]:
    """(text, is expression) of each closed tag in a string."""
    yield from (_inner(value[start:end]) for start, end in spans(value))


def _inner(tag: str) -> tuple[str, bool]:
    inner = tag[2:-2]
    return (inner[1:].strip(), True) if inner.startswith("=") else (inner.strip(), False)


def has_tag(value: Any) -> bool:
    """True if the text holds a tag, so that its value is known only later."""
    return isinstance(value, str) and "{{" in value


def walk(node: Any, path: Path) -> Iterator[tuple[str, Path]]:
    """Every string below `node` that may hold a tag, keys included, in order of writing."""
    stack: list[tuple[Any, Path]] = [(node, path)]
    while stack:
        value, where = stack.pop()
        if isinstance(value, str):
            yield value, where
        elif isinstance(value, Map):
            yield from ((k, (*where, k)) for k in value if "{{" in k)
            stack.extend([(v, (*where, k)) for k, v in reversed(value.items()) if _may_hold(v)])
        elif isinstance(value, Seq):
            stack.extend([(v, (*where, i)) for i, v in reversed(list(enumerate(value))) if _may_hold(v)])


def _may_hold(value: Any) -> bool:
    return "{{" in value if isinstance(value, str) else isinstance(value, Map | Seq)


def replace(value: str, by: Callable[[str, bool], str | None]) -> str:
    """The text with each tag replaced by what `by(tag, is expression)` says; None leaves it as it is."""
    written = [value[start:end] for start, end in spans(value)]
    new = [by(*_inner(tag)) for tag in written]
    return filled(value, [tag if word is None else word for tag, word in zip(written, new, strict=True)])


def fill_nested(value: str, known: Mapping[str, str]) -> str:
    """The text with the tags inside of other tags replaced where `known` has their value."""
    if value.count("{{") < 2:
        return value

    def filled(match: re.Match[str]) -> str:
        return match[1] + known[match[2]] if match[2] in known else match[0]

    return _NESTED.sub(filled, value)


def substitute(value: str, known: dict[str, str]) -> str:
    """The text with the plain tags in `known` replaced."""
    return replace(value, lambda tag, expression: None if expression else known.get(tag))
