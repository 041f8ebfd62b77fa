"""Gates: steps whose output `result` says passed or failed, with the numbers behind the word.

A component tells its rules by the annotation `argosy.dev/gate`: comparisons of its inputs and outputs, one a
line, such as `max-diff <= tolerance` or `val-accuracy >= champion-accuracy + min-improvement`. A rule whose
numbers are not there (no champion yet) does not apply. Before a rule may stand when it counts, such as
`direction=maximize, champion-data!=other: `; where that is not so, the rule is left out.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from argosy.local.node import PROGRAMS, Node
from argosy.local.runs.record import Record

ANNOTATION = "argosy.dev/gate"
VERDICTS = ("passed", "failed")

_RULE = re.compile(r"\s*([\w-]+)\s*(>=|<=|>|<|==)\s*([\w-]+(?:\.\d+)?)(?:\s*([+-])\s+([\w-]+(?:\.\d+)?))?\s*")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
}


@dataclass(frozen=True)
class Rule:
    """One comparison of a gate; `holds` is None where it does not apply."""

    rule: str
    number: str
    holds: bool | None

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        return {"rule": self.rule, "number": self.number, "holds": self.holds}


@dataclass(frozen=True)
class Gate:
    """A gate's decision."""

    step: str
    verdict: str
    rules: tuple[Rule, ...]
    reason: str

    def to_dict(self) -> dict[str, Any]:
        """JSON."""
        rules = [rule.to_dict() for rule in self.rules]
        return {"step": self.step, "verdict": self.verdict, "rules": rules, "reason": self.reason}


def gates(record: Record) -> list[Gate]:
    """The gates of a run that decided, in its order."""
    return [
        _gate(node, record.templates.get(node.template, {}))
        for node in record.nodes
        if node.kind in PROGRAMS and node.outputs.parameters.get("result") in VERDICTS
    ]


def _gate(node: Node, template: Mapping[str, Any]) -> Gate:
    annotations = (template.get("metadata") or {}).get("annotations") or {}
    known = {**node.inputs.parameters, **node.outputs.parameters}
    lines = str(annotations.get(ANNOTATION, "")).splitlines()
    counted = (rule_of(line, known) for line in lines if line.strip())
    rules = tuple(evaluated(rule, known) for rule in counted if rule is not None)
    return Gate(node.name, known["result"], rules, known.get("reason", ""))


def rule_of(line: str, known: Mapping[str, str]) -> str | None:
    """A line's rule; None where the values that stand before it are others."""
    conditions, colon, rule = line.rpartition(":")
    for condition in conditions.split(",") if colon else ():
        name, equal, value = condition.partition("=")
        differs = name.rstrip().endswith("!")
        if not equal or (known.get(name.strip(" !")) == value.strip()) == differs:
            return None
    return rule


def evaluated(line: str, known: Mapping[str, str]) -> Rule:
    """A rule with its numbers."""
    match = _RULE.fullmatch(line)
    if match is None:
        return Rule(line.strip(), "", None)
    left, sign, right, plus, more = match.groups()
    values = [_number(word, known) for word in (left, right, *([more] if more else []))]
    if None in values:
        return Rule(line.strip(), "does not apply", None)
    numbers = [value for value in values if value is not None]
    bound = numbers[1] + (numbers[2] if plus == "+" else -numbers[2]) if more else numbers[1]
    return Rule(line.strip(), f"{numbers[0]:g} {sign} {bound:g}", _COMPARE[sign](numbers[0], bound))


def _number(word: str, known: Mapping[str, str]) -> float | None:
    try:
        return float(known.get(word, word))
    except ValueError:
        return None
