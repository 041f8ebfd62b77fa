"""The steps, pipelines and parameters that a project declares, read from its text: nothing is imported.

They are asked for only where an override matches nothing in the pipeline at hand: one settings file serves
every pipeline of a project, and what another of them has is no mistake.
"""

import ast
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from argosy.step.interface import argo_name

_BUILT_IN = ("argosy.components", "argosy.pipelines")
_MAX_FILES = 5000


@dataclass
class Names:
    """What is declared somewhere below a folder, in YAML's spelling."""

    components: set[str] = field(default_factory=set)
    pipelines: set[str] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)


@cache
def names_below(*folders: Path) -> Names:
    """What the Python files below these folders, and Argosy's own, declare."""
    found = Names()
    for root in dict.fromkeys((*folders, *_own_folders())):
        for number, file in enumerate(_files(root)):
            if number >= _MAX_FILES:
                break
            _note(file, found)
    return found


def _own_folders() -> list[Path]:
    specs = [importlib.util.find_spec(name) for name in _BUILT_IN]
    return [Path(p) for spec in specs if spec for p in spec.submodule_search_locations or ()]


def _files(root: Path) -> Iterator[Path]:
    """The Python files of a project: not those of environments, caches and hidden folders."""
    for folder, below, files in os.walk(root):
        below[:] = sorted(
            d
            for d in below
            if not d.startswith(".")
            and d not in ("node_modules", "site-packages", "__pycache__")
            and not (Path(folder) / d / "pyvenv.cfg").is_file()
        )
        yield from (Path(folder) / f for f in sorted(files) if f.endswith(".py"))


def _note(file: Path, found: Names) -> None:
    try:
        text = file.read_bytes()
        if not any(word in text for word in (b"component", b"pipeline", b"template_ref", b"couler")):
            return
        tree = ast.parse(text)
    except (OSError, SyntaxError, ValueError):
        return
    before = len(found.pipelines)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            _note_function(node, found)
        elif isinstance(node, ast.Call):
            found.components |= _named_steps(node)
    if b"couler" in text and len(found.pipelines) == before:
        found.pipelines.add(argo_name(file.stem))


def _note_function(node: ast.FunctionDef | ast.AsyncFunctionDef, found: Names) -> None:
    for decorator in node.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        called = call.func if call else decorator
        word = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        name = (call and _keyword(call, "name")) or argo_name(node.name)
        if word in ("component", "template_ref"):
            found.components.add(name)
        elif word == "pipeline":
            found.pipelines.add(name)
            found.parameters |= {argo_name(a.arg) for a in (*node.args.args, *node.args.kwonlyargs)}


def _named_steps(call: ast.Call) -> set[str]:
    """The name that `.options(name=...)`, or Couler's `step_name=...`, gives a step."""
    return {name for word in ("name", "step_name") if (name := _keyword(call, word))}


def _keyword(call: ast.Call, word: str) -> str | None:
    values = (k.value for k in call.keywords if k.arg == word)
    return next((v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)), None)
