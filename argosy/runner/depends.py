"""`depends` of a DAG task: which results of which tasks let it start.

`A` alone means `(A.Succeeded || A.Skipped || A.Daemoned)`, widened by what A's `continueOn` allows;
`dependencies: [A, B]` is `A && B`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedInput

from argosy.runner.errors import ConditionError
from argosy.runner.grammar import place_of

RESULTS = ("Succeeded", "Failed", "Errored", "Skipped", "Omitted", "Daemoned", "AnySucceeded", "AllFailed")
_ANY_OK = frozenset({"Succeeded", "Skipped", "Daemoned"})

_GRAMMAR = r"""
?start: or
?or: and ("||" and)*
?and: unary ("&&" unary)*
?unary: "!" unary -> not | "(" or ")" | result
result: NAME ["." RESULT]
NAME: /[A-Za-z0-9_][A-Za-z0-9_-]*/
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
    return Lark(_GRAMMAR, parser="lalr", maybe_placeholders=False)


@lru_cache(maxsize=4096)
def parse(source: str) -> Depends:
    """Read a condition. Raises ConditionError naming the place, or the unknown result and the known ones."""
    if not source.strip():
        return Depends(source, None)
    try:
        tree = _parser().parse(source)
    except UnexpectedInput as error:
        where = place_of(error)
        raise ConditionError(f"cannot read depends '{source}' {where}") from error
    for node in tree.find_data("result"):
        wanted = [str(child) for child in node.children[1:]]
        if wanted and wanted[0] not in RESULTS:
            raise ConditionError(
                f"depends '{source}': no task result {wanted[0]!r}; one of {', '.join(RESULTS)}"
            )
    return Depends(source, tree, frozenset(str(node.children[0]) for node in tree.find_data("result")))


def of_dependencies(names: tuple[str, ...]) -> Depends:
    """The condition that a `dependencies` list stands for."""
    return parse(" && ".join(names))


def _holds(tree: Tree[Token], has: Callable[[str, frozenset[str]], bool]) -> bool:
    if tree.data == "result":
        name, *wanted = (str(child) for child in tree.children)
        return has(name, frozenset(wanted) if wanted else frozenset({"bare"}))
    children = [_holds(child, has) for child in tree.children if isinstance(child, Tree)]
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
