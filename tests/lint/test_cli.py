"""`argosy lint` at the command line: exit codes, formats, switches."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from argosy.cli.lint import lint
from argosy.errors import ArgosyError
from tests.lint.cases import FIXTURES

BAD, GOOD = str(FIXTURES / "ARG301" / "bad.yaml"), str(FIXTURES / "ARG301" / "good.yaml")
WARNING = str(FIXTURES / "ARG701" / "bad.yaml")


def run(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(lint, arguments, input=stdin)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([GOOD], 0),
        ([BAD], 1),
        ([GOOD, BAD], 1),
        ([WARNING], 0),
        ([WARNING, "--strict"], 1),
        ([WARNING, "--error-on-warning"], 1),
        ([BAD, "--ignore", "ARG3"], 0),
        ([BAD, "--select", "arg2,ARG5"], 0),
    ],
)
def test_exit_codes(arguments: list[str], code: int) -> None:
    assert run(*arguments).exit_code == code


@pytest.mark.parametrize(
    "arguments", [[], ["/nowhere.yaml"], [GOOD, "--select", "X1"], ["--explain", "ARG998"]]
)
def test_unusable_arguments(arguments: list[str]) -> None:
    error = run(*arguments).exception
    assert isinstance(error, ArgosyError) and error.exit_code == 2


def test_an_unknown_option_is_exit_code_2() -> None:
    assert run("--format", "xml", GOOD).exit_code == 2


def test_json_is_a_list_also_when_it_is_clean() -> None:
    assert json.loads(run(GOOD, "--format", "json").output) == []
    (found,) = json.loads(run(BAD, "--format", "json").output)
    assert found.keys() >= {"file", "line", "rule", "path", "message"} and found["file"] == BAD


def test_quiet_shows_errors_only() -> None:
    assert run(WARNING, "--quiet").output == "" and "ARG701" in run(WARNING).output


def test_standard_input() -> None:
    result = run("-", stdin=Path(BAD).read_text())
    assert result.exit_code == 1 and result.output.startswith("<stdin>:9:")


def test_the_list_and_a_page() -> None:
    assert "ARG301 error    input-not-supplied" in run("--list").output
    assert "Why:" in run("--explain", "arg301").output


def test_fix_edits_in_place(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text((FIXTURES / "ARG006" / "bad.yaml").read_text())
    assert run(str(file), "--fix").exit_code == 0
    assert 'schedules: ["0 2 * * *"]' in file.read_text()
