"""Text with tags: `{{name}}` stands for a value, `{{=...}}` for the value of an expression."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from argosy.errors import LanguageError
from argosy.manifest import golang
from argosy.manifest.expressions import ExpressionError, evaluate, reads, roots
from argosy.manifest.functions import FUNCTIONS

ROOTS = frozenset(
    {"inputs", "outputs", "item", "workflow", "tasks", "steps", "pod", "node", "retries", "lastRetry"}
)
"""First words that make a tag Argo's own."""

Rewrite = Callable[[str, bool, bool], str]


class TagError(LanguageError):
    """A tag that is not closed, or stands for nothing at the moment it is needed."""


@dataclass(frozen=True)
class Tag:
    """The text between the braces; `expression` marks the `{{=...}}` kind."""

    name: str
    expression: bool = False

    @property
    def names(self) -> frozenset[str]:
        """The names that it reads; of an expression that cannot be read none."""
        if not self.expression:
            return frozenset(name for tag in parse(self.name).tags for name in tag.names) or frozenset(
                {self.name}
            )
        try:
            return reads(self.name)
        except ExpressionError:
            return frozenset()


@dataclass(frozen=True)
class Text:
    """The text of a field: literal parts and tags in the order of the source.

    As in Argo, braces whose content does not begin with one of Argo's own roots (a Jinja or Helm snippet
    inside a script) are ordinary text.
    """

    source: str
    parts: tuple[str | Tag, ...]

    @property
    def tags(self) -> tuple[Tag, ...]:
        """The tags, in order."""
        return tuple(part for part in self.parts if isinstance(part, Tag))

    @property
    def names(self) -> frozenset[str]:
        """The names that its tags read."""
        return frozenset(name for tag in self.tags for name in tag.names)

    @property
    def only_tag(self) -> Tag | None:
        """The tag, if the text is that one tag and nothing else."""
        part = self.parts[0] if len(self.parts) == 1 else None
        return part if isinstance(part, Tag) else None

    def filled(self, value: str) -> str:
        """The text with the same value in place of each tag."""
        return "".join(value if isinstance(part, Tag) else part for part in self.parts)

    def render(self, values: Mapping[str, Any], rewrite: Rewrite | None = None) -> str:
        """Put values in place of the tags; a tag within a tag first, values are never looked at again.

        `rewrite(literal, after_tag, before_tag)` may change a literal part; values are never rewritten.
        Raises TagError, naming the tag, where there is no value, and ExpressionError.
        """
        rendered = []
        for index, part in enumerate(self.parts):
            if isinstance(part, Tag):
                rendered.append(_value(part, values))
            elif rewrite is None:
                rendered.append(part)
            else:
                rendered.append(rewrite(part, index > 0, index + 1 < len(self.parts)))
        return "".join(rendered)


def _value(tag: Tag, values: Mapping[str, Any]) -> str:
    if tag.expression:
        _check_names(tag.name, values)
        return value_text(tag.name, evaluate(tag.name, values))
    name = parse(tag.name).render(values) if "{{" in tag.name else tag.name
    value = values.get(name)
    if value is None:
        raise TagError(f"cannot resolve {{{{{name}}}}}: it has no value here")
    return str(value)


def _check_names(expression: str, values: Mapping[str, Any]) -> None:
    """The engine looks for each name before it evaluates a tag's expression: also for those of `let`."""
    there = {name.partition(".")[0] for name in values} | FUNCTIONS.keys() | {"sprig", "$env"}
    for name in sorted(roots(expression) - there):
        raise TagError(f"expression '{expression}': there is no {name!r} here")


_LOST = re.compile(r"[\x00-\x07\x0b\x0e-\x1f\x7f]")


def carried(name: str, value: str) -> str:
    """A value, if the engine can put it into a text: it fails at control characters. Raises TagError."""
    found = _LOST.search(value)
    if found:
        raise TagError(
            f"the value of {{{{{name}}}}} holds the character {found[0]!r}, which cannot be passed"
        )
    return value


@lru_cache(maxsize=8192)
def parse(source: str) -> Text:
    """Split the text of a field; never fails: what is not a tag is literal."""
    parts: list[str | Tag] = []
    literal: list[str] = []
    position = 0
    while (start := source.find("{{", position)) >= 0:
        literal.append(source[position:start])
        end = _closing(source, start)
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


def _closing(source: str, start: int) -> int:
    """Where the tag that opens at `start` closes: behind the tags within it, unless it is an expression."""
    end = source.find("}}", start)
    if source.startswith("{{=", start):
        return end
    inner = source.find("{{", start + 2, end)
    while 0 <= inner < end:
        end, inner = source.find("}}", end + 2), source.find("{{", end)
    return end


def spans(source: str) -> list[tuple[int, int]]:
    """Where the outermost tags of a text begin and end, whatever they name; what is not closed is no tag."""
    found = []
    start = source.find("{{")
    while start >= 0 and (end := _closing(source, start)) >= 0:
        found.append((start, end + 2))
        start = source.find("{{", end + 2)
    return found


def filled(source: str, words: Sequence[str]) -> str:
    """The text with a word in place of each of its outermost tags."""
    parts, done = [], 0
    for (start, end), word in zip(spans(source), words, strict=True):
        parts += [source[done:start], word]
        done = end
    return "".join([*parts, source[done:]])


def _flush(literal: list[str], parts: list[str | Tag]) -> None:
    joined = "".join(literal)
    if joined:
        parts.append(joined)
    literal.clear()


def _tag(content: str) -> Tag | None:
    if content.startswith("="):
        return Tag(content[1:].strip(), expression=True)
    name = content.strip()
    outer = (
        "".join(part if isinstance(part, str) else "" for part in parse(name).parts) if "{{" in name else name
    )
    known = name.split(".", 1)[0] in ROOTS
    return Tag(name) if known and not any(c.isspace() or c in "{}" for c in outer) else None


def render(text: str, values: Mapping[str, Any]) -> str:
    """A text with values in place of its tags, asked of the language alone, outside of any manifest.

    Args:
        text: whatever word a tag begins with, it is one; in a manifest's field braces may be another's
            (`parse`).
        values: flat, such as `{"inputs.parameters.n": "3"}`; they are not looked at again.

    Raises:
        TagError: a tag is not closed, or has no value.
        ExpressionError: an expression fails, or yields nothing.
    """
    rendered, at = [], 0
    while (start := text.find("{{", at)) >= 0:
        end = text.find("}}", start + 2)
        if end < 0:
            raise TagError(f"a tag is not closed: {text[start : start + 40]!r}; add }}}}")
        rendered += [text[at:start], _alone(text[start + 2 : end], values)]
        at = end + 2
    return "".join([*rendered, text[at:]])


def _alone(content: str, values: Mapping[str, Any]) -> str:
    """The text for a tag. Of one within another the engine replaces the inner one, and looks no further."""
    if content.startswith("="):
        return _value(Tag(content[1:], expression=True), values)
    outer, opened, inner = content.rpartition("{{")
    if opened and outer and values.get(inner) is not None:
        return f"{{{{{outer}{values[inner]}"
    name = content.strip()
    return carried(name, _value(Tag(name), values))


def value_text(expression: str, value: Any) -> str:
    """An expression's value: a text as it is, anything else as JSON. Raises ExpressionError for nothing."""
    if value is None:
        raise ExpressionError(f"expression '{expression}' yields nothing; give another value with ??")
    if isinstance(value, str):
        return value
    try:
        return golang.to_json(value, escape_html=False)
    except (ValueError, TypeError) as error:
        raise ExpressionError(f"expression '{expression}': its value cannot be written: {error}") from error
