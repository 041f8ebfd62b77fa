"""The text of a function that becomes a script of Couler's: complete in itself, or refused."""

from __future__ import annotations

import ast
import dis
import inspect
import linecache
import sys
import textwrap
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from couler.core.utils import body as couler_body

from argosy.declare.signature import where
from argosy.declare.source import call_site
from argosy.errors import ComposeError

# In no image but those of Argosy and of those who install it.
_ABSENT = ("argosy", "couler")


def script_of(source: Any, command: Any) -> str:
    """The script: what the function imports at the top of its file, then its body.

    A body that returns early, or calls itself, stays a function that the script calls.

    Raises:
        ComposeError: it is no function, the command is not Python's, or the script would miss something.
    """
    if not inspect.isfunction(source):
        raise ComposeError(
            f"{call_site()}: couler.run_script: {source!r} is no function and no text; it cannot be a script"
        )
    place, name = where(source), source.__name__
    program = command[0] if isinstance(command, list) and command else command or "python"
    if not str(program).rpartition("/")[2].lower().startswith("python"):
        raise ComposeError(
            f"{place}: {name}() is Python, and the command of couler.run_script is {program!r}; "
            "leave 'command' out, or give a text as 'source'"
        )
    if name == "<lambda>":
        raise ComposeError(
            f"{place}: a lambda has no text of its own; give couler.run_script a 'def' or a text"
        )
    if source.__code__.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        raise ComposeError(
            f"{place}: {name}() would only be made, and not run: a script has no 'yield' and no 'async def'; "
            "call what it does from a plain 'def'"
        )
    imports = _imports_of(source, place)
    text = _text(source)
    return "\n".join(imports) + "\n\n" + text.lstrip("\n") if imports else text


def _imports_of(source: FunctionType, place: str) -> list[str]:
    """The import statements at the top of its file that the function needs; raises for all else around it."""
    taken = list(inspect.signature(source).parameters)
    used = [n for n in _globals_of(source.__code__) if n in source.__globals__ and n != source.__name__]
    statements = {n: _import(source, n) for n in used}
    closed = [n for n in source.__code__.co_freevars if n != source.__name__]
    missing = [*closed, *(n for n, found in statements.items() if not found)]
    if taken or missing:
        what = f"takes {', '.join(taken)}" if taken else f"uses {', '.join(missing)} from around it"
        raise ComposeError(
            f"{place}: {source.__name__}() {what}, and its body alone becomes the script of "
            "couler.run_script; set and import in it what it needs"
        )
    lines = {line for found in statements.values() for line in found}
    return sorted(lines, key=lambda line: (line.startswith("from "), line))


def _globals_of(code: CodeType) -> list[str]:
    """The names that a function, and whatever is defined in it, looks for outside of itself."""
    loads = (i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    inner = (name for c in code.co_consts if isinstance(c, CodeType) for name in _globals_of(c))
    return list(dict.fromkeys([*loads, *inner]))


def _import(source: FunctionType, name: str) -> list[str]:
    """The statements that import this name from what an image may hold, where none of the user's files is."""
    linecache.checkcache(source.__code__.co_filename)
    try:
        top = ast.parse("".join(linecache.getlines(source.__code__.co_filename)))
    except SyntaxError:
        return []
    found = [
        ast.unparse(ast.Import([alias]) if isinstance(node, ast.Import) else _from(node, alias))
        for node in _at_the_top(top)
        for alias in node.names
        if (alias.asname or alias.name.partition(".")[0]) == name and _is_in_images(node, alias)
    ]
    is_it = isinstance(source.__globals__[name], ModuleType) or any(
        line.startswith("from ") for line in found
    )
    return found if is_it else []


def _from(node: ast.ImportFrom, alias: ast.alias) -> ast.ImportFrom:
    return ast.ImportFrom(node.module, [alias], 0)


def _at_the_top(tree: ast.AST) -> Iterator[Any]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from _at_the_top(node)


def _is_in_images(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> bool:
    if isinstance(node, ast.ImportFrom) and (node.level or not node.module):
        return False
    whole = alias.name if isinstance(node, ast.Import) else node.module or ""
    root = whole.partition(".")[0]
    if root in _ABSENT:
        return False
    file = getattr(sys.modules.get(root), "__file__", None) or ""
    return root in sys.stdlib_module_names or "-packages" in file


def _text(source: FunctionType) -> str:
    """The body as it is written; the whole function and a call of it, where the body alone would not do."""
    written = textwrap.dedent(inspect.getsource(source))
    try:
        tree = ast.parse(written)
    except SyntaxError:  # a text over several lines in it, whose lines begin further left
        written = _reindented(inspect.getsource(source))
        tree = ast.parse(written)
    function = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    own = (*_globals_of(source.__code__), *source.__code__.co_freevars)
    if source.__name__ in own or any(_returns(node) for node in function.body):
        function.decorator_list = []
        lines = written.splitlines()[function.lineno - 1 :]
        return "\n".join(lines) + f"\n\n\n{source.__name__}()\n"
    return _body(source, function, written)


def _reindented(written: str) -> str:
    """The same with `if` above it, under which it may be indented; the lines of a text stay as they are."""
    return ast.unparse(ast.parse(f"if True:\n{written}").body[0].body[0]) + "\n"  # type: ignore[attr-defined]


def _returns(node: ast.AST) -> bool:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        return False
    return isinstance(node, ast.Return) or any(_returns(child) for child in ast.iter_child_nodes(node))


def _body(source: FunctionType, function: ast.FunctionDef, written: str) -> str:
    """The lines below the signature, with their comments; as Python writes them where none can be moved."""
    lines = written.splitlines(keepends=True)[function.body[0].lineno - 1 :]
    plain = ast.unparse(ast.Module(function.body, [])) + "\n"
    for text in (str(couler_body(source)), textwrap.dedent("".join(lines))):
        if _reads_as(text, plain):
            return text
    return plain


def _reads_as(text: str, plain: str) -> bool:
    try:
        return ast.unparse(ast.parse(text)) == plain.removesuffix("\n")
    except SyntaxError:
        return False
