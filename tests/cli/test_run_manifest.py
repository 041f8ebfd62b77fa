"""`argosy run FILE.yaml`: the linter's errors come first, with the user's own line; nothing is started."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from argosy.cli.main import main
from tests.documents import hold

GOOD = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: t-}
spec:
  entrypoint: main
  arguments:
    parameters: [{name: who}]
  templates:
  - name: main
    dag:
      tasks:
      - {name: a, template: say}
      - {name: b, template: say, depends: a}
  - name: say
    container: {image: x, command: [echo, "{{workflow.parameters.who}}"]}
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    monkeypatch.chdir(tmp_path)

    def written(text: str) -> Path:
        file = tmp_path / "flow.yaml"
        file.write_text(text)
        return Path(file.name)

    return written


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("depends: a}", "depends: c}", "flow.yaml:13: ARG402 'b' depends on 'c'"),
        ("template: say}\n", "template: sya}\n", "flow.yaml:12: ARG202 template 'sya' is not defined"),
        ("parameters.who}}", "parameters.whom}}", "flow.yaml:15: ARG333"),
        ("depends: a}", "depends: a, when: '{{=asInt(1) +}}'}", "flow.yaml:13: ARG341"),
        ("name: a, template", "name: a_b, template", "flow.yaml:12: ARG1"),
    ],
)
def test_what_the_linter_refuses_does_not_start(
    write: Callable[[str], Path], old: str, new: str, says: str
) -> None:
    assert old in GOOD
    done = CliRunner().invoke(main, ["run", str(write(GOOD.replace(old, new, 1))), "-p", "who=Ada"])
    assert (done.exit_code, says in done.output) == (2, True), done.output
    assert not Path(".argosy").exists()


def test_a_parameter_may_be_given_on_the_command_line_alone(write: Callable[[str], Path]) -> None:
    done = CliRunner().invoke(main, ["run", str(write(GOOD)), "-p", "who=Ada"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(main, ["run", str(write(GOOD))])
    assert (done.exit_code, "give -p who=VALUE" in done.output) == (2, True), done.output


@pytest.mark.parametrize(("option", "settings"), [(["--runner", "podman"], ""), ([], "runner: podman")])
def test_an_engine_that_is_not_here_starts_nothing(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, option: list[str], settings: str
) -> None:
    file = write(GOOD)
    Path("argosy.yaml").write_text(settings)
    monkeypatch.setenv("PATH", str(Path.cwd()))
    done = CliRunner().invoke(main, ["run", str(file), "-p", "who=Ada", *option])
    assert done.exit_code == 2 and "--runner podman: there is no podman here" in done.output
    assert not Path(".argosy").exists()


def test_a_run_keeps_its_runner(write: Callable[[str], Path]) -> None:
    done = CliRunner().invoke(main, ["run", str(write(GOOD)), "-p", "who=Ada"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(main, ["run", "--resume", "last", "--runner", "podman"])
    assert done.exit_code == 2 and "as it was, with --runner process" in done.output


def test_isolation_is_of_processes(write: Callable[[str], Path]) -> None:
    words = ["run", str(write(GOOD)), "-p", "who=Ada", "--runner", "podman", "--isolated"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 2 and "--isolated is of processes" in done.output


def test_a_parameter_may_be_called_kind(write: Callable[[str], Path], tmp_path: Path) -> None:
    file = write(GOOD.replace("who", "kind"))
    (tmp_path / "values.yaml").write_text("kind: tabular\n")
    words = ["run", str(file), "-f", "values.yaml", "--state-dir", "state"]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert "a | tabular" in done.stderr, done.stderr
    (tmp_path / "values.yaml").write_text("kind: Secret\ndata: {}\n")
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert (done.exit_code, "there is no parameter 'data'" in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("kind", ["Workflow", "WorkflowTemplate", "CronWorkflow"])
def test_a_run_is_announced_by_the_name_that_commands_know(
    write: Callable[[str], Path], tmp_path: Path, kind: str
) -> None:
    text = GOOD.replace("kind: Workflow", f"kind: {kind}").replace("name: who", "name: who, value: x")
    if kind != "Workflow":
        text = text.replace("generateName: t-", "name: t")
    if kind == "CronWorkflow":
        head, spec = text.split("spec:\n")
        inner = "".join(f"  {line}\n" for line in spec.splitlines())
        text = f"{head}spec:\n  schedules: ['0 3 * * *']\n  workflowSpec:\n{inner}"
    file = write(text)
    done = CliRunner().invoke(main, ["run", str(file), "--state-dir", "state"], catch_exceptions=False)
    (run,) = (tmp_path / "state" / "runs").iterdir()
    assert f"\n{run.name}: Succeeded" in done.stderr and f"workflow {run.name}  " in done.stderr, done.stderr


def test_the_workflows_own_outputs_are_told_at_the_end(write: Callable[[str], Path]) -> None:
    own = "outputs: {parameters: [{name: verdict, valueFrom: {expression: '1 + 1'}}]}\n    dag:"
    file = write(GOOD.replace("name: who", "name: who, value: x").replace("dag:", own))
    done = CliRunner().invoke(main, ["run", str(file), "--state-dir", "state"], catch_exceptions=False)
    end = done.stderr.partition(": Succeeded\n")[2].splitlines()
    assert end[0].split() == ["verdict", "2"], done.stderr


@pytest.mark.parametrize(
    ("text", "words", "phase", "says"),
    [
        (GOOD.replace("depends: a}", "depends: c}"), [], "Failed", "ARG402 'b' depends on 'c'"),
        (GOOD, [], "Error", "parameter 'who' has no value"),
        (GOOD, ["-p", "whom=Ada"], "Error", "there is no parameter 'whom'"),
    ],
)
def test_a_refused_run_is_a_document_too(
    write: Callable[[str], Path], text: str, words: list[str], phase: str, says: str
) -> None:
    """The engine itself fails a workflow that its validation refuses."""
    done = CliRunner().invoke(main, ["run", str(write(text)), "--output", "json", *words])
    told = hold("run", done.stdout)
    assert (done.exit_code, told["phase"], told["nodes"]) == (2, phase, [])
    assert says in told["message"]
    assert done.stderr == f"argosy: {told['message']}\n"
