"""Static types of expressions: what the engine knows of values before it evaluates, and refuses then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from argosy.manifest import golang
from argosy.manifest.functions import FUNCTIONS, methods_of
from argosy.manifest.syntax import PREDICATES, ExpressionError, Node


@dataclass(frozen=True)
class Type:
    """A type by its kind; `element` is what a list or a map holds."""

    kind: str
    element: Type | None = None
    fields: frozenset[str] | None = None
    """Names of a map whose keys are all known, else None."""

    def __str__(self) -> str:
        return _SHOWN.get(self.kind, self.kind)

    @property
    def item(self) -> Type:
        """The type of its elements."""
        return self.element or ANY


ANY, NIL = Type("any"), Type("nil")
INT, FLOAT, BOOL, STRING = Type("int"), Type("float64"), Type("bool"), Type("string")
TIME, DURATION, LOCATION = Type("time"), Type("duration"), Type("location")
LIST, MAP = Type("list"), Type("map")
_SHOWN = {
    "any": "a value of unknown type",
    "nil": "nothing",
    "float64": "float",
    "list": "list",
    "int": "int",
}
_BY_NAME = {
    "int": INT,
    "float": FLOAT,
    "bool": BOOL,
    "string": STRING,
    "any": ANY,
    "list": LIST,
    "map": MAP,
    "time": TIME,
    "duration": DURATION,
    "location": LOCATION,
    "strings": Type("list", STRING),
}


_BY_CLASS = {type(None): NIL, bool: BOOL, int: INT, float: FLOAT, str: STRING, list: LIST, dict: MAP}


def type_for(kind: type) -> Type:
    """The static type of the values of a Python class."""
    return _BY_CLASS.get(kind, ANY)


def check(node: Node, known: Mapping[str, Type]) -> Type:
    """The type of an expression whose names are `known`. Raises ExpressionError as the engine refuses it."""
    return _Checker(known).visit(node)


class _Checker:
    def __init__(self, known: Mapping[str, Type]) -> None:
        self.known = dict(known)
        self.pointers: list[dict[str, Type]] = []

    def visit(self, node: Node) -> Type:
        kind: Type = getattr(self, f"_{node.kind}")(node)
        return kind

    def _constant(self, node: Node) -> Type:
        return type_for(type(node.value))

    def _name(self, node: Node) -> Type:
        if node.value in self.known:
            return self.known[node.value]
        if node.value == "$env":
            return MAP
        if node.value in FUNCTIONS:
            return Type("func")
        raise ExpressionError(f"there is no {node.value!r} here", node.at)

    def _unary(self, node: Node) -> Type:
        inner = self.visit(node.parts[0])
        if node.value in ("!", "not"):
            if inner in (BOOL, ANY):
                return BOOL
        elif _is_number(inner) or inner == ANY:
            return inner
        raise ExpressionError(f"{node.value} cannot be used with {inner}", node.at)

    def _binary(self, node: Node) -> Type:
        left, right = self.visit(node.parts[0]), self.visit(node.parts[1])
        operator = str(node.value)
        if operator == "??":
            return _coalesced(left, right)
        if operator == "in":
            self._check_in(node, left, right)
            return BOOL
        if operator == "matches":
            _check_pattern(node)
        if (
            operator == "%"
            and all(isinstance(part.value, int) for part in node.parts)
            and node.parts[1].value == 0
        ):
            raise ExpressionError("a division by zero", node.at)
        if operator in ("==", "!=") and _comparable(left, right):
            return BOOL
        for wanted_left, wanted_right, result in _OPERATIONS.get(operator, ()):
            if wanted_left(left) and wanted_right(right):
                return result(left, right) if callable(result) else result
        raise ExpressionError(
            f"{operator} cannot be used with {left} and {right}{_hint(left, right)}", node.at
        )

    def _check_in(self, node: Node, left: Type, right: Type) -> None:
        if right.kind == "map" and left not in (ANY, STRING):
            raise ExpressionError(f"{left} cannot be a key of a map", node.at)
        if right.kind == "list" and not _comparable(left, right.item):
            raise ExpressionError(
                f"{left} cannot be in a list of {right.item}{_hint(left, right.item)}", node.at
            )
        if right.kind not in ("map", "list", "any") and not (left == ANY and right == STRING):
            raise ExpressionError(f"in needs a list or a map, not {right}", node.at)

    def _chain(self, node: Node) -> Type:
        return self.visit(node.parts[0])

    def _member(self, node: Node) -> Type:
        base, key = self.visit(node.parts[0]), self.visit(node.parts[1])
        named = isinstance(node.parts[1].value, str) and node.parts[1].kind == "constant"
        if node.parts[0].kind == "name" and node.parts[0].value == "$env":
            return self.known.get(str(node.parts[1].value), ANY)
        if base == ANY:
            return ANY
        if named and node.parts[1].value in methods_of(base.kind):
            return ANY
        if base.kind == "map":
            if key not in (STRING, ANY):
                raise ExpressionError(f"{key} cannot be a key of a map", node.parts[1].at)
            return self._field(base, node) if named and base.fields is not None else base.item
        if base.kind == "list":
            if key not in (INT, ANY):
                raise ExpressionError(
                    f"an element of a list is chosen with a number, not {key}", node.parts[1].at
                )
            return base.item
        wanted = repr(node.parts[1].value) if named else "elements"
        raise ExpressionError(f"{base} has no {wanted}", node.at)

    def _field(self, base: Type, node: Node) -> Type:
        name = node.parts[1].value
        if name not in (base.fields or ()):
            known = ", ".join(sorted(base.fields or ()))
            raise ExpressionError(f"there is no {name!r}; known are: {known}", node.at)
        return base.item

    def _slice(self, node: Node) -> Type:
        base = self.visit(node.parts[0])
        if base.kind not in ("list", "string", "any"):
            raise ExpressionError(f"{base} has no parts to cut out", node.at)
        for given, part in zip(node.value, node.parts[1:], strict=True):
            if given and self.visit(part) not in (INT, ANY):
                raise ExpressionError("a part is cut out with whole numbers", part.at)
        return base

    def _invoke(self, node: Node) -> Type:
        callee = self.visit(node.parts[0])
        if callee != ANY:
            raise ExpressionError(f"{node.value!r} is no function", node.at)
        base = self.visit(node.parts[0].parts[0])
        method = methods_of(base.kind).get(str(node.value))
        if method is None:
            return ANY  # a function that is only known when it is called; its arguments are not looked at
        for argument in node.parts[1:]:
            self.visit(argument)
        return _BY_NAME[method]

    def _call(self, node: Node) -> Type:
        name = str(node.value)
        if name in self.known and name not in PREDICATES:
            raise ExpressionError(f"{name!r} is no function", node.at)
        if name in PREDICATES:
            return self._over_elements(node)
        function = FUNCTIONS.get(name)
        if function is None:
            raise ExpressionError(f"there is no function {name!r}", node.at)
        given = [self.visit(argument) for argument in node.parts]
        self._check_arguments(node, given, function.parameters)
        special = _RESULTS.get(name)
        return special(node, given) if special else _BY_NAME[function.result]

    def _check_arguments(self, node: Node, given: Sequence[Type], parameters: Sequence[str]) -> None:
        variadic = bool(parameters) and parameters[-1].endswith("*")
        least = sum(not parameter.endswith(("?", "*")) for parameter in parameters)
        if len(given) < least or (len(given) > len(parameters) and not variadic):
            wanted = f"{least}" if least == len(parameters) else f"{least} or more"
            raise ExpressionError(f"{node.value} takes {wanted} arguments, not {len(given)}", node.at)
        for at, kind in enumerate(given):
            wanted_kind = parameters[min(at, len(parameters) - 1)].rstrip("?*")
            if not _assignable(kind, wanted_kind):
                raise ExpressionError(
                    f"{node.value} takes {wanted_kind}, not {kind}{_hint(kind, STRING)}", node.parts[at].at
                )

    def _over_elements(self, node: Node) -> Type:
        name = str(node.value)
        over = self.visit(node.parts[0])
        if over.kind not in ("list", "any"):
            raise ExpressionError(f"{name} takes a list, not {over}", node.parts[0].at)
        if len(node.parts) == 1:
            if name == "count" and over.item not in (BOOL, ANY):
                raise ExpressionError(
                    f"count without a question counts what is true, not {over.item}", node.at
                )
            return INT if name == "count" else over.item
        self.pointers.append({"": over.item, "index": INT, **({"acc": ANY} if name == "reduce" else {})})
        answer = self.visit(node.parts[1])
        self.pointers.pop()
        for rest in node.parts[2:]:
            self.visit(rest)
        if name in _ASKING and answer not in (BOOL, ANY):
            raise ExpressionError(
                f"what {name} asks of each element is true or false, not {answer}", node.parts[1].at
            )
        return _predicate_result(name, over, answer)

    def _predicate(self, node: Node) -> Type:
        return self.visit(node.parts[0])

    def _pointer(self, node: Node) -> Type:
        names = self.pointers[-1]
        if node.value not in names:
            raise ExpressionError(f"there is no #{node.value} here", node.at)
        return names[node.value]

    def _let(self, node: Node) -> Type:
        if node.value in self.known or node.value in FUNCTIONS or node.value in PREDICATES:
            raise ExpressionError(f"{node.value!r} has a meaning already; let takes another name", node.at)
        self.known[node.value] = self.visit(node.parts[0])
        result = self.visit(node.parts[1])
        del self.known[node.value]
        return result

    def _conditional(self, node: Node) -> Type:
        condition, yes, no = (self.visit(part) for part in node.parts)
        if condition not in (BOOL, ANY):
            raise ExpressionError(f"a condition is true or false, not {condition}", node.parts[0].at)
        if yes == NIL or no == NIL:
            return no if yes == NIL else yes
        return yes if yes == no else ANY

    def _sequence(self, node: Node) -> Type:
        return [self.visit(part) for part in node.parts][-1]

    def _array(self, node: Node) -> Type:
        kinds = [self.visit(part) for part in node.parts]
        same = bool(kinds) and all(kind.kind == kinds[0].kind for kind in kinds)
        return Type("list", kinds[0]) if same and kinds[0] != ANY else LIST

    def _map(self, node: Node) -> Type:
        for pair in node.parts:
            for part in pair.parts:
                self.visit(part)
        return MAP


_ASKING = frozenset(
    {"all", "none", "any", "one", "filter", "count", "find", "findIndex", "findLast", "findLastIndex"}
)


def _predicate_result(name: str, over: Type, answer: Type) -> Type:
    if name in ("all", "none", "any", "one"):
        return BOOL
    if name in ("count", "findIndex", "findLastIndex"):
        return INT
    if name in ("find", "findLast"):
        return over.item
    if name in ("sum", "reduce"):
        return answer
    if name == "map":
        return Type("list", answer) if answer != ANY else LIST
    return MAP if name == "groupBy" else over if over.kind == "list" else LIST


def _check_pattern(node: Node) -> None:
    pattern = node.parts[1]
    if pattern.kind == "constant" and isinstance(pattern.value, str):
        try:
            golang.regex(pattern.value)
        except ValueError as error:
            raise ExpressionError(
                f"{pattern.value!r} is no regular expression: {error}", pattern.at
            ) from error


def _coalesced(left: Type, right: Type) -> Type:
    if left == NIL or right == NIL:
        return right if left == NIL else left
    return left if left.kind == right.kind else ANY


def _is_number(kind: Type) -> bool:
    return kind.kind in ("int", "float64")


def _comparable(left: Type, right: Type) -> bool:
    return (
        left.kind == right.kind
        or (_is_number(left) and _is_number(right))
        or not {left.kind, right.kind}.isdisjoint({"nil", "any"})
    )


def _hint(left: Type, right: Type) -> str:
    if {left.kind, right.kind} & {"int", "float64"} and STRING in (left, right):
        return "; asInt(...) and asFloat(...) make numbers of texts, string(...) a text of numbers"
    return ""


def _assignable(kind: Type, wanted: str) -> bool:
    if wanted == "any" or kind == ANY:
        return True
    if wanted == "float":
        return _is_number(kind)
    if wanted == "number":
        return _is_number(kind)
    if wanted == "numbers":
        return _is_number(kind) or kind.kind == "list"
    if wanted == "scalar":
        return _is_number(kind) or kind == STRING
    if wanted == "sized":
        return kind.kind in ("string", "list", "map")
    if wanted == "indexed":
        return kind.kind in ("list", "map")
    return kind.kind == _BY_NAME[wanted].kind


def _kinds(*kinds: str) -> Callable[[Type], bool]:
    return lambda kind: kind.kind in kinds


_Operation = tuple[Callable[[Type], bool], Callable[[Type], bool], "Type | Callable[[Type, Type], Type]"]


def _either(kinds: Sequence[str], result: Type) -> tuple[_Operation, ...]:
    """Operations with a value of unknown type on one side, or on both."""
    wanted = _kinds("any", *kinds)
    return ((_kinds("any"), wanted, result), (wanted, _kinds("any"), result))


def _combined(left: Type, right: Type) -> Type:
    return FLOAT if FLOAT in (left, right) else left


_NUMBER, _INTEGER, _TIME, _DURATION = (
    _kinds("int", "float64"),
    _kinds("int"),
    _kinds("time"),
    _kinds("duration"),
)
_TEXT, _TRUTH = _kinds("string"), _kinds("bool")
_NUMBERS = ("int", "float64")
_TIMES = ("time", "duration")
_order: tuple[_Operation, ...] = (
    *((same, same, BOOL) for same in (_NUMBER, _TEXT, _TIME, _DURATION)),
    *_either((*_NUMBERS, "string", *_TIMES), BOOL),
)
_logic: tuple[_Operation, ...] = ((_TRUTH, _TRUTH, BOOL), *_either(("bool",), BOOL))
_texts: tuple[_Operation, ...] = ((_TEXT, _TEXT, BOOL), *_either(("string",), BOOL))
_powers: tuple[_Operation, ...] = ((_NUMBER, _NUMBER, FLOAT), *_either(_NUMBERS, FLOAT))
_OPERATIONS: dict[str, tuple[_Operation, ...]] = {
    **dict.fromkeys(("<", ">", "<=", ">="), _order),
    **dict.fromkeys(("or", "||", "and", "&&"), _logic),
    **dict.fromkeys(("matches", "contains", "startsWith", "endsWith"), _texts),
    **dict.fromkeys(("**", "^", "/"), _powers),
    "+": (
        (_NUMBER, _NUMBER, _combined),
        (_TEXT, _TEXT, STRING),
        (_TIME, _DURATION, TIME),
        (_DURATION, _TIME, TIME),
        (_DURATION, _DURATION, DURATION),
        *_either((*_NUMBERS, "string", *_TIMES), ANY),
    ),
    "-": (
        (_NUMBER, _NUMBER, _combined),
        (_TIME, _TIME, DURATION),
        (_TIME, _DURATION, TIME),
        (_DURATION, _DURATION, DURATION),
        *_either((*_NUMBERS, *_TIMES), ANY),
    ),
    "*": (
        (_NUMBER, _NUMBER, _combined),
        (_NUMBER, _DURATION, DURATION),
        (_DURATION, _NUMBER, DURATION),
        (_DURATION, _DURATION, DURATION),
        *_either((*_NUMBERS, "duration"), ANY),
    ),
    "%": ((_INTEGER, _INTEGER, INT), *_either(("int",), ANY)),
    "..": ((_INTEGER, _INTEGER, Type("list", INT)), *_either(("int",), Type("list", INT))),
}


def _first_argument(node: Node, given: Sequence[Type]) -> Type:
    return given[0]


def _aggregate(node: Node, given: Sequence[Type]) -> Type:
    return ANY if any(not _is_number(kind) for kind in given) else given[0]


def _getting(node: Node, given: Sequence[Type]) -> Type:
    wanted = INT if given[0].kind == "list" else STRING
    if given[0] != ANY and given[1] not in (wanted, ANY):
        raise ExpressionError(f"get takes {wanted} for {given[0]}, not {given[1]}", node.at)
    return given[0].item


_RESULTS: dict[str, Callable[[Node, Sequence[Type]], Type]] = {
    "abs": _first_argument,
    "get": _getting,
    **dict.fromkeys(("min", "max", "mean", "median"), _aggregate),
}
