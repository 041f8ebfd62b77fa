"""Coverage-guided fuzzing of the linter, with atheris: `python -m tests.lint.coverage_fuzz [OPTIONS]`.

Starts from the corpus, changes bytes, and keeps what reaches new code.  A traceback ends it.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

with atheris.instrument_imports(include=["argosy.lint"]):
    from argosy.lint.engine import lint_sources
    from argosy.manifest.reading import read

from tests.lint.cases import corpus


def one_input(data: bytes) -> None:
    """Lint some bytes; whatever they are, each finding has a place and a sentence."""
    for violation in lint_sources([read("x.yaml", data)]):
        if violation.line < 1 or not violation.message:
            raise RuntimeError(f"a finding without place or sentence: {violation}")


def main() -> None:
    """Fuzz until libFuzzer's limits are reached."""
    with TemporaryDirectory() as seeds:
        for number, case in enumerate(corpus()):
            (Path(seeds) / f"{number}.yaml").write_text(case.text, encoding="utf-8")
        atheris.Setup([*sys.argv, seeds], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
