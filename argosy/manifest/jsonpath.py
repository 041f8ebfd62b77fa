"""`jsonpath(text, path)` of expressions: one value, or a list of all where the path can mean several."""

from __future__ import annotations

import re
from typing import Any

from argosy.manifest import golang
from argosy.manifest.syntax import ExpressionError

_STEP = re.compile(
    r"""(?P<deep>\.\.)(?=[\w*\[])|\.(?P<wild>\*)|\.?(?P<name>[^\W\d][\w-]*|(?<=\.)[\w-]+)
    |\[\s*(?P<all>\*)\s*\]|\[\s*(?P<quoted>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")\s*\]
    |\[\s*(?P<slice>-?\d*\s*:\s*-?\d*(?:\s*:\s*-?\d*)?)\s*\]|\[\s*(?P<index>-?\d+)\s*\]
    |\[\s*(?P<union>[^\]\[?()]+(?:,[^\]\[?()]+)+)\s*\]|\[\?\((?P<filter>.*?)\)\]""",
    re.VERBOSE,
)


def jsonpath(value: Any, path: str) -> Any:
    """The values that `path` names in a JSON value. Raises ExpressionError where it names nothing."""
    if not path.startswith("$"):
        raise ExpressionError(f"the path {path!r} does not begin with $")
    found, many, at, deep = [value], False, 1, False
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            raise ExpressionError(f"the path {path!r} cannot be read from {path[at:]!r} on")
        at = match.end()
        kind = str(match.lastgroup)
        if kind == "deep":
            found, many, deep = [inner for item in found for inner in _descendants(item)], True, True
            continue
        found = [picked for item in found for picked in _pick(item, kind, match[kind], path, lenient=many)]
        many = many or kind in ("wild", "all", "slice", "union", "filter")
        deep = False
    if deep:
        raise ExpressionError(f"the path {path!r} ends where a name is wanted")
    return found if many else found[0]


def _descendants(value: Any) -> list[Any]:
    below = [inner for item in _children(value) for inner in _descendants(item)]
    return [value, *below] if isinstance(value, (dict, list)) else []


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [value[key] for key in sorted(value)]
    return value if isinstance(value, list) else []


def _pick(value: Any, kind: str, text: str, path: str, *, lenient: bool) -> list[Any]:
    if kind in ("wild", "all"):
        if not isinstance(value, (dict, list)) and not lenient:
            raise _mismatch(path, "a list or a map", value)
        return _children(value)
    try:
        return _pick_named(value, kind, text, path)
    except ExpressionError:
        if lenient:
            return []
        raise


def _pick_named(value: Any, kind: str, text: str, path: str) -> list[Any]:
    if kind in ("name", "quoted"):
        return [_key(value, re.sub(r"\\(.)", r"\1", text[1:-1]) if kind == "quoted" else text, path)]
    if kind == "filter":
        return [item for item in _children(value) if _holds(item, text, path)]
    if kind == "union":
        return [_one(value, part.strip(), path) for part in text.split(",")]
    if not isinstance(value, list):
        raise _mismatch(path, "a list", value)
    if kind == "index":
        return [_one(value, text, path)]
    return value[slice(*(int(part) if part.strip() else None for part in text.split(":")))]


def _one(value: Any, text: str, path: str) -> Any:
    if re.fullmatch(r"-?\d+", text) and isinstance(value, list):
        if not -len(value) <= int(text) < len(value):
            raise ExpressionError(f"the path {path!r}: there is no element {text} of {len(value)}")
        return value[int(text)]
    return _key(value, text.strip("'\""), path)


def _key(value: Any, key: str, path: str) -> Any:
    if key == "length" and isinstance(value, (list, str)):
        return float(len(value))
    if not isinstance(value, dict):
        raise _mismatch(path, "a map", value)
    if key not in value:
        raise ExpressionError(f"the path {path!r}: there is no {key!r}")
    return value[key]


def _mismatch(path: str, wanted: str, value: Any) -> ExpressionError:
    return ExpressionError(f"the path {path!r} wants {wanted} where there is {golang.show(value)!r}")


_TEST = re.compile(r"\s*@(?P<path>[^\s=<>!]*)\s*(?:(?P<op>==|!=|<=|>=|<|>)\s*(?P<value>.+?))?\s*")


def _holds(item: Any, test: str, path: str) -> bool:
    match = _TEST.fullmatch(test)
    if match is None:
        raise ExpressionError(f"the path {path!r}: the filter {test!r} cannot be read")
    try:
        left = jsonpath(item, "$" + match["path"])
    except ExpressionError:
        return False
    if match["op"] is None:
        return True
    right = golang.from_json(match["value"].replace("'", '"'))
    if match["op"] in ("==", "!="):
        return golang.equal(left, right) is (match["op"] == "==")
    if type(left) is not type(right):
        return False
    return bool({"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[match["op"]])
