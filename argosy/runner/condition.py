"""`when` conditions, read as Argo's govaluate reads them after its tags were substituted.

Numbers, `true` and `false`, quoted strings, and bare words (a word that is no number is a string). As in
Argo, a bare word has letters, digits and underscores only: `stage-1` is a subtraction, so quote such
values. Equality compares type and value; an ordering needs two numbers or two strings; `&&`, `||` and `!`
need booleans.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from argosy.runner.errors import ConditionError
from argosy.runner.grammar import place_of
from argosy.runner.text import parse as parse_text

Value = str | float | bool

_GRAMMAR = r"""
?start: or
?or: and ("||" and)*
?and: comparison ("&&" comparison)*
?comparison: sum (COMPARATOR sum | IN list)*
?sum: product (SIGN product)*
?product: unary (FACTOR unary)*
?unary: "!" unary -> not | "-" unary -> negative | atom
list: "(" sum ("," sum)* ")"
?atom: "(" or ")" | NUMBER -> number | BOOLEAN -> boolean | WORD -> word
     | BRACKETED -> bracketed | STRING -> string

COMPARATOR: "==" | "!=" | ">=" | "<=" | "=~" | "!~" | ">" | "<"
IN.3: /in(?![\w])/
SIGN: "+" | "-"
FACTOR: "*" | "/" | "%"
NUMBER.2: /\d+(\.\d*)?([eE][+-]?\d+)?(?!\w)/ | /\.\d+(?!\w)/
BOOLEAN.3: /(true|false)(?!\w)/
WORD: /[^\W\d]\w*/
BRACKETED: /\[[^\]]+\]/
STRING: /"(\\.|[^"\\])*"/s | /'(\\.|[^'\\])*'/s
%ignore /\s+/
"""

_EQUALITY: dict[str, Callable[[Any, Any], bool]] = {"==": operator.eq, "!=": operator.ne}
_ORDERING: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
}


def evaluate(condition: str) -> bool:
    """Truth of a substituted condition. Raises ConditionError if it cannot be read or is not a boolean."""
    value = _evaluate(_parse(condition), condition)
    if not isinstance(value, bool):
        raise ConditionError(
            f"when '{condition}' is not a condition: its value is {value!r}, not true or false"
        )
    return value


def check_syntax(source: str) -> None:
    """Raise ConditionError if `source`, tags and all, is no condition whatever the values will be."""
    text = parse_text(source)
    try:
        _parse(text.render(lambda _: "x"))
    except ConditionError:
        _parse(text.render(lambda _: "1"))


@cache
def _parser() -> Lark:
    """Made when it is first needed: that takes longer than importing most modules."""
    return Lark(_GRAMMAR, parser="lalr", lexer="contextual", maybe_placeholders=False)


@lru_cache(maxsize=1024)
def _parse(condition: str) -> Tree[Token]:
    try:
        tree = _parser().parse(condition)
    except UnexpectedInput as error:
        where = place_of(error)
        raise ConditionError(
            f"cannot read when '{condition}' {where}; quote values that are not plain words or numbers"
        ) from error
    return tree if isinstance(tree, Tree) else Tree("start", [tree])


def _evaluate(tree: Tree[Token], source: str) -> Value:
    literal = _literal(tree)
    if literal is not None:
        return literal
    kind = str(tree.data)
    if kind in ("or", "and"):
        return _logical(kind, tree, source)
    first, *rest = tree.children
    value = _evaluate(_tree(first), source)
    if kind == "not":
        return not bool(_typed(value, bool, "!", source))
    if kind == "negative":
        return -float(_typed(value, float, "-", source))
    for symbol, right in zip(rest[::2], rest[1::2], strict=True):
        value = _binary(str(symbol), value, _tree(right), source)
    return value


def _literal(tree: Tree[Token]) -> Value | None:
    kind = tree.data
    text = str(tree.children[0]) if tree.children else ""
    if kind == "number":
        return float(text)
    if kind == "boolean":
        return text == "true"
    if kind == "word":
        return text
    if kind == "bracketed":
        return text[1:-1]
    if kind == "string":
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return None


def _logical(kind: str, tree: Tree[Token], source: str) -> bool:
    stop = kind == "or"
    symbol = "||" if stop else "&&"
    for child in tree.children:
        if bool(_typed(_evaluate(_tree(child), source), bool, symbol, source)) is stop:
            return stop
    return not stop


def _binary(symbol: str, left: Value, right: Tree[Token], source: str) -> Value:
    if symbol == "in":
        return any(_same(left, _evaluate(_tree(item), source)) for item in right.children)
    other = _evaluate(right, source)
    if symbol in _EQUALITY:
        return _EQUALITY[symbol](True, _same(left, other))
    if symbol in ("=~", "!~"):
        return _matches(left, other, source) is (symbol == "=~")
    if symbol in _ORDERING:
        if type(left) is not type(other) or isinstance(left, bool):
            raise ConditionError(
                f"when '{source}': {symbol} compares two numbers or two strings, not {left!r} and {other!r}"
            )
        return _ORDERING[symbol](left, other)
    if symbol == "+" and (isinstance(left, str) or isinstance(other, str)):
        return f"{_show(left)}{_show(other)}"
    numbers = (_typed(left, float, symbol, source), _typed(other, float, symbol, source))
    try:
        return _ARITHMETIC[symbol](*numbers)
    except ZeroDivisionError as error:
        raise ConditionError(f"when '{source}' divides by zero") from error


def _matches(value: Value, pattern: Value, source: str) -> bool:
    text = _typed(value, str, "=~", source)
    try:
        return re.search(_typed(pattern, str, "=~", source), text) is not None
    except re.error as error:
        raise ConditionError(f"when '{source}': {pattern!r} is not a regular expression: {error}") from error


def _same(left: Value, right: Value) -> bool:
    return type(left) is type(right) and left == right


def _typed(value: Value, wanted: type, symbol: str, source: str) -> Any:
    if type(value) is not wanted:
        names = {bool: "true or false", float: "a number", str: "a string"}
        raise ConditionError(f"when '{source}': {symbol} needs {names[wanted]}, not {value!r}")
    return value


def _show(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _tree(node: Tree[Token] | Token) -> Tree[Token]:
    return node if isinstance(node, Tree) else Tree("word", [node])
