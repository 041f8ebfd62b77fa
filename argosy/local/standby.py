"""Becomes a step whose turn has not come yet: `python -m MODULE ...` in two halves. A script of its own.

    python standby.py CONTROL_FD MODULE

It is started in the folder and with the environment that the step will have. The first half imports what
MODULE will import in any case; then it waits, and uses no processor. The second half begins when CONTROL_FD
brings one line of JSON, `{"log": PATH, "arguments": [...]}`: it is answered with an empty line, and from
there on this process is what a plain start would have made. Where that is in doubt it ends without the
answer, and the runner starts the step plainly: if an import failed or wrote something, or would load a
package that is too big to wait with. It ends as silently when CONTROL_FD is closed, by whatever end of the
runner.

MODULE is read, not imported. Taken are its imports up to the first statement that may do something (set a
variable of the environment, say), and those at the head of the function with which it begins as a program.
"""

from __future__ import annotations

import os
import sys

if not getattr(sys.flags, "safe_path", False):
    sys.path[0] = os.getcwd()  # noqa: PTH109 - as `python -m` has it, not the folder of this file

import ast
import builtins
import gc
import importlib.util
import json
import runpy
from collections.abc import Iterator
from types import CodeType, ModuleType, TracebackType
from typing import Any

HEAVY = frozenset({"jax", "tensorflow", "torch"})
"""Packages that take hundreds of megabytes, and seconds of all processors, from the step that runs now."""

_IMPORTS = (ast.Import, ast.ImportFrom)


def main(control: int, module: str) -> None:
    """Import, wait, and run `module`."""
    os.set_inheritable(control, False)
    sys.argv = ["-m"]
    gc.disable()  # imports make objects that stay, and hardly any garbage
    try:
        _import_ahead(module)
    except BaseException:
        os._exit(0)  # the step itself says it, in its own log
    gc.enable()
    order = _order(control)
    check_silence()
    os.write(control, b"\n")
    os.close(control)
    _write_to(order["log"])
    run(module, order["arguments"])


def certain_imports(tree: ast.Module) -> list[ast.stmt]:
    """The imports that a program makes before it does anything else."""
    found: list[ast.stmt] = []
    functions: dict[str, ast.FunctionDef] = {}
    for statement in tree.body:
        if isinstance(statement, _IMPORTS):
            found.append(statement)
        elif isinstance(statement, ast.FunctionDef):
            functions[statement.name] = statement
        elif body := _body_if(statement, "__name__ == '__main__'"):
            called = {node.id for node in ast.walk(body[0]) if isinstance(node, ast.Name)}
            entries = [functions[name] for name in functions if name in called and len(body) == 1]
            return found + [taken for function in entries for taken in _head(function)]
        elif not _is_declaration(statement):
            break
    return found


def _body_if(statement: ast.stmt, *tests: str) -> list[ast.stmt]:
    if isinstance(statement, ast.If) and not statement.orelse and ast.unparse(statement.test) in tests:
        return statement.body
    return []


def _is_declaration(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    if isinstance(statement, ast.Assign | ast.AnnAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        calls = any(isinstance(node, ast.Call) for node in ast.walk(statement))
        return not calls and all(isinstance(target, ast.Name) for target in targets)
    checked = _body_if(statement, "TYPE_CHECKING", "typing.TYPE_CHECKING")
    return isinstance(statement, ast.ClassDef) or bool(checked)


def _head(function: ast.FunctionDef) -> Iterator[ast.stmt]:
    for index, statement in enumerate(function.body):
        if isinstance(statement, _IMPORTS):
            yield statement
        elif index > 0 or not isinstance(statement, ast.Expr):  # the first may be the docstring
            return


def _import_ahead(module: str) -> None:
    watch = _Heavy()
    sys.meta_path.insert(0, watch)  # type: ignore[arg-type]
    name, codes, names = certain_code(module)
    for code in codes:
        exec(code, names)
    sys.meta_path.remove(watch)  # type: ignore[arg-type]
    if name in sys.modules:
        raise ImportError("running it now would be the second time, and runpy would warn")


def certain_code(module: str) -> tuple[str, list[CodeType], dict[str, Any]]:
    """The name that `module` will run by, the code of each import that it certainly makes, and its names."""
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{module}.__main__")
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(module)
    tree = ast.parse(spec.loader.get_source(spec.name))  # type: ignore[attr-defined]
    codes = [
        compile(ast.Module([statement], []), module, "exec", dont_inherit=True)
        for statement in certain_imports(tree)
    ]
    return spec.name, codes, {"__name__": spec.name, "__package__": spec.parent}


class _Heavy:
    """Ends the process at the first import of a heavy package."""

    def find_spec(self, name: str, *_: object) -> None:
        if name in HEAVY:
            os._exit(0)


def _order(control: int) -> Any:
    received = b""
    while not received.endswith(b"\n"):
        chunk = os.read(control, 1 << 16)
        if not chunk:
            os._exit(0)
        received += chunk
    return json.loads(received)


def check_silence() -> None:
    """End if an import has written something, which belongs into the log at another place."""
    sys.stdout.flush()
    sys.stderr.flush()
    if os.fstat(1).st_size:
        os._exit(0)


def _write_to(log: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def run(module: str, arguments: list[str]) -> None:
    """Do the work of `python -m`, in a `__main__` as empty as it finds it."""
    sys.argv = ["-m", *arguments]
    sys.orig_argv = [sys.orig_argv[0], "-m", module, *arguments]
    fresh = ModuleType("__main__")
    vars(fresh).update(__annotations__={}, __builtins__=builtins)
    sys.modules["__main__"] = fresh
    if "__mp_main__" in sys.modules:  # multiprocessing's second name for it
        sys.modules["__mp_main__"] = fresh
    try:
        runpy._run_module_as_main(module)  # type: ignore[attr-defined]
    except BaseException as error:
        _hide_this_file(error.__traceback__)
        raise


def _hide_this_file(traceback: TracebackType | None) -> None:
    """Let whatever shows the uncaught exception see it as if the interpreter itself had called runpy."""
    show, own = sys.excepthook, traceback.tb_next if traceback else None

    def show_own(kind: type[BaseException], error: BaseException, _: TracebackType | None) -> None:
        show(kind, error.with_traceback(own), own)

    sys.excepthook = show_own


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
