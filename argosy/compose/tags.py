"""The names inside of Argo's tags: `{{tasks.fit.outputs.parameters.score}}` and `{{=toJson(...)}}`.

A name is written with dots.  In an expression its words stand in brackets, `tasks['fit-2'].outputs`, because
a dash would be read as a subtraction.
"""

import json
import re
from collections.abc import Callable, Iterator

_SIMPLE = re.compile(r"\{\{\s*([A-Za-z][\w.-]*)\s*\}\}")
_EXPRESSION = re.compile(r"\{\{=(.*?)\}\}", re.S)
_PATH = re.compile(r"\b(?:inputs|tasks|loops|item)\b(?:\.\w+|\['[\w-]+'\])*")
_ROOTS = frozenset({"inputs", "tasks", "steps", "loops", "item", "workflow"})
_WORD = re.compile(r"[\w-]+")
_FIXED = frozenset({"outputs", "parameters", "artifacts", "result", "item", "status"})


def path_of(name: str) -> str:
    """A name as an expression writes it: `inputs.parameters['x']`."""
    first, *rest = name.split(".")
    return first + "".join(f".{word}" if word in _FIXED else f"['{word}']" for word in rest)


def names_in(text: str) -> Iterator[str]:
    """The names in the tags of a text, in order; in expressions those of inputs, tasks and items."""
    if "{{" not in text:
        return
    yield from _SIMPLE.findall(text)
    for expression in _EXPRESSION.findall(text):
        for path in _PATH.findall(expression):
            yield ".".join(_WORD.findall(path))


def tasks_in(text: str) -> list[str]:
    """The tasks whose outputs a text refers to, in order."""
    words = (name.split(".") for name in names_in(text))
    return list(dict.fromkeys(w[1] for w in words if w[0] == "tasks" and len(w) > 2))


def renamed(text: str, rename: Callable[[str], str]) -> str:
    """The text with another name in each of its tags, or the same."""
    if "{{" not in text:
        return text

    def expression(match: re.Match[str]) -> str:
        return f"{{{{={_PATH.sub(path, match[1])}}}}}"

    def path(match: re.Match[str]) -> str:
        name = ".".join(_WORD.findall(match[0]))
        new = rename(name)
        return match[0] if new == name else path_of(new)

    def simple(match: re.Match[str]) -> str:
        new = rename(match[1])
        return match[0] if new == match[1] else f"{{{{{new}}}}}"

    return _EXPRESSION.sub(expression, _SIMPLE.sub(simple, text))


def json_of_text(text: str) -> str:
    """A text with tags as it stands in JSON: Argo puts it together and escapes it."""
    parts, position = [], 0
    for match in _SIMPLE.finditer(text):
        if match[1].partition(".")[0] not in _ROOTS:
            continue  # another language's braces
        parts += [*_quoted(text[position : match.start()]), path_of(match[1])]
        position = match.end()
    parts += _quoted(text[position:])
    if not position:
        return json.dumps(text)
    return f"{{{{=toJson({' + '.join(parts)})}}}}"


def _quoted(text: str) -> list[str]:
    """A text as an expression writes it; none of it may end the tag."""
    if not text:
        return []
    escaped = json.dumps(text)[1:-1].replace('\\"', '"').replace("'", "\\'")
    return [f"'{escaped}'".replace("}}", "}' + '}")]
