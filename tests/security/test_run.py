"""Hostile values through `argosy run`: they arrive as they were given, or nothing starts."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from argosy.cli.main import main
from argosy.compose.given import check_values
from argosy.errors import UsageError
from tests.security.echo import NAMES, PORTS, program
from tests.security.hostile import CANARY, VALUES


def _refused(value: str) -> bool:
    try:
        check_values({"x": value})
    except UsageError:
        return True
    return False


REFUSED = [value for value in VALUES if _refused(value)]
# A whole command line has its limit, too: the long ones travel alone.
CARRIED = sorted((value for value in VALUES if not _refused(value)), key=len)
BATCHES = [CARRIED[start : start + PORTS] for start in range(0, len(CARRIED), PORTS)]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, in a folder of its own."""
    folder = tmp_path_factory.mktemp("echo")
    return program(folder)


def argosy_run(file: Path, given: dict[str, str], *more: str) -> Result:
    words = [word for name, value in given.items() for word in ("-p", f"{name}={value}")]
    target = ("run", str(file), "--output", "json")
    return CliRunner().invoke(main, [*target, "--state-dir", str(file.parent / "state"), *words, *more])


def test_the_list_is_long_and_little_of_it_is_refused() -> None:
    assert len(VALUES) >= 200
    assert len(REFUSED) < 12


@pytest.mark.parametrize("number", range(len(BATCHES)))
def test_a_value_arrives_unaltered_and_is_never_executed(
    file: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(file.parent)
    given = dict(zip(NAMES, BATCHES[number], strict=False))
    done = argosy_run(file, given)
    assert done.exit_code == 0, done.stderr
    nodes = {node["name"]: node for node in json.loads(done.stdout)["nodes"]}
    for step in ("first", "second"):
        arrived = nodes[step]["outputs"]["parameters"]
        assert {name: arrived[name] for name in given} == given
    assert not list(file.parent.rglob(CANARY))


@pytest.mark.parametrize("value", REFUSED, ids=lambda value: ascii(value[:20]))
def test_a_value_that_no_program_can_be_given_is_refused_in_one_line(file: Path, value: str) -> None:
    before = sorted(file.parent.rglob("*"))
    done = argosy_run(file, {"p00": value})
    assert done.exit_code == 2
    assert done.stderr.startswith("argosy: parameter 'p00': ")
    assert len(done.stderr.splitlines()) == 1 and len(done.stderr) < 500
    assert sorted(file.parent.rglob("*")) == before


def test_a_value_from_a_file_is_data_too(file: Path, tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(f"p00: !!python/object/apply:os.system ['touch {CANARY}']\n")
    refused = argosy_run(file, {}, "--parameter-file", str(values))
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
    values.write_text('p00: "nul \\0"\n')
    refused = argosy_run(file, {}, "--parameter-file", str(values))
    assert (refused.exit_code, len(refused.stderr.splitlines())) == (2, 1)
    values.write_text("p00: 0x1\np01: yes\np02: 1e3\np03: ~\np04: '{{workflow.name}}'\n")
    done = argosy_run(file, {}, "--parameter-file", str(values))
    arrived = json.loads(done.stdout)["nodes"][1]["outputs"]["parameters"]
    assert [arrived[name] for name in NAMES[:5]] == ["0x1", "yes", "1e3", "", "{{workflow.name}}"]
    assert not list(file.parent.rglob(CANARY)) and not Path(CANARY).exists()


def test_many_values_that_are_too_long_together_are_one_clear_line(file: Path) -> None:
    done = argosy_run(file, dict.fromkeys(NAMES, "x" * 120_000))
    assert done.exit_code == 1
    assert "bytes together" in done.stderr and "let them travel as files" in done.stderr
    assert "Traceback" not in done.stderr
