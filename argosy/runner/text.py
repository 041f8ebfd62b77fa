"""Text with `{{tags}}`: parsed once, rendered once.

A rendered value is never looked at again, so a parameter whose value happens to contain `{{...}}` arrives
as it is. As in Argo, braces whose content does not begin with one of Argo's own roots (a Jinja or Helm
snippet inside a script) are ordinary text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from argosy.runner.errors import Unresolved

ROOTS = frozenset(
    {"inputs", "outputs", "item", "workflow", "tasks", "steps", "pod", "node", "retries", "lastRetry"}
)
"""First words that make a tag Argo's own."""

Lookup = Callable[[str], "str | None"]
Rewrite = Callable[[str, bool, bool], str]


@dataclass(frozen=True)
class Tag:
    """One `{{name}}`; `expression` marks the `{{=...}}` kind."""

    name: str
    expression: bool = False


@dataclass(frozen=True)
class Text:
    """Literal parts and tags in the order of the source."""

    source: str
    parts: tuple[str | Tag, ...]

    @property
    def tags(self) -> tuple[Tag, ...]:
        """The tags, in order."""
        return tuple(part for part in self.parts if isinstance(part, Tag))

    @property
    def only_tag(self) -> Tag | None:
        """The tag, if the text is that one tag and nothing else."""
        part = self.parts[0] if len(self.parts) == 1 else None
        return part if isinstance(part, Tag) else None

    def render(self, lookup: Lookup, rewrite: Rewrite | None = None) -> str:
        """Put values in place of the tags.

        `rewrite(literal, after_tag, before_tag)` may change a literal part; values are never rewritten.
        Raises Unresolved, naming the tag, where `lookup` knows no value.
        """
        rendered = []
        for index, part in enumerate(self.parts):
            if isinstance(part, Tag):
                rendered.append(_value(part, lookup))
            elif rewrite is None:
                rendered.append(part)
            else:
                rendered.append(rewrite(part, index > 0, index + 1 < len(self.parts)))
        return "".join(rendered)


def _value(tag: Tag, lookup: Lookup) -> str:
    value = lookup(tag.name)
    if value is None:
        raise Unresolved(tag.name)
    return value


@lru_cache(maxsize=4096)
def parse(source: str) -> Text:
    """Split `source` into literal parts and tags; never fails: what is not a tag is literal."""
    parts: list[str | Tag] = []
    literal: list[str] = []
    position = 0
    while (start := source.find("{{", position)) >= 0:
        literal.append(source[position:start])
        end = source.find("}}", start)
        tag = _tag(source[start + 2 : end]) if end >= 0 else None
        if tag is None:  # step over one brace only: `{{{item}}}` holds a tag
            literal.append("{")
            position = start + 1
            continue
        _flush(literal, parts)
        parts.append(tag)
        position = end + 2
    literal.append(source[position:])
    _flush(literal, parts)
    return Text(source, tuple(parts))


def _flush(literal: list[str], parts: list[str | Tag]) -> None:
    joined = "".join(literal)
    if joined:
        parts.append(joined)
    literal.clear()


def _tag(content: str) -> Tag | None:
    if content.startswith("="):
        return Tag(content[1:].strip(), expression=True)
    name = content.strip()
    known = name.split(".", 1)[0] in ROOTS
    return Tag(name) if known and not any(c.isspace() or c in "{}" for c in name) else None
