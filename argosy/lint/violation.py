"""A rule's finding: a frozen record with a place, a rule and a sentence that says what to do."""

from dataclasses import dataclass, field
from enum import IntEnum

from argosy.manifest.tree import Path

# One object with its aliases written out, in bytes, as etcd takes it.
MAX_OBJECT_BYTES = 1_572_864
# Findings of one rule in one document; whoever has more will not read them.
MAX_FINDINGS = 1_000


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
