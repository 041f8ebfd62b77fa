"""`when`: the condition of a step or task, read as the engine reads it once its tags were replaced.

The engine cuts the text into tokens, plans them by precedence and evaluates the plan. Rules that surprise:

- A bare word is letters, digits, `_` and `.`; it is a text. `stage-1` is a subtraction, `1e3` is a number and
  a word, `a.b` is an access that fails: quote such values.
- Both kinds of quotes end a text, whichever began it. A quoted date is a number of seconds.
- Operators are runs of signs: `!-1` and `==-1` are no operators.
- An operator directly before `)` has no right side: the value there is nothing.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any, NamedTuple

from argosy.errors import LanguageError
from argosy.manifest import golang, tags


class ConditionError(LanguageError):
    """A condition that the engine could not read, or that yields neither true nor false.

    `why` and `fix`: the same without the condition itself, for a message that has shown it.
    """

    def __init__(self, message: str, why: str = "", fix: str = "") -> None:
        super().__init__(message)
        self.why = why or message
        self.fix = fix


def _unreadable(text: str, why: str, fix: str = "") -> ConditionError:
    return ConditionError(f"cannot read when '{text}': {why}{'; ' if fix else ''}{fix}", why, fix)


class Token(NamedTuple):
    """One word of a condition; `kind` is the engine's name of what it is."""

    kind: str
    value: Any


class Node(NamedTuple):
    """A part of a condition: a `value`, a `prefix` or `binary` operator, or an `access` to an object."""

    kind: str
    value: Any = None
    parts: tuple[Node, ...] = ()


Plan = Callable[[], Any]

_VALUES = frozenset({"NUMERIC", "BOOLEAN", "STRING", "TIME", "PATTERN", "VARIABLE"})
_OPERATORS = frozenset({"MODIFIER", "COMPARATOR", "LOGICALOP", "CLAUSE_CLOSE", "SEPARATOR"})
_STARTS = frozenset({"PREFIX", "NUMERIC", "BOOLEAN", "VARIABLE", "ACCESSOR", "STRING", "TIME", "CLAUSE"})
_MAY_FOLLOW = {
    "": _STARTS,
    "CLAUSE": _STARTS | {"CLAUSE_CLOSE", "PATTERN"},
    "CLAUSE_CLOSE": _OPERATORS | _VALUES | {"CLAUSE", "TERNARY"},
    "NUMERIC": _OPERATORS | {"TERNARY"},
    "BOOLEAN": _OPERATORS | {"TERNARY"},
    "STRING": _OPERATORS | {"TERNARY"},
    "VARIABLE": _OPERATORS | {"TERNARY"},
    "TIME": _OPERATORS,
    "PATTERN": _OPERATORS,
    "ACCESSOR": _OPERATORS | {"TERNARY", "CLAUSE"},
    "MODIFIER": (_STARTS | {"CLAUSE_CLOSE"}) - {"TIME"},
    "COMPARATOR": _STARTS | {"CLAUSE_CLOSE", "PATTERN"},
    "LOGICALOP": _STARTS | {"CLAUSE_CLOSE"},
    "PREFIX": (_STARTS | {"CLAUSE_CLOSE"}) - {"PREFIX", "STRING", "TIME"},
    "TERNARY": _STARTS | {"SEPARATOR"},
    "SEPARATOR": _STARTS,
}
_MAY_END = _VALUES | {"CLAUSE_CLOSE", "ACCESSOR"}

_SIGNS = {
    "PREFIX": frozenset({"-", "!", "~"}),
    "MODIFIER": frozenset({"+", "-", "*", "/", "%", "**", "&", "|", "^", ">>", "<<"}),
    "LOGICALOP": frozenset({"&&", "||"}),
    "COMPARATOR": frozenset({"==", "!=", ">", ">=", "<", "<=", "=~", "!~"}),
    "TERNARY": frozenset({"?", ":", "??"}),
}
_LEVELS: tuple[tuple[str, frozenset[str]], ...] = (
    ("SEPARATOR", frozenset({","})),
    ("TERNARY", _SIGNS["TERNARY"]),
    ("LOGICALOP", frozenset({"||"})),
    ("LOGICALOP", frozenset({"&&"})),
    ("COMPARATOR", _SIGNS["COMPARATOR"] | {"in"}),
    ("MODIFIER", frozenset({"^", "&", "|"})),
    ("MODIFIER", frozenset({">>", "<<"})),
    ("MODIFIER", frozenset({"+", "-"})),
    ("MODIFIER", frozenset({"*", "/", "%"})),
    ("MODIFIER", frozenset({"**"})),
)
"""Operators from the loosest to the tightest."""


def evaluate(text: str) -> bool:
    """Truth of a condition whose tags are replaced. Raises ConditionError where the engine fails."""
    try:
        value = _compiled(text)()
    except RecursionError:
        raise ConditionError(f"when '{text[:60]}...' is nested too deeply") from None
    if not isinstance(value, bool):
        shown = golang.show(value)
        raise ConditionError(
            f"when '{text}' is no condition: its value is {shown!r}; compare it with another"
        )
    return value


def check(source: str) -> None:
    """Raise ConditionError if `source`, tags and all, is no condition whatever the values will be."""
    spans = tags.spans(source)
    if not spans:
        evaluate(source)
        return
    try:
        read(source)
    except ConditionError as error:
        if _SIDE_BY_SIDE.search(source) or _is_read(tags.filled(source, ["1"] * len(spans))):
            return
        raise error


def read(source: str) -> Node:
    """The parts of a condition, a word of letters for each of its tags; `tag_of` tells which.

    Raises ConditionError where it cannot be read with such values.
    """
    spans = tags.spans(source)
    letters = [chr(_TAG + at) for at in range(len(spans))]
    try:
        return _parsed(tags.filled(source, letters))
    except ConditionError as error:
        shown = {letter: source[start:end] for letter, (start, end) in zip(letters, spans, strict=True)}
        why = "".join(shown.get(char, char) for char in error.why)
        raise _unreadable(source, why, error.fix) from error


def with_tags(value: str, source: str) -> str:
    """A text of `read` as it is written: with its tags."""
    found = tags.spans(source)
    places = ((char, ord(char) - _TAG) for char in value)
    return "".join(source[slice(*found[at])] if 0 <= at < len(found) else char for char, at in places)


_TAG = 0x20000  # letters that nobody writes stand for tags while a condition is read
# A tag may stand for an operator where another word is beside it.
_SIDE_BY_SIDE = re.compile(r"\}\}\s+(?!in\b|IN\b)[\w'\"({]|[\w'\")}](?<!\bin)(?<!\bIN)\s+\{\{")


def _is_read(text: str) -> bool:
    try:
        _parsed(text)
    except ConditionError:
        return False
    return True


@lru_cache(maxsize=4096)
def _compiled(text: str) -> Plan:
    return _compile(_parsed(text), text)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Node:
    tokens = _tokens(text)
    _check_order(tokens, text)
    words = [Token("STRING", t.value) if t.kind == "VARIABLE" else t for t in tokens]
    _check_order(words, text)
    try:
        return _Reading(_with_patterns(words, text)).whole()
    except RecursionError:
        raise _unreadable(f"{text[:60]}...", "it is nested too deeply") from None


_QUOTE = "put values that are not plain words or numbers in quotes"


class _Reader:
    """The characters of a condition, and what they are cut into."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def error(self, why: str, fix: str = _QUOTE) -> ConditionError:
        return _unreadable(self.text, why, fix)

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def run(self, belongs: Callable[[str], bool], *, spaces: bool = False) -> tuple[str, bool]:
        """Characters as long as they belong, and whether one that does not ended them; `\\` takes any."""
        taken: list[str] = []
        while char := self.peek():
            if char == "\\":
                taken.append(self._escaped())
                continue
            if char.isspace() and not spaces:
                if taken:
                    return "".join(taken), False
            elif belongs(char):
                taken.append(char)
            else:
                return "".join(taken), True
            self.at += 1
        return "".join(taken), False

    def _escaped(self) -> str:
        char = self.text[self.at + 1 : self.at + 2]
        if not char:
            raise self.error("nothing follows the last backslash")
        self.at += 2
        return char

    def between(self, closers: str, what: str) -> str:
        """Text up to one of `closers`, which is skipped; the opening character was not."""
        self.at += 1
        text, closed = self.run(lambda char: char not in closers, spaces=True)
        if not closed:
            raise self.error(f"{what} is not closed", f"add {closers[0]}")
        self.at += 1
        return text


def _is_digit(char: str) -> bool:
    return char.isdecimal() or char == "."


def _is_word(char: str) -> bool:
    return char.isalpha() or char.isdecimal() or char in "_."


def _is_sign(char: str) -> bool:
    return not (char.isdecimal() or char.isalpha() or char in "()[]'\"")


def _tokens(text: str) -> list[Token]:
    reader = _Reader(text)
    tokens: list[Token] = []
    while char := reader.peek():
        if char.isspace():
            reader.at += 1
            continue
        tokens.append(_next(reader, char, tokens[-1].kind if tokens else ""))
    depth = sum((t.kind == "CLAUSE") - (t.kind == "CLAUSE_CLOSE") for t in tokens)
    if depth:
        raise reader.error("its parentheses are not balanced", "close each one that is opened")
    return tokens


def _next(reader: _Reader, char: str, before: str) -> Token:
    if _is_digit(char):
        return _number(reader)
    if char in ",()":
        reader.at += 1
        return Token({",": "SEPARATOR", "(": "CLAUSE", ")": "CLAUSE_CLOSE"}[char], char)
    if char == "[":
        return Token("VARIABLE", reader.between("]", "a bracket"))
    if char.isalpha():
        return _word(reader)
    if char in "'\"":
        text = reader.between("'\"", "a text in quotes")
        seconds = _seconds(text)
        return Token("STRING", text) if seconds is None else Token("TIME", seconds)
    return _sign(reader, before)


def _number(reader: _Reader) -> Token:
    following = reader.text[reader.at + 1 : reader.at + 3]
    if reader.peek() == "0" and len(following) == 2 and following[0] == "x":
        reader.at += 2
        digits, _ = reader.run(lambda char: char.lower() in "0123456789abcdef")
        if not re.fullmatch("[0-9A-Fa-f]+", digits) or int(digits, 16) >= 2**64:
            raise reader.error(f"0x{digits} is no hexadecimal number")
        return Token("NUMERIC", float(int(digits, 16)))
    digits, _ = reader.run(_is_digit)
    if not re.fullmatch(r"[0-9]+\.?[0-9]*|\.[0-9]+", digits):
        raise reader.error(f"{digits!r} is no number")
    return Token("NUMERIC", float(digits))


def _word(reader: _Reader) -> Token:
    word, _ = reader.run(_is_word)
    if word in ("true", "false"):
        return Token("BOOLEAN", word == "true")
    if word in ("in", "IN"):
        return Token("COMPARATOR", "in")
    if word.find(".") <= 0:
        return Token("VARIABLE", word)
    fields = word.split(".")[1:]
    if not fields[-1]:
        raise reader.error(f"nothing follows the point of {word!r}")
    unexported = next((field for field in fields if field[:1].upper() != field[:1]), None)
    if unexported is not None:
        raise reader.error(f"{word!r} reads as a field {unexported!r} of an object")
    return Token("ACCESSOR", word)


def _sign(reader: _Reader, before: str) -> Token:
    sign, _ = reader.run(_is_sign)
    if "PREFIX" in _MAY_FOLLOW[before] and sign in _SIGNS["PREFIX"]:
        return Token("PREFIX", sign)
    for kind in ("MODIFIER", "LOGICALOP", "COMPARATOR", "TERNARY"):
        if sign in _SIGNS[kind]:
            return Token(kind, sign)
    raise reader.error(
        f"{sign!r} is no operator", "put the value in quotes, or put a space between operators"
    )


def _refuse_order(text: str, tokens: list[Token], token: Token) -> None:
    if tokens and tokens[-1].kind == "VARIABLE" and token.kind == "CLAUSE":
        raise _unreadable(text, f"there is no function {tokens[-1].value!r}")
    before = f"follow {golang.show(tokens[-1].value)!r}" if tokens else "begin it"
    raise _unreadable(text, f"{golang.show(token.value)!r} cannot {before}", _QUOTE)


def _check_order(tokens: list[Token], text: str) -> None:
    before = ""
    for at, token in enumerate(tokens):
        if token.kind not in _MAY_FOLLOW[before]:
            _refuse_order(text, tokens[:at], token)
        before = token.kind
    if before not in _MAY_END:
        raise _unreadable(text, "it ends where a value is wanted")


def _with_patterns(tokens: list[Token], text: str) -> list[Token]:
    """Texts to the right of `=~` and `!~` as regular expressions."""
    out = list(tokens)
    for at, token in enumerate(tokens[:-1]):
        if token.kind == "COMPARATOR" and token.value in ("=~", "!~") and tokens[at + 1].kind == "STRING":
            out[at + 1] = Token("PATTERN", _pattern(str(tokens[at + 1].value), text))
    return out


class _Pattern(str):
    """The source of a regular expression that was compiled before the evaluation."""


def _pattern(source: str, text: str) -> _Pattern:
    _regex(source, text)
    return _Pattern(source)


def _regex(source: str, text: str) -> re.Pattern[str]:
    try:
        return golang.regex(source)
    except ValueError as error:
        raise ConditionError(f"when '{text}': {source!r} is no regular expression: {error}") from error


_DATES = (
    "%a %b %d %H:%M:%S %Y",
    "%a %b %d %H:%M:%S %Z %Y",
    "%a %b %d %H:%M:%S %z %Y",
    "%I:%M%p",
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M:%S%z",
    "%Y-%m-%dT%H%z",
    "%Y-%m-%dT%H:%M%z",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S.%f%z",
)
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}|[A-Z][a-z]{2} [A-Z][a-z]{2} |\d{1,2}:\d{2}[AP]M$")


def _seconds(text: str) -> float | None:
    """Seconds since 1970 if the text is a date in one of the forms that the engine takes for dates."""
    if not _DATED.match(text):
        return None
    for form in _DATES:
        try:
            moment = datetime.strptime(text, form)
        except ValueError:
            continue
        if form == "%I:%M%p":
            moment = moment.replace(year=1)  # Go's year 0 is no year of Python's: only its order counts
        return float(int((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()))
    return None


class _Reading:
    """Tokens to parts.

    As in the engine, tokens that follow a complete condition are not looked at, and a parenthesis closes at
    the first token that does not continue what is in it.
    """

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.at = 0

    def whole(self) -> Node:
        return self._level(0) or _NOTHING

    def _level(self, level: int) -> Node | None:
        if level == len(_LEVELS):
            return self._value()
        left = self._level(level + 1)
        kind, symbols = _LEVELS[level]
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if token.kind != kind or token.value not in symbols:
                break
            self.at += 1
            right = self._level(level + 1)
            left = Node("binary", token.value, (left or _NOTHING, right or _NOTHING))
        return left

    def _value(self) -> Node | None:
        if self.at >= len(self.tokens):
            return None
        kind, value = self.tokens[self.at]
        if kind == "CLAUSE_CLOSE":
            return None
        self.at += 1
        if kind == "CLAUSE":
            inner = self._level(0)
            self.at += 1
            return inner or _NOTHING
        if kind == "PREFIX":
            return Node("prefix", value, (self._value() or _NOTHING,))
        if kind == "ACCESSOR":
            if self.at < len(self.tokens) and self.tokens[self.at].kind == "CLAUSE":
                self._level(0)
            return Node("access", value)
        return Node("value", value)


_NOTHING = Node("value")


def _compile(node: Node, text: str) -> Plan:
    """A function without arguments that yields the value."""
    if node.kind == "access":
        return _access(node.value, text)
    if node.kind == "value":
        value = node.value
        return lambda: value
    first, *rest = (_compile(part, text) for part in node.parts)
    return _binary(node.value, first, rest[0], text) if rest else _unary(node.value, first, text)


def _access(name: str, text: str) -> Plan:
    def fail() -> Any:
        raise ConditionError(f"when '{text}': there is no object {name.partition('.')[0]!r}; quote {name!r}")

    return fail


def _unary(symbol: str, value: Plan, text: str) -> Plan:
    wanted: type = bool if symbol == "!" else float
    acts: dict[str, Callable[[Any], Any]] = {"!": operator.not_, "-": operator.neg, "~": _inverted}
    apply = acts[symbol]

    def plan() -> Any:
        return apply(_typed(value(), wanted, symbol, text))

    return plan


def _binary(symbol: str, left: Plan, right: Plan, text: str) -> Plan:
    if symbol in ("&&", "||"):
        return _logical(symbol, left, right, text)
    if symbol in ("?", ":", "??"):
        return _choice(symbol, left, right, text)
    if symbol in _NUMERIC:
        apply = _NUMERIC[symbol]
        return lambda: apply(_typed(left(), float, symbol, text), _typed(right(), float, symbol, text))
    if symbol in _ORDERING:
        return _ordering(symbol, left, right, text)
    if symbol in ("=~", "!~"):
        return lambda: _matches(left(), right(), symbol, text) is (symbol == "=~")
    acts: dict[str, Callable[..., Any]] = {
        "==": lambda first, second, text: golang.deep_equal(first, second),
        "!=": lambda first, second, text: not golang.deep_equal(first, second),
        ",": lambda first, second, text: [*first, second] if isinstance(first, list) else [first, second],
        "+": _sum,
        "in": _in,
    }
    act = acts[symbol]
    return lambda: act(left(), right(), text)


def _logical(symbol: str, left: Plan, right: Plan, text: str) -> Plan:
    decided = symbol == "||"

    def plan() -> Any:
        first = _typed(left(), bool, symbol, text)
        return first if first is decided else _typed(right(), bool, symbol, text)

    return plan


def _choice(symbol: str, left: Plan, right: Plan, text: str) -> Plan:
    if symbol == "?":
        return lambda: right() if _typed(left(), bool, symbol, text) else None

    def plan() -> Any:
        first = left()
        return right() if first is None else first

    return plan


def _ordering(symbol: str, left: Plan, right: Plan, text: str) -> Plan:
    compare = _ORDERING[symbol]

    def plan() -> Any:
        first, second = left(), right()
        if type(first) is type(second) and type(first) in (float, str):
            return compare(first, second)
        raise ConditionError(
            f"when '{text}': {symbol} compares two numbers or two texts, "
            f"not {golang.show(first)!r} and {golang.show(second)!r}"
        )

    return plan


def _matches(value: Any, pattern: Any, symbol: str, text: str) -> bool:
    source = _typed(pattern, str, symbol, text)
    return _regex(source, text).search(_typed(value, str, symbol, text)) is not None


def _sum(first: Any, second: Any, text: str) -> Any:
    if isinstance(first, str) or isinstance(second, str):
        return f"{golang.show(first)}{golang.show(second)}"
    return _typed(first, float, "+", text) + _typed(second, float, "+", text)


def _in(value: Any, values: Any, text: str) -> Any:
    if not isinstance(values, list):
        raise ConditionError(
            f"when '{text}': in needs two or more values in parentheses, not {golang.show(values)!r}"
        )
    return any(type(value) is type(item) and value == item for item in values)


_NAMES = {bool: "true or false", float: "a number", str: "a text"}


def _typed(value: Any, wanted: type, symbol: str, text: str) -> Any:
    if not isinstance(value, wanted):
        raise ConditionError(f"when '{text}': {symbol} needs {_NAMES[wanted]}, not {golang.show(value)!r}")
    return value


def _whole(number: float) -> int:
    """A float as a 64-bit integer; one that does not fit becomes the least one, as processors do it."""
    return int(number) if math.isfinite(number) and abs(number) < 2**63 else -(2**63)


def _inverted(number: float) -> float:
    return float(~_whole(number))


def _bitwise(act: Callable[[int, int], int]) -> Callable[[float, float], float]:
    return lambda left, right: float(act(_whole(left), _whole(right)))


def _shift(act: Callable[[int, int], int]) -> Callable[[float, float], float]:
    return lambda left, right: float(act(_whole(left) % 2**64, min(_whole(right) % 2**64, 64)) % 2**64)


def _divided(left: float, right: float) -> float:
    if right:
        return left / right
    return (
        math.nan if math.isnan(left) or not left else math.copysign(math.inf, left) * math.copysign(1, right)
    )


def _remainder(left: float, right: float) -> float:
    return math.fmod(left, right) if right and math.isfinite(left) else math.nan


_NUMERIC: dict[str, Callable[[float, float], float]] = {
    "-": operator.sub,
    "*": operator.mul,
    "/": _divided,
    "%": _remainder,
    "**": golang.power,
    "&": _bitwise(operator.and_),
    "|": _bitwise(operator.or_),
    "^": _bitwise(operator.xor),
    "<<": _shift(operator.lshift),
    ">>": _shift(operator.rshift),
}
_ORDERING: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
