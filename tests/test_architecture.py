"""The rooms of docs/architecture.md: who may import whom, and no circles."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
SDK = (
    "step",
    "declare",
    "manifest",
    "lint",
    "compose",
    "reuse",
    "catalogue",
    "code",
    "local",
    "cluster",
    "cli",
)
"""The SDK's rooms from the ground up: each may use those before it."""
ABOVE = ("stack", "components", "pipelines")
"""The product made with it; `stack` declares itself to the SDK by an entry point."""
GROUND = {"argosy", "argosy.errors", "argosy.text"}
"""For every room; the package itself only offers names of the declaration."""


@dataclass(frozen=True)
class Import:
    """`user` imports `used`: when it is itself imported (`at_once`), or later, or for type checkers alone."""

    user: str
    used: str
    at_once: bool

    def __str__(self) -> str:
        return f"{self.user} -> {self.used}"


def _files() -> dict[str, Path]:
    """Every module of the package by its name, with the folders that it holds as links."""
    folders = [ROOT / "argosy", *(ROOT / name for name in ABOVE)]
    found = {}
    for folder in folders:
        above = ("argosy",) if folder.name in ABOVE else ()
        for file in folder.rglob("*.py"):
            parts = (*above, *file.relative_to(ROOT).with_suffix("").parts)
            if "triton_backend" not in parts or file.name == "__init__.py":
                found[".".join(p for p in parts if p != "__init__")] = file
    return found


FILES = _files()


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in FILES else node.module
    elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
        yield from (arg.value for arg in node.args if isinstance(arg, ast.Constant))


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _walk(user: str, node: ast.AST, at_once: bool, for_types: bool = False) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        for used in _names(child):
            if used in FILES:
                yield Import(user, used, at_once and not for_types)
        now = at_once and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _walk(user, child, now, for_types or _for_types(child))


@cache
def _imports() -> list[Import]:
    """All imports of the project: read in the tests, since each worker imports this file."""
    return [one for name, file in FILES.items() for one in _walk(name, ast.parse(file.read_text()), True)]


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def _rises(one: Import) -> bool:
    user, used = _room(one.user), _room(one.used)
    if used in ABOVE:
        return user not in ABOVE or ABOVE.index(used) > ABOVE.index(user)
    return user in SDK and used in SDK and SDK.index(used) > SDK.index(user)


def test_every_folder_is_a_room_and_every_room_is_there() -> None:
    folders = {file.parent.name for file in (ROOT / "argosy").glob("*/__init__.py")}
    assert folders == {*SDK, *ABOVE}


def test_arrows_go_down() -> None:
    assert len(_imports()) > 1000
    assert [str(one) for one in _imports() if _rises(one)] == []


def test_the_ground_rests_on_nothing() -> None:
    """`argosy.errors` and `argosy.text` import `step` alone, the package that and the declaration."""
    rests = [one for one in _imports() if one.user in GROUND and one.at_once and one.used not in GROUND]
    assert {_room(one.used) for one in rests} <= {"declare", "step"}
    assert [str(one) for one in rests if one.user != "argosy" and _room(one.used) != "step"] == []


def test_a_step_needs_the_standard_library_alone() -> None:
    steps = [one for one in _imports() if _room(one.user) == "step" and _room(one.used) != "step"]
    assert [str(one) for one in steps if one.at_once and one.used not in GROUND] == []


def test_no_file_is_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for one in _imports():
        # What a package offers it imports from its own modules, which may import each other through it.
        if not one.user.startswith(f"{one.used}.") and one.user != one.used:
            graph.setdefault(one.user, set()).add(one.used)
    TopologicalSorter(graph).prepare()


@pytest.mark.parametrize("room", [*SDK, *ABOVE])
def test_the_page_tells_of_every_room(room: str) -> None:
    assert re.search(rf"^\| `{room}/` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
