"""Two runs side by side: what differs in parameters, code, gates, outputs, metrics and times."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from argosy.local.node import PROGRAMS, Node
from argosy.local.runs.code import sources
from argosy.local.runs.gates import gates
from argosy.local.runs.record import Record


def compare(one: Record, other: Record) -> dict[str, Any]:
    """The differences, as data: pairs of the two runs' values, None where a run has none."""
    first, second = _steps(one), _steps(other)
    return {
        "runs": [one.run, other.run],
        "phases": [one.phase, other.phase],
        "seconds": [one.seconds, other.seconds],
        "parameters": differing(one.head["parameters"], other.head["parameters"]),
        "gates": differing(_gates(one), _gates(other)),
        "outputs": differing(_outputs(first), _outputs(second)),
        "steps": differing(_phases(first), _phases(second)),
        "times": {
            name: [round(first[name].seconds, 3), round(second[name].seconds, 3)]
            for name in first
            if name in second and first[name].kind in PROGRAMS
        },
        "templates": differing(
            {name: str(body) for name, body in one.templates.items()},
            {name: str(body) for name, body in other.templates.items()},
        ),
        "code": _code(one, other),
    }


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, list[Any]]:
    """By name the two values, where they are not the same."""
    names = dict.fromkeys([*one, *other])
    return {n: [one.get(n), other.get(n)] for n in names if one.get(n) != other.get(n)}


def _steps(record: Record) -> dict[str, Node]:
    return {node.name: node for node in record.nodes}


def _phases(steps: Mapping[str, Node]) -> dict[str, str]:
    return {name: node.phase.value for name, node in steps.items()}


def _outputs(steps: Mapping[str, Node]) -> dict[str, str]:
    return {
        f"{name}.{output}": value
        for name, node in steps.items()
        for output, value in node.outputs.parameters.items()
    }


def _gates(record: Record) -> dict[str, str]:
    found = {}
    for gate in gates(record):
        found[gate.step] = gate.verdict
        found |= {f"{gate.step}: {rule.rule.strip()}": rule.number for rule in gate.rules}
    return found


def _code(one: Record, other: Record) -> dict[str, list[str]] | None:
    """By file the lines of a unified diff; None where a run did not keep its code."""
    first, second = sources(one), sources(other)
    if first is None or second is None:
        return None
    found = {}
    for name in sorted({*first, *second}):
        before, after = first.get(name, ""), second.get(name, "")
        if before != after:
            lines = difflib.unified_diff(
                before.splitlines(), after.splitlines(), one.run, other.run, lineterm="", n=2
            )
            found[name] = list(lines)
    return found
