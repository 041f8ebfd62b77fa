"""docs/command-line.md: a step gets the environment that it says; and `argosy --help`."""

import re
from pathlib import Path

import click
from click.testing import CliRunner

from argosy.cli.main import COMMANDS, SECTIONS, main
from argosy.local.program import _INHERITED, _INHERITED_FAMILIES


def test_the_page_names_every_variable_that_a_step_gets_of_the_shell(repository: Path) -> None:
    page = (repository / "docs" / "command-line.md").read_text(encoding="utf-8")
    table = page.partition("of your shell only this")[2].partition("Credentials are none")[0]
    told = set(re.findall(r"`([A-Za-z_]+)\*?`", table)) - {"PYTHONPATH"}
    capitals = {"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY"}
    assert told | capitals == _INHERITED | set(_INHERITED_FAMILIES)


def test_help_lists_every_command_with_a_whole_sentence() -> None:
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(COMMANDS)
    for words in ([], ["export"], ["runs"]):
        shown = CliRunner().invoke(main, [*words, "--help"], terminal_width=80).stdout
        assert "..." not in shown.partition("Pipelines:" if not words else "Commands:")[2]


def test_a_parameter_without_its_option_is_told_with_it() -> None:
    done = CliRunner().invoke(main, ["run", "hello.py", "who=Ada"])
    assert done.exit_code == click.UsageError.exit_code
    assert "unexpected extra argument (who=Ada); a parameter is given as -p who=Ada" in done.output


def test_a_misspelt_command_is_told_with_the_nearest() -> None:
    done = CliRunner().invoke(main, ["compil"])
    assert done.exit_code == click.UsageError.exit_code
    assert "No such command 'compil'; did you mean 'compile'?" in done.output
