"""The steps, pipelines and parameters that a project declares, read from its text: nothing is imported.

They are asked for only where an override matches nothing in the pipeline at hand: one settings file serves
every pipeline of a project, and what another of them has is no mistake.
"""

import ast
import importlib.util
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from argosy.step.interface import argo_name

_BUILT_IN = ("argosy.components", "argosy.pipelines")
_MAX_FILES = 5000
_WORDS = (b"component", b"pipeline", b"template_ref", b"couler", b"NamedTuple", b"dataclass")


@dataclass
class Names:
    """Declarations somewhere below a folder, in YAML's spelling."""

    components: set[str] = field(default_factory=set)
    pipelines: set[str] = field(default_factory=set)
    parameters: set[str] = field(default_factory=set)


@dataclass
class _Groups:
    """The classes of named fields in a project, and those that pipelines take as parameter groups.

    Classes of one name count as one: what an override means is only ever taken for possible.
    """

    bases: dict[str, set[str]] = field(default_factory=dict)
    fields: dict[str, set[str]] = field(default_factory=dict)
    taken: dict[str, set[str]] = field(default_factory=dict)

    def note(self, node: ast.ClassDef) -> None:
        targets = (n.target for n in node.body if isinstance(n, ast.AnnAssign))
        names = {argo_name(t.id) for t in targets if isinstance(t, ast.Name)}
        self.fields.setdefault(node.name, set()).update(names)
        self.bases.setdefault(node.name, set()).update(_word(base) for base in node.bases)

    def parameters(self) -> set[str]:
        """The pipelines' arguments as parameters: a group's fields, or the argument itself."""
        return {n for group, names in self.taken.items() for n in (self._fields(group, set()) or names)}

    def _fields(self, group: str, seen: set[str]) -> set[str]:
        if group in seen or group not in self.fields:
            return set()
        inherited = (self._fields(base, seen | {group}) for base in self.bases[group])
        return self.fields[group].union(*inherited)


@cache
def names_below(*folders: Path) -> Names:
    """The declarations of the Python files below these folders, and of Argosy's own."""
    found, groups = Names(), _Groups()
    for root in dict.fromkeys((*folders, *_own_folders())):
        for number, file in enumerate(_files(root)):
            if number >= _MAX_FILES:
                break
            _note(file, found, groups)
    found.parameters |= groups.parameters()
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


def _note(file: Path, found: Names, groups: _Groups) -> None:
    try:
        text = file.read_bytes()
        if not any(word in text for word in _WORDS):
            return
        tree = ast.parse(text)
    except (OSError, SyntaxError, ValueError):
        return
    before = len(found.pipelines)
    imports = (node.names for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    imported = {name.asname or name.name: name.name for names in imports for name in names}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            _note_function(node, found, groups, imported)
        elif isinstance(node, ast.ClassDef):
            groups.note(node)
        elif isinstance(node, ast.Call):
            found.components |= _named_steps(node)
    if b"couler" in text and len(found.pipelines) == before:
        found.pipelines.add(argo_name(file.stem))


def _note_function(
    node: ast.FunctionDef | ast.AsyncFunctionDef, found: Names, groups: _Groups, imported: Mapping[str, str]
) -> None:
    for decorator in node.decorator_list:
        call = decorator if isinstance(decorator, ast.Call) else None
        word = _word(call.func if call else decorator)
        name = (call and _keyword(call, "name")) or argo_name(node.name)
        if word in ("component", "template_ref"):
            found.components.add(name)
        elif word == "pipeline":
            found.pipelines.add(name)
            for taken in (*node.args.args, *node.args.kwonlyargs):
                hint = _word(taken.annotation)
                groups.taken.setdefault(imported.get(hint, hint), set()).add(argo_name(taken.arg))


def _word(node: ast.expr | None) -> str:
    """The last word of a name, dotted or in quotes; empty for what else there is."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.rpartition(".")[2]
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _named_steps(call: ast.Call) -> set[str]:
    """The name that `.options(name=...)`, or Couler's `step_name=...`, gives a step."""
    return {name for word in ("name", "step_name") if (name := _keyword(call, word))}


def _keyword(call: ast.Call, word: str) -> str | None:
    values = (k.value for k in call.keywords if k.arg == word)
    return next((v.value for v in values if isinstance(v, ast.Constant) and isinstance(v.value, str)), None)
