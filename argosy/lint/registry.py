"""The rules by code. A rule is a small generator; its docstring is its page of documentation."""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from argosy.lint.violation import Severity
from argosy.manifest.tree import Mark, Path

SECTIONS = ("Why:", "Bad:", "Good:")


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
