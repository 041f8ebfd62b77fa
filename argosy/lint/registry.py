"""The rules by code, and what they find. A rule is a small generator; its docstring is its page."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from typing import Any

from argosy.manifest.tree import Mark, Path

# One object with its aliases written out, in bytes, as etcd takes it.
MAX_OBJECT_BYTES = 1_572_864
# Findings of one rule in one document; whoever has more will not read them.
MAX_FINDINGS = 1_000
SECTIONS = ("Why:", "Bad:", "Good:")


class Severity(IntEnum):
    """How bad a finding is: an error is what Argo refuses, or what cannot work once it runs."""

    WARNING = 1
    ERROR = 2

    def __str__(self) -> str:
        return self.name.lower()


def render(path: Path) -> str:
    """A path as people write it: `spec.templates[0].container.image`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif text:
            text += f".{part}"
        else:
            text = part
    return text or "."


@dataclass(frozen=True, order=True)
class Violation:
    """One finding. Sorted by file, then by line; `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    code: str
    message: str
    hint: str = field(default="", compare=False)
    path: str = field(default=".", compare=False)
    severity: Severity = field(default=Severity.ERROR, compare=False)
    name: str = field(default="", compare=False)

    @property
    def rule(self) -> str:
        """The rule's code, by the name that the JSON output uses."""
        return self.code

    @property
    def is_error(self) -> bool:
        """True if the finding alone makes the exit code 1."""
        return self.severity is Severity.ERROR

    def line_for_people(self) -> str:
        """`file:line:column: severity ARG101 message. Hint`."""
        hint = f" {self.hint}" if self.hint else ""
        return f"{self.file}:{self.line}:{self.column}: {self.severity} {self.code} {self.message}.{hint}"


@dataclass(frozen=True)
class Found:
    """A rule's finding: where, what is wrong, what to do. `mark` only where there is no path."""

    path: Path
    message: str
    hint: str = ""
    mark: Mark | None = None


Check = Callable[[Any], Iterator[Found]]


@dataclass(frozen=True)
class Rule:
    """A registered rule. `on` says what it is given: each `document`, or each Argo `resource`."""

    code: str
    name: str
    severity: Severity
    on: str
    check: Check
    doc: str

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return self.doc.split("\n", 1)[0]


_rules: dict[str, Rule] = {}


def rule(
    code: str, name: str, severity: Severity = Severity.ERROR, on: str = "resource"
) -> Callable[[Check], Check]:
    """Register the decorated generator. Raises ValueError on a code used twice or a docstring with a gap."""

    def register(check: Check) -> Check:
        doc = inspect.getdoc(check) or ""
        missing = [s for s in SECTIONS if s not in doc]
        if not re.fullmatch(r"ARG[0-9]{3}", code) or code in _rules:
            raise ValueError(f"rule code {code!r} is malformed or taken")
        if not doc or missing:
            raise ValueError(f"rule {code}: its docstring lacks {', '.join(missing) or 'everything'}")
        _rules[code] = Rule(code, name, severity, on, check, doc)
        return check

    return register


@cache
def rules() -> dict[str, Rule]:
    """All rules by code, in order; imports the modules of `argosy.lint.rules` on first use."""
    package = importlib.import_module("argosy.lint.rules")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return dict(sorted(_rules.items()))
