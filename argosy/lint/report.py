"""Findings as text for people, JSON, GitHub's annotations, and SARIF."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from argosy import __version__
from argosy.lint.registry import Rule, Violation, rules

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def text(violations: Sequence[Violation]) -> str:
    """One line a finding, and one with the sum if there are any."""
    if not violations:
        return ""
    errors = sum(v.is_error for v in violations)
    counts = [_count(errors, "error"), _count(len(violations) - errors, "warning")]
    return "\n".join([*(v.line_for_people() for v in violations), ", ".join(c for c in counts if c)])


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' if number > 1 else ''}" if number else ""


def as_json(violations: Sequence[Violation]) -> str:
    """A list of objects with file, line, column, rule, name, severity, path, message and hint."""
    return json.dumps([_object(v) for v in violations], indent=2, ensure_ascii=False)


def _object(violation: Violation) -> dict[str, Any]:
    return {
        "file": violation.file,
        "line": violation.line,
        "column": violation.column,
        "rule": violation.code,
        "name": violation.name,
        "severity": str(violation.severity),
        "path": violation.path,
        "message": violation.message,
        "hint": violation.hint,
    }


def github(violations: Sequence[Violation]) -> str:
    """Workflow commands that GitHub shows beside the changed lines."""
    return "\n".join(_annotation(v) for v in violations)


def _annotation(violation: Violation) -> str:
    place = f"file={_property(violation.file)},line={violation.line},col={violation.column}"
    message = _data(f"{violation.message}. {violation.hint}".rstrip())
    return f"::{violation.severity} {place},title={violation.code} {violation.name}::{message}"


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


def sarif(violations: Sequence[Violation]) -> str:
    """A SARIF 2.1.0 log with the rules that were broken."""
    broken = [rules()[code] for code in dict.fromkeys(sorted(v.code for v in violations))]
    driver = {"name": "argosy-lint", "version": __version__, "rules": [_sarif_rule(r) for r in broken]}
    results = [_sarif_result(v) for v in violations]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _sarif_rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": rule.doc},
        "defaultConfiguration": {"level": str(rule.severity)},
    }


def _sarif_result(violation: Violation) -> dict[str, Any]:
    region = {"startLine": violation.line, "startColumn": violation.column}
    place = {"artifactLocation": {"uri": violation.file.replace("\\", "/")}, "region": region}
    logical = [{"fullyQualifiedName": violation.path}]
    return {
        "ruleId": violation.code,
        "level": str(violation.severity),
        "message": {"text": f"{violation.message}. {violation.hint}".rstrip()},
        "locations": [{"physicalLocation": place, "logicalLocations": logical}],
    }


FORMATS: dict[str, Callable[[Sequence[Violation]], str]] = {
    "text": text,
    "json": as_json,
    "github": github,
    "sarif": sarif,
}
