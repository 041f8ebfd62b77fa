"""What a type checker says of a user's declarations."""

import subprocess
import sys
from pathlib import Path

GOOD = '''
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
}


def test_a_misspelt_or_wrong_option_is_a_type_error(repository: Path, tmp_path: Path) -> None:
    file = tmp_path / "user_program.py"
    file.write_text(GOOD + "\n".join(BAD) + "\n")
    options = ["--follow-imports=silent", "--ignore-missing-imports", f"--cache-dir={tmp_path / 'cache'}"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(file)], cwd=repository, capture_output=True, text=True
    )
    first = GOOD.count("\n") + 1
    told = {int(line.split(":")[1]): line for line in done.stdout.splitlines() if ": error:" in line}
    assert sorted(told) == list(range(first, first + len(BAD))), done.stdout
    for number, word in enumerate(BAD.values(), first):
        assert word in told[number]
