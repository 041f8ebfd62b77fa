"""What mypy and pyright say of a user's declarations."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

GOOD = '''
import couler.argo as couler

from argosy import Component, Resources, Retry, component, on_exit, pipeline

@component(image="example/steps:1", timeout="60s", resources=Resources(cpu="1"), retry=None)
def fit(rate: float = 0.1) -> None:
    """Fit."""

faster: Component[[float], None] = fit.options(name="faster", timeout=30)  # type: ignore[assignment]
fit(rate=0.2)

@pipeline(timeout="1h", parallelism=2)
def all_of_it(rate: float = 0.1) -> None:
    fit(rate=rate)
    on_exit(lambda end: fit(rate=0.1))
'''
BAD = {
    'fit.options(nme="x")': "nme",
    "fit.options(timeout=[1])": "timeout",
    'component(image="x:1", retires=1)': "retires",
    "component(name='x')": "component",
    "pipeline(timout=3)": "timout",
    "fit(rat=0.1)": "rat",
    "couler.when(couler.equal(1, 2), 3)": "when",
}


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A file in a project of its own."""
    file = tmp_path / "user_program.py"
    file.write_text(GOOD + "\n".join(BAD) + "\n")
    return file


def check_lines(told: dict[int, str]) -> None:
    """Every bad line is told, and no other."""
    first = GOOD.count("\n") + 1
    assert sorted(told) == list(range(first, first + len(BAD))), told


def test_a_misspelt_or_wrong_option_is_a_type_error_to_mypy(program: Path) -> None:
    command = [sys.executable, "-m", "mypy", f"--cache-dir={program.parent / 'cache'}", program.name]
    done = subprocess.run(command, cwd=program.parent, capture_output=True, text=True)
    errors = (line for line in done.stdout.splitlines() if ": error:" in line)
    told = {int(line.split(":")[1]): line for line in errors}
    check_lines(told)
    for line, word in zip(sorted(told), BAD.values(), strict=True):
        assert word in told[line]


def test_and_to_pyright(program: Path) -> None:
    """basedpyright is pyright as wheels, Node.js included; its standard mode checks what pyright does."""
    (program.parent / "pyrightconfig.json").write_text('{"typeCheckingMode": "standard"}')
    checker = Path(sys.executable).with_name("basedpyright")
    command = [checker, "--outputjson", "--pythonpath", sys.executable, program.name]
    done = subprocess.run(command, cwd=program.parent, capture_output=True, text=True)
    found = json.loads(done.stdout)["generalDiagnostics"]
    told = {one["range"]["start"]["line"] + 1: one["message"] for one in found}
    check_lines(told)
