"""`retryStrategy.expression`: a condition on the last attempt, in the part of expr that retries use.

`lastRetry.exitCode`, `.status`, `.duration` and `.message` are strings; `asInt(...)` and `asFloat(...)` make
numbers.
Operators: `== != < <= > >= matches contains in`, `&& || !` and their words, parentheses, lists.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from argosy.runner.errors import ConditionError
from argosy.runner.text import parse as parse_text

FIELDS = frozenset(f"lastRetry.{name}" for name in ("exitCode", "status", "duration", "message"))
"""What is known of the last attempt."""

_GRAMMAR = r"""
?start: or
?or: and (("||" | "or") and)*
?and: unary (("&&" | "and") unary)*
?unary: ("!" | "not") unary -> not | comparison
?comparison: atom [OPERATOR atom]
?atom: "(" or ")" | call | NUMBER -> number | BOOLEAN -> boolean | STRING -> string | FIELD -> field | list
call: FUNCTION "(" atom ")"
list: "[" [atom ("," atom)*] "]"
OPERATOR: "==" | "!=" | ">=" | "<=" | ">" | "<" | "matches" | "contains" | "in"
FUNCTION: "asInt" | "asFloat" | "int" | "float"
FIELD: "lastRetry." /[A-Za-z]+/
BOOLEAN.2: "true" | "false"
NUMBER: /-?\d+(\.\d+)?/
STRING: /"(\\.|[^"\\])*"/ | /'(\\.|[^'\\])*'/
%ignore /\s+/
"""
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {"asInt": int, "int": int, "asFloat": float, "float": float}
_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "matches": lambda text, pattern: re.search(pattern, text) is not None,
    "contains": operator.contains,
    "in": lambda value, values: value in values,
}


def check_expression(source: str) -> None:
    """Raise ConditionError if the expression cannot be evaluated here, whatever its tags' values."""
    tree = _parse(parse_text(bare(source)).render(lambda _: "1"))
    for node in tree.find_data("field"):
        if str(node.children[0]) not in FIELDS:
            raise ConditionError(
                f"expression '{source}': {node.children[0]} is none of {', '.join(sorted(FIELDS))}"
            )


def holds(source: str, last: Mapping[str, str]) -> bool:
    """Truth of a bare expression without tags; `last` has a text for each of FIELDS."""
    try:
        value = _evaluate(_parse(source), last)
    except (TypeError, ValueError, re.error) as error:
        raise ConditionError(f"expression '{source}' cannot be evaluated: {error}") from error
    if not isinstance(value, bool):
        raise ConditionError(f"expression '{source}' is {value!r}, not true or false")
    return value


def bare(source: str) -> str:
    """The expression without the `{{=...}}` that it may stand in."""
    text = source.strip()
    return text[3:-2].strip() if text.startswith("{{=") and text.endswith("}}") else text


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", maybe_placeholders=False)


@lru_cache(maxsize=256)
def _parse(source: str) -> Tree[Token]:
    try:
        tree = _parser().parse(source)
    except UnexpectedInput as error:
        raise ConditionError(
            f"expression '{source}' cannot be read here; compare fields of lastRetry, joined by && and ||"
        ) from error
    return tree if isinstance(tree, Tree) else Tree("start", [tree])


def _evaluate(tree: Tree[Token], last: Mapping[str, str]) -> Any:
    text = str(tree.children[0]) if tree.children else ""
    match str(tree.data):
        case "number":
            return float(text) if "." in text else int(text)
        case "boolean":
            return text == "true"
        case "string":
            return re.sub(r"\\(.)", r"\1", text[1:-1])
        case "field":
            return last[text]
    if tree.data == "call":
        return _FUNCTIONS[text](_evaluate(_child(tree, 1), last))
    values = [_evaluate(child, last) for child in tree.children if isinstance(child, Tree)]
    match str(tree.data):
        case "list":
            return values
        case "not":
            return not values[0]
        case "or":
            return any(values)
        case "and":
            return all(values)
    return _OPERATORS[str(tree.children[1])](*values)


def _child(tree: Tree[Token], index: int) -> Tree[Token]:
    child = tree.children[index]
    return child if isinstance(child, Tree) else Tree("string", [child])
