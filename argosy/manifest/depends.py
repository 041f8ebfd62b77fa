"""`depends` of a DAG task: which results of which tasks let it start.

`A` alone means `(A.Succeeded || A.Skipped || A.Daemoned)`, widened by what A's `continueOn` allows;
`dependencies: [A, B]` is `A && B`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from argosy.manifest.conditions import ConditionError

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

RESULTS = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed")
_ANY_OK = frozenset({"Succeeded", "Skipped", "Daemoned"})

_LONG = 20_000  # characters; nobody writes more, and a parser's time should be bounded
_REFERENCE = re.compile(r"([a-zA-Z0-9][-a-zA-Z0-9]*?)\.([A-Z][a-zA-Z]+)|([a-zA-Z0-9][-a-zA-Z0-9]*)", re.ASCII)
_GRAMMAR = r"""
?start: or
?or: and ("||" and)*
?and: unary ("&&" unary)*
?unary: "!" unary -> not | "(" or ")" | result
result: NAME ["." RESULT]
NAME: /[A-Za-z0-9][A-Za-z0-9-]*/
RESULT: /[A-Za-z]+/
%ignore /\s+/
"""


@dataclass(frozen=True)
class Depends:
    """A parsed condition over the results of other tasks."""

    source: str
    tree: Tree[Token] | None
    tasks: frozenset[str] = frozenset()
    """Names of the tasks it waits for."""

    def holds(self, results: Mapping[str, frozenset[str]]) -> bool:
        """Whether the task may run, given each finished task's results; a bare name asks for `bare`."""
        return self.tree is None or _holds(self.tree, lambda name, wanted: bool(results[name] & wanted))


@cache
def _parser() -> Lark:
    from lark import Lark  # not at import: most manifests never ask for a tree

    return Lark(_GRAMMAR, parser="lalr", maybe_placeholders=False)


@lru_cache(maxsize=4096)
def parse(source: str) -> Depends:
    """Read a condition. Raises ConditionError naming the place, or the unknown result and the known ones."""
    if not source.strip():
        return Depends(source, None)
    tree = read(source)
    for node in tree.find_data("result"):
        wanted = [str(child) for child in node.children[1:]]
        if wanted and wanted[0] not in RESULTS:
            raise ConditionError(
                f"depends '{source}': no task result {wanted[0]!r}; one of {', '.join(RESULTS)}"
            )
    return Depends(source, tree, frozenset(str(node.children[0]) for node in tree.find_data("result")))


@lru_cache(maxsize=4096)
def read(source: str) -> Tree[Token]:
    """The parts of a condition, whatever results it asks for. Raises ConditionError naming the place."""
    from lark.exceptions import UnexpectedInput, UnexpectedToken

    if len(source) > _LONG:
        why = f"longer than {_LONG:,} characters"
        raise ConditionError(f"cannot read depends '{source[:60]}...': {why}", why)
    try:
        return _parser().parse(source)
    except UnexpectedInput as error:
        at = error.pos_in_stream or 0
        if isinstance(error, UnexpectedToken) and error.token.type == "$END":
            why = "it ends too early"
        else:
            shown = error.token if isinstance(error, UnexpectedToken) else source[at]
            why = f"'{shown}' is unexpected after {_before(source, at)}"
        raise ConditionError(f"cannot read depends '{source}': {why}", why) from error


def _before(source: str, position: int) -> str:
    before = source[:position].strip()
    return f"'...{before[-30:]}'" if len(before) > 30 else f"'{before}'" if before else "the beginning"


@lru_cache(maxsize=65536)
def references(source: str) -> tuple[tuple[str, str], ...]:
    """(task, result) of each name, as the engine finds them, also where the rest makes no sense.

    The result is empty where none is asked for.
    """
    return tuple((m[1] or m[3], m[2] or "") for m in _REFERENCE.finditer(source))


def of_dependencies(names: tuple[str, ...]) -> Depends:
    """The condition that a `dependencies` list stands for."""
    return parse(" && ".join(names))


def _holds(tree: Tree[Token], has: Callable[[str, frozenset[str]], bool]) -> bool:
    if tree.data == "result":
        name, *wanted = (str(child) for child in tree.children)
        return has(name, frozenset(wanted) if wanted else frozenset({"bare"}))
    children = [_holds(child, has) for child in tree.children if not isinstance(child, str)]
    if tree.data == "not":
        return not children[0]
    return any(children) if tree.data == "or" else all(children)


def results(
    phase: str, *, failed_is_fine: bool, error_is_fine: bool, items: tuple[str, ...]
) -> frozenset[str]:
    """The results that a finished task has; `items` are the phases of a loop's rounds."""
    named = "Errored" if phase == "Error" else phase
    found = {named}
    fine = (
        named in _ANY_OK or (named == "Failed" and failed_is_fine) or (named == "Errored" and error_is_fine)
    )
    if fine:
        found.add("bare")
    if "Succeeded" in items:
        found.add("AnySucceeded")
    if items and all(item == "Failed" for item in items):
        found.add("AllFailed")
    return frozenset(found)
