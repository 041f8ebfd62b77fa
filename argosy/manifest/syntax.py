"""Expressions of `{{=...}}`, `expression` and `fromExpression`: cut into words and read into a tree.

The reader climbs precedences, as the engine's does, because its rules depend on the word before: `not in`,
`a < b < c`, `??` beside other operators, `|` with a call. A grammar without look-around cannot say those.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from argosy.errors import LanguageError


class ExpressionError(LanguageError):
    """An expression that the engine could not read, would refuse by its types, or fails to evaluate."""

    def __init__(self, why: str, at: int = 0, verdict: str = "") -> None:
        super().__init__(why)
        self.at = at
        self.verdict = verdict
        """Without the expression: `cannot be read: ...`, `cannot be evaluated: ...`."""


class Word(NamedTuple):
    """One word of an expression: an Operator, Bracket, Identifier, Number, String or the End."""

    kind: str
    text: str
    at: int

    def is_(self, kind: str, *texts: str) -> bool:
        """Whether it is of that kind and, where texts are given, one of them."""
        return self.kind == kind and (not texts or self.text in texts)


@dataclass(frozen=True, slots=True)
class Node:
    """A part of an expression: `kind` says which, `value` holds its name or constant."""

    kind: str
    at: int
    value: Any = None
    parts: tuple[Node, ...] = ()
    optional: bool = False


def walk(node: Node) -> Iterator[Node]:
    """A node and all that is below it."""
    yield node
    for part in node.parts:
        yield from walk(part)


_WORD_OPERATORS = frozenset(
    {"not", "in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let", "if", "else"}
)
_NEGATABLE = frozenset({"in", "matches", "contains", "startsWith", "endsWith"})
_COMPARISONS = frozenset({"<", ">", "<=", ">="})
_BINARY = {
    "|": 0,
    "or": 10,
    "||": 10,
    "and": 15,
    "&&": 15,
    **dict.fromkeys(("==", "!=", "<", ">", "<=", ">=", *_NEGATABLE), 20),
    "..": 25,
    "+": 30,
    "-": 30,
    "*": 60,
    "/": 60,
    "%": 60,
    "**": 100,
    "^": 100,
    "??": 500,
}
_UNARY = {"not": 50, "!": 50, "-": 90, "+": 90}
_RIGHT = frozenset({"**", "^"})

PREDICATES = {
    **dict.fromkeys(
        (
            "all",
            "none",
            "any",
            "one",
            "filter",
            "map",
            "find",
            "findIndex",
            "findLast",
            "findLastIndex",
            "groupBy",
        ),
        (2, 2),
    ),
    "count": (1, 2),
    "sum": (1, 2),
    "sortBy": (2, 3),
    "reduce": (2, 3),
}
"""Functions whose second argument is evaluated for each element, and how many arguments they take."""

_WORDS = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<Number>0[xX][0-9a-fA-F_]*|0[oO][0-7_]*|0[bB][01_]*
        |(?:[0-9][0-9_]*(?:\.(?!\.)[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9_]*)?)
    |(?P<Identifier>(?:[^\W\d]|\$)(?:\w|\$)*)
    |(?P<String>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`(?:``|[^`])*`)
    |(?P<Bracket>[()\[\]{}])
    |(?P<Operator>\?\.|\?\?|\?|\.\.|\.|::|:|\|\||\||[&!=*<>][&=*]?|[,;%+\-^/]|\#)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|.)", re.DOTALL)
_NAMED = dict(zip("abfnrtv\\'\"`", "\a\b\f\n\r\t\v\\'\"`", strict=True))


def words(source: str) -> tuple[Word, ...]:
    """The words of an expression, the End last. Raises ExpressionError at what is none."""
    found: list[Word] = []
    at = 0
    while at < len(source):
        match = _WORDS.match(source, at)
        if match is None:
            raise ExpressionError(_no_word(source, at), at)
        kind, text = str(match.lastgroup), match[0]
        if kind == "Number" and re.match(r"[\w$]", source[match.end() :]):
            raise ExpressionError(f"{text + source[match.end()]!r} is no number", at)
        if kind != "space":
            found.append(_word(kind, text, at))
        at = match.end()
    return (*found, Word("End", "", len(source)))


def _no_word(source: str, at: int) -> str:
    if source[at] in "'\"`":
        return "a text is not closed; add the quote that began it"
    return "a comment is not closed" if source.startswith("/*", at) else f"{source[at]!r} belongs to no word"


def _word(kind: str, text: str, at: int) -> Word:
    if kind == "Identifier" and text in _WORD_OPERATORS:
        return Word("Operator", text, at)
    if kind != "String":
        return Word(kind, text, at)
    inner = text[1:-1]
    if text[0] == "`":
        return Word(kind, inner.replace("``", "`"), at)
    if "\n" in inner:
        raise ExpressionError("a text in quotes goes over several lines; write \\n", at)
    return Word(kind, _ESCAPES.sub(lambda match: _unescaped(match[1], at), inner), at)


def _unescaped(escape: str, at: int) -> str:
    if escape[0] in "xuU" and len(escape) > 1:
        code = int(escape[1:], 16)
    elif escape[0].isdigit() and len(escape) == 3:
        code = int(escape, 8)
    elif escape in _NAMED:
        return _NAMED[escape]
    else:
        raise ExpressionError(f"\\{escape} is no escape", at)
    if code > 0x10FFFF:
        raise ExpressionError(f"\\{escape} is no character", at)
    return chr(code)


@lru_cache(maxsize=2048)
def parse(source: str) -> Node:
    """The tree of an expression. Raises ExpressionError naming the place and the word that is wrong."""
    reader = _Reader(source)
    node = reader.expression(0)
    while reader.word.is_("Operator", ";"):
        reader.next()
        if reader.word.kind == "End":
            break
        node = Node("sequence", node.at, None, (node, reader.expression(0)))
    if reader.word.kind != "End":
        raise reader.unexpected()
    return node


class _Reader:
    def __init__(self, source: str) -> None:
        self.words = words(source)
        self.position = 0
        self.depth = 0

    @property
    def word(self) -> Word:
        return self.words[self.position]

    def next(self) -> Word:
        word = self.word
        if word.kind == "End":
            raise ExpressionError("it ends where a value is wanted", word.at)
        self.position += 1
        return word

    def unexpected(self) -> ExpressionError:
        word = self.word
        if word.kind == "End":
            return ExpressionError("it ends too early", word.at)
        hint = "; == compares" if word.text == "=" else ""
        return ExpressionError(f"{word.text!r} cannot stand there{hint}", word.at)

    def expect(self, kind: str, *texts: str) -> Word:
        if not self.word.is_(kind, *texts):
            raise self.unexpected()
        return self.next()

    def expression(self, precedence: int) -> Node:
        """Everything that binds at least as tightly as `precedence`."""
        if precedence == 0 and self.word.is_("Operator", "let"):
            return self._let()
        if precedence == 0 and self.word.is_("Operator", "if"):
            return self._if()
        node = self._operators(self._primary(), precedence)
        return self._conditional(node) if precedence == 0 else node

    def _operators(self, left: Node, precedence: int) -> Node:
        before = ""
        while self.word.kind == "Operator":
            operator, start = self.word, self.position
            negated = operator.text == "not"
            if negated:
                self.next()
                if self.word.text not in _NEGATABLE:
                    raise self.unexpected()
                operator = self.word
            if _BINARY.get(operator.text, -1) < precedence:
                self.position = start
                break
            self.next()
            if before == "??" and operator.text not in ("??", "|"):
                raise ExpressionError(
                    f"?? and {operator.text} cannot be mixed; put one in parentheses", operator.at
                )
            left = self._binary(left, operator, negated)
            before = operator.text
        return left

    def _binary(self, left: Node, operator: Word, negated: bool) -> Node:
        if operator.text == "|":
            return self._call(self.expect("Identifier"), (left,))
        precedence = _BINARY[operator.text]
        if operator.text in _COMPARISONS:
            return self._comparison(left, operator, precedence)
        right = self.expression(precedence + (operator.text not in _RIGHT))
        node = Node("binary", operator.at, operator.text, (left, right))
        return Node("unary", operator.at, "not", (node,)) if negated else node

    def _comparison(self, left: Node, operator: Word, precedence: int) -> Node:
        root: Node | None = None
        while True:
            right = self.expression(precedence + 1)
            compared = Node("binary", operator.at, operator.text, (left, right))
            root = compared if root is None else Node("binary", operator.at, "&&", (root, compared))
            if not self.word.is_("Operator", *_COMPARISONS):
                return root
            left, operator = right, self.next()

    def _let(self) -> Node:
        self.next()
        name = self.expect("Identifier")
        self.expect("Operator", "=")
        value = self.expression(0)
        self.expect("Operator", ";")
        return Node("let", name.at, name.text, (value, self.expression(0)))

    def _if(self) -> Node:
        start = self.next()
        condition = self.expression(0)
        yes = self._block()
        self.expect("Operator", "else")
        no = self._if() if self.word.is_("Operator", "if") else self._block()
        return Node("conditional", start.at, None, (condition, yes, no))

    def _block(self) -> Node:
        self.expect("Bracket", "{")
        node = self.expression(0)
        self.expect("Bracket", "}")
        return node

    def _conditional(self, node: Node) -> Node:
        while self.word.is_("Operator", "?"):
            at = self.next().at
            if self.word.is_("Operator", ":"):
                self.next()
                node = Node("conditional", at, None, (node, node, self.expression(0)))
                continue
            yes = self.expression(0)
            self.expect("Operator", ":")
            node = Node("conditional", at, None, (node, yes, self.expression(0)))
        return node

    def _primary(self) -> Node:
        word = self.word
        if word.kind == "Operator" and word.text in _UNARY:
            self.next()
            node = Node("unary", word.at, word.text, (self.expression(_UNARY[word.text]),))
            return self._postfix(node)
        if word.is_("Bracket", "("):
            self.next()
            node = self.expression(0)
            self.expect("Bracket", ")")
            return self._postfix(node)
        if word.is_("Operator", "#", "."):
            return self._postfix(self._pointer())
        if word.is_("Operator", "::"):
            self.next()
            return self._postfix(self._call(self.expect("Identifier"), ()))
        return self._secondary()

    def _pointer(self) -> Node:
        word = self.word
        if not self.depth:
            raise ExpressionError(
                f"{word.text!r} stands for an element only within filter, map and their like", word.at
            )
        name = ""
        if word.text == "#":
            self.next()
            if self.word.kind == "Identifier" and self.word.at == word.at + 1:
                name = self.next().text
        return Node("pointer", word.at, name)

    def _secondary(self) -> Node:
        word = self.next() if self.word.kind in ("Identifier", "Number", "String") else self.word
        if word.kind == "Identifier":
            if word.text in ("true", "false", "nil"):
                return Node("constant", word.at, {"true": True, "false": False, "nil": None}[word.text])
            if self.word.is_("Bracket", "("):
                return self._postfix(self._call(word, ()))
            return self._postfix(Node("name", word.at, word.text))
        if word.kind == "Number":
            return Node("constant", word.at, _number(word))
        if word.kind == "String":
            return self._postfix(Node("constant", word.at, word.text))
        if word.is_("Bracket", "["):
            return self._postfix(Node("array", word.at, None, self._list("[", "]")))
        if word.is_("Bracket", "{"):
            return self._postfix(self._map())
        raise self.unexpected()

    def _list(self, opening: str, closing: str) -> tuple[Node, ...]:
        self.expect("Bracket", opening)
        nodes: list[Node] = []
        while not self.word.is_("Bracket", closing):
            if nodes:
                self.expect("Operator", ",")
                if self.word.is_("Bracket", closing):
                    break
            nodes.append(self.expression(0))
        self.expect("Bracket", closing)
        return tuple(nodes)

    def _map(self) -> Node:
        start = self.expect("Bracket", "{")
        pairs: list[Node] = []
        while not self.word.is_("Bracket", "}"):
            if pairs:
                self.expect("Operator", ",")
                if self.word.is_("Bracket", "}"):
                    break
            key = self._key()
            self.expect("Operator", ":")
            pairs.append(Node("pair", key.at, None, (key, self.expression(0))))
        self.expect("Bracket", "}")
        return Node("map", start.at, None, tuple(pairs))

    def _key(self) -> Node:
        if self.word.kind in ("Number", "String", "Identifier"):
            word = self.next()
            return Node("constant", word.at, word.text)
        if self.word.is_("Bracket", "("):
            return self.expression(0)
        raise self.unexpected()

    def _call(self, name: Word, before: tuple[Node, ...]) -> Node:
        if name.text not in PREDICATES:
            return Node("call", name.at, name.text, (*before, *self._list("(", ")")))
        least, most = PREDICATES[name.text]
        arguments = list(before)
        self.expect("Bracket", "(")
        while not self.word.is_("Bracket", ")") and len(arguments) < most:
            if len(arguments) > len(before):
                self.expect("Operator", ",")
            arguments.append(self._predicate() if len(arguments) == 1 else self.expression(0))
        if self.word.is_("Operator", ","):
            self.next()
        self.expect("Bracket", ")")
        if len(arguments) < least:
            raise ExpressionError(f"{name.text} takes a list and what to ask of each element", name.at)
        return Node("call", name.at, name.text, tuple(arguments))

    def _predicate(self) -> Node:
        start = self.word
        self.depth += 1
        node = self._block() if start.is_("Bracket", "{") else self.expression(0)
        self.depth -= 1
        return Node("predicate", start.at, None, (node,))

    def _postfix(self, node: Node) -> Node:
        """Members and elements of a value. A chain with `?.` ends at a plain `[`, as the engine reads it."""
        while self.word.is_("Operator", ".", "?.") or self.word.is_("Bracket", "["):
            if self.word.text == "[":
                node = self._index(_chained(node), False)
                continue
            optional = self.next().text == "?."
            node = (
                self._index(node, True)
                if optional and self.word.text == "["
                else self._member(node, optional)
            )
        return _chained(node)

    def _member(self, node: Node, optional: bool) -> Node:
        word = self.next()
        if word.kind != "Identifier" and not (word.kind == "Operator" and word.text.isidentifier()):
            raise ExpressionError("a name is wanted after the point", word.at)
        member = Node("member", word.at, None, (node, Node("constant", word.at, word.text)), optional)
        if self.word.is_("Bracket", "("):
            return Node("invoke", word.at, word.text, (member, *self._list("(", ")")))
        return member

    def _index(self, node: Node, optional: bool) -> Node:
        at = self.expect("Bracket", "[").at
        nothing = Node("constant", at, None)
        start = nothing if self.word.is_("Operator", ":") else self.expression(0)
        if not self.word.is_("Operator", ":"):
            self.expect("Bracket", "]")
            return Node("member", at, "[", (node, start), optional)
        self.next()
        end = nothing if self.word.is_("Bracket", "]") else self.expression(0)
        self.expect("Bracket", "]")
        return Node("slice", at, (start is not nothing, end is not nothing), (node, start, end))


def _chained(node: Node) -> Node:
    return Node("chain", node.at, None, (node,)) if _has_optional(node) else node


def _has_optional(node: Node) -> bool:
    """Whether a chain of members holds a `?.`: where that has no value, the whole chain has none."""
    while node.kind in ("member", "invoke", "slice"):
        if node.optional:
            return True
        node = node.parts[0]
    return False


def _number(word: Word) -> int | float:
    text = word.text.replace("_", "").lower()
    try:
        if text.startswith(("0x", "0o", "0b")):
            number: int | float = int(text, 0)
        else:
            number = float(text) if set(text) & set(".e") else int(text)
    except ValueError:
        raise ExpressionError(f"{word.text!r} is no number", word.at) from None
    if abs(number) > (2**63 - 1 if isinstance(number, int) else 1.7976931348623157e308):
        raise ExpressionError(f"the number {word.text} is too large", word.at)
    return number
