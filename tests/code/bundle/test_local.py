"""Steps with a bundle on one machine: `argosy run --isolated`, and compiled files with their code."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from argosy.cli.main import main
from tests.cluster import programs


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, in the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ARGOSY_SETTINGS", raising=False)
    return tmp_path


def argosy(*words: str) -> Result:
    """The command in a process's place; the pipeline's module is loaded once."""
    return CliRunner().invoke(main, list(words))


def logs(project: Path) -> str:
    return "".join(p.read_text() for p in project.glob(".argosy/runs/*/steps/*/main.log"))


def test_an_isolated_step_has_its_bundle_and_the_packages_that_it_declares(project: Path) -> None:
    (project / "flow_isolated.py").write_text(
        programs.HELLO.replace(
            'print("hello", who)',
            'import sys, os; print(__file__, "|".join(sys.path), os.environ.get("PYTHONPATH"))',
        )
    )
    result = argosy("run", "flow_isolated.py", "--isolated")
    assert result.exit_code == 0, result.output
    file, path, python_path = logs(project).splitlines()[-1].split(" ")
    assert file.endswith("/flow_isolated.py") and ".zip/" in file
    assert str(project) not in path.split("|")[1:]
    assert python_path.endswith(".zip")


@pytest.mark.parametrize(
    ("image", "declared", "body", "code"),
    [
        ("python:3.11-slim", "", "import yaml", 1),
        ("python:3.11-slim", "PyYAML", "import yaml", 0),
        ("python:3.11-slim", "pyyaml", "import click", 1),
        ("python:3.11-slim", "jinja2", "import jinja2, markupsafe", 0),
        ("registry.example/with-yaml:1.0", "", "import yaml", 0),
    ],
)
def test_an_isolated_step_lacks_what_it_does_not_declare(
    project: Path, request: pytest.FixtureRequest, image: str, declared: str, body: str, code: int
) -> None:
    name = f"flow_declared_{request.node.callspec.indices['code']}.py"
    packages = f", packages=[{declared!r}]" if declared else ""
    text = programs.HELLO.replace('print("hello", who)', body).replace(
        'image="python:3.11-slim"', f'image="{image}"{packages}'
    )
    (project / name).write_text(text)
    result = argosy("run", name, "--isolated")
    assert result.exit_code == code, result.output
    assert ("No module named" in logs(project)) is bool(code)


def test_what_a_bundle_lacks_fails_there_as_in_the_pod(project: Path) -> None:
    (project / "hidden.py").touch()
    text = programs.HELLO.replace('print("hello", who)', '__import__("importlib").import_module("hidden")')
    (project / "flow_dynamic.py").write_text(text)
    assert argosy("run", "flow_dynamic.py").exit_code == 0
    result = argosy("run", "flow_dynamic.py", "--isolated")
    assert result.exit_code == 1
    assert "No module named 'hidden'" in logs(project)


def test_a_compiled_file_runs_with_the_code_beside_it(project: Path) -> None:
    (project / "flow_compiled.py").write_text(programs.HELLO)
    assert argosy("compile", "flow_compiled.py", "-o", "out").exit_code == 0
    (project / "flow_compiled.py").unlink()
    result = argosy("run", "out/hello.yaml", "-p", "who=Ada")
    assert result.exit_code == 0, result.output
    assert "hello Ada" in logs(project)
    (project / "out" / "hello.code.yaml").unlink()
    result = argosy("run", "out/hello.yaml", "-p", "who=Ada")
    assert result.exit_code == 2
    assert "out/hello.yaml: the code of its steps, ConfigMap 'argosy-code-" in result.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train-model-image-classification"], "no step here has one"),
        (["out.yaml"], "--isolated is for pipelines"),
        (["--resume", "last"], "no --isolated"),
    ],
)
def test_where_nothing_can_be_isolated_that_is_said(project: Path, words: list[str], message: str) -> None:
    (project / "out.yaml").write_text("kind: Workflow\n")
    result = argosy("run", *words, "--isolated")
    assert result.exit_code == 2 and message in result.output
