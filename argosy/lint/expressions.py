"""`{{...}}` in texts: finding the tags, and what they name.

Argo replaces text between the first `{{` and the next `}}`. A tag that starts with `=` is an expression of
expr-lang; any other is a plain name. Names that do not start with one of `PREFIXES` belong to somebody else
(Helm, Jinja, the user's own program) and are left alone.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from argosy.lint.tree import Map, Seq
from argosy.lint.violation import Path

PREFIXES = ("item.", "steps.", "inputs.", "outputs.", "pod.", "workflow.", "tasks.")
# Known only once the workflow runs; Argo lets whatever starts like them pass.
AT_RUN_TIME = ("workflow.creationTimestamp", "workflow.scheduledTime", "workflow.duration")
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
    start = value.find("{{")
    while start >= 0:
        end = value.find("}}", start + 2)
        if end < 0:
            return
        inner = value[start + 2 : end]
        if inner.startswith("="):
            yield inner[1:].strip(), True
        else:
            yield inner.strip(), False
        start = value.find("{{", end + 2)


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
    parts, done = [], 0
    start = value.find("{{")
    while start >= 0 and (end := value.find("}}", start + 2)) >= 0:
        inner = value[start + 2 : end]
        expression = inner.startswith("=")
        new = by(inner[expression:].strip(), expression)
        if new is not None:
            parts += [value[done:start], new]
            done = end + 2
        start = value.find("{{", end + 2)
    return "".join(parts) + value[done:]


def substitute(value: str, known: dict[str, str]) -> str:
    """The text with the plain tags in `known` replaced."""
    return replace(value, lambda tag, expression: None if expression else known.get(tag))
