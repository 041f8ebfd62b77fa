"""Which files of Argosy a step needs in its container.

Two sorts: this package, and those modules of the declaration that a user's module asks for when it says
`from argosy import component`.  Together they are closed: they import each other and the standard library.
`docstring_parser` is used where it is there, for the descriptions that `--help` shows.
"""

from __future__ import annotations

from pathlib import Path

MODULES = (
    "argosy",
    "argosy.declare",
    "argosy.declare.approval",
    "argosy.declare.component",
    "argosy.declare.container",
    "argosy.declare.fields",
    "argosy.declare.groups",
    "argosy.declare.library",
    "argosy.declare.names",
    "argosy.declare.pipeline",
    "argosy.declare.pod",
    "argosy.declare.reference",
    "argosy.declare.retry",
    "argosy.declare.schedule",
    "argosy.declare.signature",
    "argosy.errors",
)
"""Modules outside of this package."""

SOURCES = Path(__file__).parent.parent.parent
"""The folder that holds the package `argosy`."""


def files() -> dict[str, Path]:
    """The files by their names below an entry of `sys.path`, in order."""
    own = sorted(path for path in Path(__file__).parent.glob("*.py"))
    return {p.relative_to(SOURCES).as_posix(): p for p in sorted([*map(_file, MODULES), *own])}


def _file(module: str) -> Path:
    path = SOURCES.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
