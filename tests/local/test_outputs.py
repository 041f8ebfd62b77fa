"""What a step hands on in a run: copied where it is not its own, refused where nobody could take it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from argosy.local.console import ConsoleReporter
from argosy.local.paths import VIEW_SWITCH
from argosy.step.values import MAX_BYTES
from tests.local.conftest import Run, node

STEPS = """
import os
from pathlib import Path
from argosy import Directory, File, Outputs, component

@component(image="example/steps:1")
def given(path: str) -> Outputs(file=File, again=File):
    return Outputs(file=File, again=File)(Path(path), Path(path))

@component(image="example/steps:1")
def here() -> Outputs(folder=Directory):
    Path("made").write_text("x")
    opened = open("opened", "w")
    opened.write("so far")
    opened.flush()
    return Outputs(folder=Directory)(Path("."))

@component(image="example/steps:1")
def long(size: int) -> str:
    return "x" * size

@component(image="example/steps:1")
def maybe(make: bool) -> File | None:
    Path("f").write_text("made")
    return Path("f") if make else None

@component(image="example/steps:1")
def passed_on(data: File | None = None) -> Outputs(data=File | None, text=str):
    return Outputs(data=File | None, text=str)(data, data.read_text() if data else "nothing")
"""

ONE = """
templates:
- name: main
  %s
"""


@pytest.fixture
def steps(tmp_path: Path) -> dict[str, str]:
    """The environment of a run whose steps can import the module above."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "door_steps.py").write_text(STEPS)
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path / "code")}


def template(function: str, *args: str, outputs: str, inputs: str = "{}") -> str:
    words = [f"door_steps:{function}", *args]
    return (
        f"{{inputs: {inputs}, outputs: {outputs}, container: {{image: x, command: [python, -m, argosy.step], "
        f"args: {words}}}}}"
    )


def alone(body: str) -> dict[str, object]:
    import yaml

    return {"templates": [{"name": "main", **yaml.safe_load(body)}]}


@pytest.mark.parametrize("mode", [0o644, 0o444])
@pytest.mark.parametrize("linked", [True, False])
def test_a_step_that_returns_a_users_file_leaves_it_where_it_is(
    run: Run, tmp_path: Path, steps: dict[str, str], mode: int, linked: bool
) -> None:
    mine = tmp_path / "mydata.csv"
    mine.write_text("mine")
    mine.chmod(mode)
    given = mine
    if linked:
        given = tmp_path / "link.csv"
        given.symlink_to(mine)
    before = mine.stat()
    body = template(
        "given",
        f"--path={given}",
        "--output-file={{outputs.artifacts.file.path}}",
        "--output-again={{outputs.artifacts.again.path}}",
        outputs="{artifacts: [{name: file, path: /tmp/out/file}, {name: again, path: /tmp/out/again}]}",
    )
    result = run(alone(body), environment=steps)
    assert result.succeeded, result
    kept = result.run_dir / result.outputs.artifacts["file"]
    assert (kept.read_text(), kept.is_symlink()) == ("mine", False)
    assert (result.run_dir / result.outputs.artifacts["again"]).read_text() == "mine"
    after = mine.stat()
    assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (before[1], before[0], before.st_mtime_ns)
    mine.chmod(0o644)
    mine.write_text("changed in place")
    assert kept.read_text() == "mine"


def test_the_current_folder_is_copied(run: Run, steps: dict[str, str]) -> None:
    body = template(
        "here",
        "--output-folder={{outputs.artifacts.folder.path}}",
        outputs="{artifacts: [{name: folder, path: /tmp/outputs/folder}]}",
    )
    result = run(alone(body), environment=steps)
    kept = result.run_dir / result.outputs.artifacts["folder"]
    assert {p.name: p.read_text() for p in kept.iterdir()} == {"made": "x", "opened": "so far"}
    assert (result.run_dir / "steps" / "main" / "work" / "made").read_text() == "x"


@pytest.mark.parametrize(
    "command",
    [
        "ln -s {mine} {out}",
        "ln {mine}/a {out} || cp {mine}/a {out}",  # where the declared path is shown, it is another mount
        "mkdir {out}; ln -s {mine}/a {out}/x",
        "mkdir {out}; ln {mine}/a {out}/x || cp {mine}/a {out}/x",
        "mkdir {out}; ln -s {mine} {out}/x",
    ],
)
@pytest.mark.parametrize("switch", ["1", "0"])
def test_what_any_program_links_to_stays_the_users(
    run: Run, tmp_path: Path, command: str, switch: str
) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a").write_text("mine")
    script = command.format(mine=mine, out="/tmp/out")
    result = run(
        ONE
        % f"""outputs: {{artifacts: [{{name: o, path: /tmp/out}}]}}
  container: {{image: x, command: [sh, -c, '{script}']}}""",
        environment={VIEW_SWITCH: switch},
    )
    assert result.succeeded, result
    kept = result.run_dir / result.outputs.artifacts["o"]
    paths = [kept, *kept.rglob("*")]
    assert not any(path.is_symlink() for path in paths)
    for path in (path for path in paths if path.is_file()):
        path.write_text("changed")
    assert (mine / "a").read_text() == "mine"


def test_an_output_path_that_leaves_the_step_is_copied_and_an_input_path_refused(
    run: Run, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    up = "/.." * 40
    result = run(
        ONE
        % f"""outputs: {{artifacts: [{{name: o, path: '{up}{mine}'}}]}}
  container: {{image: x, command: ['true']}}"""
    )
    assert mine.read_text() == "mine"
    result = run(
        ONE
        % f"""inputs: {{artifacts: [{{name: i, path: '{up}{mine}', raw: {{data: theirs}}}}]}}
  container: {{image: x, command: ['true']}}""",
        folder="second",
    )
    assert mine.read_text() == "mine"
    assert "is outside of the step's folder" in node(result, "main").message


def test_what_another_step_reads_is_passed_on_as_a_copy(run: Run, steps: dict[str, str]) -> None:
    artifact = "[{name: data, path: /tmp/inputs/data, optional: true}]"
    outputs = "[{name: data, path: /tmp/outputs/data, optional: true}]"
    body = template(
        "passed_on",
        "--optional-data={{inputs.artifacts.data.path}}",
        "--output-data={{outputs.artifacts.data.path}}",
        "--output-text={{outputs.parameters.text.path}}",
        inputs=f"{{artifacts: {artifact}}}",
        outputs=f"{{artifacts: {outputs}, parameters: [{{name: text, valueFrom: {{path: /tmp/text}}}}]}}",
    )
    make = template(
        "maybe",
        "--make={{inputs.parameters.make}}",
        "--output-result={{outputs.artifacts.result.path}}",
        inputs="{parameters: [{name: make}]}",
        outputs="{artifacts: [{name: result, path: /tmp/outputs/result, optional: true}]}",
    )
    given = "[{name: data, from: '{{tasks.%s.outputs.artifacts.result}}', optional: true}]"
    tasks = []
    for number, made in enumerate(("true", "false")):
        maker = f"make{number}"
        tasks.append(
            f"- {{name: {maker}, template: make, "
            f"arguments: {{parameters: [{{name: make, value: '{made}'}}]}}}}"
        )
        for reader in ("a", "b"):
            arguments = f"{{artifacts: {given % maker}}}"
            tasks.append(
                f"- {{name: {reader}{number}, template: taken, depends: {maker}, arguments: {arguments}}}"
            )
    joined = "\n    ".join(tasks)
    result = run(
        f"""
templates:
- name: main
  dag:
    tasks:
    {joined}
- {{name: taken, {body[1:]}
- {{name: make, {make[1:]}
""",
        environment=steps,
    )
    assert result.succeeded, result
    told = {n.name: n.outputs.parameters.get("text") for n in result.nodes if n.template == "taken"}
    assert told == {"a0": "made", "b0": "made", "a1": "nothing", "b1": "nothing"}
    assert node(result, "a1").outputs.artifacts == {}
    inodes = {
        (result.run_dir / n.outputs.artifacts[name]).stat().st_ino
        for n in result.nodes
        for name in n.outputs.artifacts
    }
    assert len(inodes) == 3


LONG = """
templates:
- name: main
  dag:
    tasks:
    - {name: make, template: make}
    - name: take
      template: take
      depends: make
      arguments: {parameters: [{name: text, value: "{{tasks.make.outputs.parameters.o}}"}]}
- name: make
  outputs: {parameters: [{name: o, valueFrom: {path: /tmp/o}}]}
  container: {image: x, command: [python, -c, "open('/tmp/o', 'w').write('x' * %d)"]}
- name: take
  inputs: {parameters: [{name: text}]}
  container: {image: x, command: [python, -m, platform], args: ["--text={{inputs.parameters.text}}"]}
"""


@pytest.mark.parametrize("standby", ["0", "1"])
def test_a_value_longer_than_an_argument_is_refused_at_the_door(
    run: Run, standby: str, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {"PATH": os.environ["PATH"], "ARGOSY_STANDBY": standby}
    result = run(LONG % 200_000, environment=environment, reporter=ConsoleReporter(live=False))
    taken = node(result, "take")
    assert taken.phase.value == "Error"
    assert taken.message == (
        "input parameter 'text' has 200,007 bytes, and a program's argument holds 131,071 at most: "
        "let it travel as a file (an artifact)"
    )
    shown = capsys.readouterr().err
    assert max(map(len, shown.splitlines())) < 500
    assert "input parameter 'text' has" in shown


def test_the_longest_that_an_argument_holds_arrives(run: Run) -> None:
    path = {"PATH": os.environ["PATH"]}
    assert run(LONG % (131_071 - len("--text=")), environment=path).succeeded
    refused = run(LONG % (131_072 - len("--text=")), environment=path, folder="second")
    assert node(refused, "take").phase.value == "Error"


def test_the_environment_and_all_words_together_have_a_limit_too(run: Run) -> None:
    text = "x" * 100_000
    words = ", ".join(["'{{inputs.parameters.text}}'"] * (1 + os.sysconf("SC_ARG_MAX") // len(text)))
    result = run(
        ONE
        % f"""inputs: {{parameters: [{{name: text, value: {text}}}]}}
  container: {{image: x, command: ['true'], args: [{words}]}}"""
    )
    assert "together, and" in node(result, "main").message
    assert "the longest input parameters are 'text'" in node(result, "main").message
    variable = run(
        ONE
        % f"""inputs: {{parameters: [{{name: text, value: {"x" * 140_000}}}]}}
  container: {{image: x, command: ['true'], env: [{{name: A, value: '{{{{inputs.parameters.text}}}}'}}]}}""",
        folder="second",
    )
    assert "input parameter 'text' has 140,002 bytes" in node(variable, "main").message


def test_the_producer_of_such_a_value_says_so_itself(
    run: Run, steps: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    body = template(
        "long",
        "--size={{workflow.parameters.size}}",
        "--output-result={{outputs.parameters.result.path}}",
        outputs="{parameters: [{name: result, valueFrom: {path: /tmp/outputs/result}}]}",
    )
    spec = {**alone(body), "arguments": {"parameters": [{"name": "size", "value": str(MAX_BYTES)}]}}
    fits = run(spec, environment=steps, reporter=ConsoleReporter(live=False))
    assert len(fits.outputs.parameters["result"]) == MAX_BYTES
    assert max(map(len, capsys.readouterr().err.splitlines())) < 500
    refused = run(spec, environment=steps, parameters={"size": str(MAX_BYTES + 1)}, folder="second")
    assert node(refused, "main").log_tail[-1].startswith("long: output 'result': the value has")
    assert f"has {MAX_BYTES + 1} bytes, and at most {MAX_BYTES} fit" in node(refused, "main").log_tail[-1]
