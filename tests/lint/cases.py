"""The corpus: `#=== what it is: CODES` before each case, `ok` where no error is expected."""

import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
FIXTURES = HERE / "fixtures"


@dataclass(frozen=True)
class Case:
    """One or several documents, and the errors that they must have."""

    name: str
    text: str
    errors: frozenset[str]


def corpus() -> list[Case]:
    """All cases."""
    return [case for file in sorted(CORPUS.glob("*.yaml")) for case in _cases(file)]


def _cases(file: Path) -> list[Case]:
    blocks = re.split(r"^#=== ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    cases = []
    for block in blocks:
        head, text = block.split("\n", 1)
        name, expected = head.rsplit(": ", 1)
        cases.append(Case(f"{file.stem}: {name}", text, frozenset(expected.split()) - {"ok"}))
    return cases
