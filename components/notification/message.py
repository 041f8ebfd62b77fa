"""The message about a workflow that ended, for programs and for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_SIGNS = {"Succeeded": ":white_check_mark:", "Failed": ":x:", "Error": ":x:"}


@dataclass(frozen=True)
class Message:
    """How a workflow ended; what is not known is empty.

    Attributes:
        workflow: its name.
        status: its phase.
        model: the served model's name.
        link: where the run can be seen.
        gates: gate -> what it measured and decided, by the names that MLflow has.
        versions: `live_before`, `live`, `previous` and `triton_version`.
        notes: what could not be found out, and why.
    """

    workflow: str
    status: str
    model: str = ""
    link: str = ""
    gates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def body(self, form: str) -> dict[str, Any]:
        """The body of the request.

        Args:
            form: "json" or "slack".
        """
        if form == "slack":
            return {"text": self.text()}
        known = {name: value for name, value in vars(self).items() if value}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in known.items()}

    def text(self) -> str:
        """The message in Slack's markup."""
        lines = [
            f"{_SIGNS.get(self.status, ':grey_question:')} *{_plain(self.workflow)}* {_plain(self.status)}"
        ]
        for gate, found in self.gates.items():
            lines.append(f"{gate}: " + ", ".join(f"{name} {_number(value)}" for name, value in found.items()))
        if self.versions:
            told = ", ".join(
                f"{name.replace('_', ' ')} {value or 'none'}" for name, value in self.versions.items()
            )
            lines.append(f"{_plain(self.model)}: {_plain(told)}")
        lines += [f"_{_plain(note)}_" for note in self.notes]
        lines += [_plain(self.link)] if self.link else []
        return "\n".join(lines)


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else _plain(str(value))


def _plain(text: str) -> str:
    """Text that Slack shows as it is (its documentation, "Escaping text"), on one line."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return " ".join(escaped.split())
