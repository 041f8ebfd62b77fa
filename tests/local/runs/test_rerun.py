"""A part of a run again: from a step on, or one step alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from argosy.local import marks
from argosy.local.runs.record import History, Record
from tests.local.conftest import manifest
from tests.local.runs.conftest import GATED, Argosy, Made
from tests.local.runs.terminal import ARGOSY, Terminal, terminal

CHAIN = """
arguments: {parameters: [{name: word, value: one}, {name: late, value: x}]}
templates:
- name: main
  dag:
    tasks:
    - {name: make, template: make}
    - name: use
      template: use
      depends: make
      arguments: {artifacts: [{name: f, from: "{{tasks.make.outputs.artifacts.f}}"}]}
    - {name: last, template: last, depends: use}
- name: make
  outputs: {artifacts: [{name: f, path: /tmp/f}]}
  container: {image: x, command: [sh, -c, 'echo {{workflow.parameters.word}} > /tmp/f; echo made']}
- name: use
  inputs: {artifacts: [{name: f, path: /tmp/in}], parameters: [{name: n, value: "1"}]}
  container: {image: x, command: [sh, -c, 'cat /tmp/in; echo {{inputs.parameters.n}}']}
- {name: last, container: {image: x, command: [echo, "{{workflow.parameters.late}}"]}}
"""


def newest(tmp_path: Path) -> dict[str, object]:
    record = History(tmp_path).find("last")
    return {node.name: node.reused for node in record.nodes}


def test_from_a_step_on_what_came_before_is_taken_over(made: Made, argosy: Argosy, tmp_path: Path) -> None:
    first = made(CHAIN)
    done = argosy("rerun", "abc12", "--from", "use", "-p", "late=y", "--output", "json")
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert newest(tmp_path) == {"make": first.run, "use": None, "last": None}
    assert result["uid"] != first.head["uid"]
    folder = Path(result["runDir"])
    assert (folder / "steps/last/main.log").read_text() == "y\n"
    assert (folder / "steps/make/main.log").read_text() == "made\n"
    assert (folder / "artifacts/make/f/f").samefile(first.folder / "artifacts/make/f/f")
    assert argosy("runs", "prune", first.run).exit_code == 0
    assert argosy("show", "last").exit_code == 0  # and it stands alone


def test_a_taken_over_step_that_read_a_changed_parameter_is_named(made: Made, argosy: Argosy) -> None:
    made(CHAIN)
    done = argosy("rerun", "last", "--from", "use", "-p", "word=two")
    assert "'make' is taken over as it is, made with the parameters of pipe-abc12" in done.stderr


def test_one_step_alone_on_its_recorded_inputs(made: Made, argosy: Argosy, tmp_path: Path) -> None:
    made(CHAIN)
    assert argosy("rerun", "last", "--step", "use").exit_code == 0
    assert argosy("logs", "last").stdout == "use | one\nuse | 1\n"
    assert newest(tmp_path) == {"use": None}
    assert argosy("rerun", "abc12", "--step", "use", "-p", "n=7").exit_code == 0
    assert argosy("logs", "last", "use").stdout == "one\n7\n"
    shown = argosy("show", "last").stdout
    assert "\ninputs of 'use', alone, as in pipe-abc12; set anew: n\n  n  7\n" in shown


def test_a_run_of_one_step_alone_never_becomes_the_whole(made: Made, argosy: Argosy, tmp_path: Path) -> None:
    made(CHAIN)
    assert argosy("rerun", "last", "--step", "use").exit_code == 0
    run = History(tmp_path).find("last")
    again = "argosy rerun pipe-abc12 --step use"
    done = argosy("run", "--resume", "last")
    told = (
        f"{run.run} is 'use' of pipe-abc12 alone, and nothing else may run in it; do it again with: {again}"
    )
    assert (done.exit_code, done.stderr) == (2, f"argosy: {told}\n")
    done = argosy("rerun", "last", "--from", "use")
    assert done.exit_code == 2 and done.stderr.endswith("write argosy rerun pipe-abc12 --from use\n")
    assert argosy("rerun", "last", "--step", "use").exit_code == 0
    state = run.folder / "run.json"
    state.write_text(state.read_text().replace('"phase": "Succeeded"', '"phase": "Running"', 1))
    assert f"its runner died; go on with: {again}\n" in argosy("show", run.run).stdout
    assert argosy("attach", run.run).stderr == f"argosy: the runner of {run.run} died; go on with: {again}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "say --from STEP or --step STEP"),
        (["--from", "usee"], "did you mean 'use'"),
        (["--step", "use", "-p", "m=1"], "'use' has no input 'm'; it has: n"),
        (["--from", "use", "--debug"], "--debug runs one step"),
        (["--step", "use", "--debug"], "'python -m MODULE' and 'python FILE'; 'use' runs sh"),
        (["--from", "use", "-p", "words=1"], "words"),
    ],
)
def test_bad_input_is_one_line_and_makes_no_run(
    words: list[str], message: str, made: Made, argosy: Argosy, tmp_path: Path
) -> None:
    made(CHAIN)
    done = argosy("rerun", "last", *words)
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr
    assert len(History(tmp_path).names()) == 1


def test_a_step_that_never_began_has_no_inputs(made: Made, argosy: Argosy) -> None:
    made(GATED)
    assert "'never' never began" in argosy("rerun", "last", "--step", "never").stderr


def test_a_lost_artifact_is_named(made: Made, argosy: Argosy) -> None:
    record = made(CHAIN)
    (record.folder / "artifacts/make/f/f").unlink()
    for words in (("--step", "use"), ("--from", "use"), ("--from", "last")):
        done = argosy("rerun", "last", *words)
        again = "make it anew with: argosy rerun pipe-abc12 --from make"
        told = f"argosy: 'artifacts/make/f/f' of pipe-abc12, which 'make' made, is lost; {again}\n"
        assert (done.exit_code, done.stderr) == (2, told)


def changed(file: Path, text: str) -> None:
    """Change a file as somebody might who keeps its time."""
    before = file.stat()
    file.write_text(text)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("hashed", [True, False])
@pytest.mark.parametrize("again", [(), ("--from", "use")], ids=["first", "again"])
def test_an_artifact_that_is_not_as_it_was_made_is_not_taken_over(
    again: tuple[str, ...], hashed: bool, made: Made, argosy: Argosy, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if not hashed:
        monkeypatch.setattr(marks, "_RATE", 1)
    made(CHAIN)
    if again:
        assert argosy("rerun", "last", *again).exit_code == 0
    record = History(tmp_path).find("last")
    file = record.folder / "artifacts/make/f/f"
    assert argosy("rerun", record.run, "--from", "last").exit_code == 0
    known = len(History(tmp_path).names())
    for text, told in (("onely", "has 5 bytes, of 4"), ("two\n", "has another content" if hashed else "")):
        changed(file, text)
        for words in (("--step", "use"), ("--from", "last")):
            done = argosy("rerun", record.run, *words)
            assert done.exit_code == (2 if told else 0)
            assert told in done.stderr and ("make it anew" in done.stderr or not told)
    if not hashed:
        file.touch()
        assert "was changed since" in argosy("rerun", record.run, "--from", "last").stderr
    else:
        assert len(History(tmp_path).names()) == known


def test_a_record_without_marks_is_taken_over_as_it_is(made: Made, argosy: Argosy, tmp_path: Path) -> None:
    folder = made(CHAIN).folder
    state = json.loads((folder / "run.json").read_text())
    del state["nodes"][0]["outputs"]["marks"]
    (folder / "run.json").write_text(json.dumps(state))
    (folder / "artifacts/make/f/f").write_text("other\n")
    assert argosy("rerun", "last", "--from", "use").exit_code == 0
    assert argosy("logs", "last", "use").stdout == "other\n1\n"


def test_a_folder_is_whole_with_all_names_and_contents(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner/a\udcff").write_text("a")
    (folder / "gone").symlink_to("nowhere")
    made = [marks.mark(folder, took) for took in (None, 0.0001)]
    assert [marks.difference(folder, one) for one in (*made, None)] == ["", "", ""]
    (folder / "inner/a\udcff").rename(folder / "b")
    assert [marks.difference(folder, one) for one in made] == ["has another content"] * 2
    (folder / "c").write_text("ccc")
    assert marks.difference(folder, made[0]).startswith("has ")
    assert marks.difference(tmp_path / "nowhere", None) == "is lost"


@pytest.mark.parametrize(
    ("took", "size", "hashed"), [(0.01, 10_000, True), (0.01, 10**6, False), (9, 10**6, True)]
)
def test_content_is_read_where_that_is_a_small_part_of_the_step(
    took: float, size: int, hashed: bool, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(bytes(size))
    assert (marks.mark(tmp_path / "f", took).sha256 is not None) is hashed


def test_what_succeeded_stays_so_though_what_it_was_given_is_lost(argosy: Argosy, tmp_path: Path) -> None:
    file, door = tmp_path / "lost.yaml", tmp_path / "door"
    file.write_text(yaml.safe_dump(manifest(LOST % door)))
    assert argosy("run", str(file)).exit_code == 1
    record = History(tmp_path).find("last")
    (record.folder / "artifacts/make/f/f").unlink()
    door.touch()
    assert argosy("run", "--resume", "last").exit_code == 0
    after = Record.read(record.folder)
    assert (after.phase, after.node("use").outputs.parameters) == ("Succeeded", {"lines": "2"})
    assert after.node("use").started_at == record.node("use").started_at
    (record.folder / "request.json").unlink()
    told = f"argosy: {record.folder / 'request.json'} does not tell what run '{record.run}' was asked for\n"
    assert argosy("run", "--resume", "last").stderr == told


DONE = """
onExit: tell
templates:
- {name: main, steps: [[{name: a, template: a, continueOn: {failed: true}}]]}
- {name: a, container: {image: x, command: [test, -e, %s]}}
- {name: tell, container: {image: x, command: [sh, -c, 'echo told >> %s']}}
"""


def test_of_a_run_that_succeeded_nothing_runs_again(argosy: Argosy, tmp_path: Path) -> None:
    file, door, told = tmp_path / "done.yaml", tmp_path / "door", tmp_path / "told"
    file.write_text(yaml.safe_dump(manifest(DONE % (door, told))))
    assert argosy("run", str(file)).exit_code == 0  # though a step of it failed
    door.touch()
    for times in (2, 2):
        assert argosy("run", "--resume", "last").exit_code == 0
        assert told.read_text().count("told") == times
    run = History(tmp_path).find("last")
    before = (run.folder / "run.json").read_bytes()
    done = argosy("run", "--resume", "last", "--output", "json")
    again = f"{run.run} is over: Succeeded; look at it with: argosy show {run.run}"
    assert done.stderr == f"nothing is left to run: {again}\n"
    assert json.loads(done.stdout)["phase"] == "Succeeded"
    assert (run.folder / "run.json").read_bytes() == before


LOST = """
templates:
- name: main
  steps:
  - - {name: make, template: make}
  - - name: use
      template: use
      arguments: {artifacts: [{name: f, from: "{{steps.make.outputs.artifacts.f}}"}]}
  - - {name: door, template: door}
- name: make
  outputs: {artifacts: [{name: f, path: /tmp/f}]}
  container: {image: x, command: [sh, -c, "printf 'a\\nb\\n' > /tmp/f"]}
- name: use
  inputs: {artifacts: [{name: f, path: /tmp/f}]}
  outputs: {parameters: [{name: lines, valueFrom: {path: /tmp/n}}]}
  container: {image: x, command: [sh, -c, "wc -l < /tmp/f > /tmp/n"]}
- {name: door, container: {image: x, command: [test, -e, %s]}}
"""

STEP = """
from argosy import component, pipeline

@component(image="x")
def add(a: int, b: int = 2) -> None:
    '''Add.'''
    total = a + b
    try:
        print("total", total)
    finally:
        print("tidied up")

@pipeline()
def sums(a: int = 40):
    add(a=a)
"""


@pytest.fixture
def summed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run of the pipeline `sums`, whose step says where it tidies up."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARGOSY_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "sums.py").write_text(STEP)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([ARGOSY, "run", "sums.py"], check=True, **quiet)  # type: ignore[call-overload]
    return tmp_path


def test_an_input_that_is_set_anew_has_the_type_of_the_component(summed: Path) -> None:
    rerun = [ARGOSY, "rerun", "last", "--step", "add", "-p"]
    refused = subprocess.run([*rerun, "b=many"], capture_output=True, text=True)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "parameter 'b': 'many' is not a whole number" in refused.stderr
    assert len(History(summed / "state").names()) == 1
    assert subprocess.run([*rerun, "b=007"], capture_output=True).returncode == 0
    record = History(summed / "state").find("last")
    assert record.node("add").inputs.parameters == {"a": "40", "b": "7"}


def prompt(screen: Terminal, number: int) -> None:
    """Wait for pdb's prompt of that number."""
    while screen.shown.count("(Pdb)") < number:
        screen.more("(Pdb)")


def test_debug_opens_pdb_in_the_step_on_the_terminal(summed: Path) -> None:
    with terminal(summed, "rerun", "last", "--step", "add", "--debug") as screen:
        for number, line in enumerate(("next", "p total * 100", "continue"), 1):
            prompt(screen, number)
            screen.press(f"{line}\n")
        assert screen.code() == 0
        assert screen.is_echoing()
    assert "total = a + b" in screen.shown and "4200" in screen.shown and "total 42" in screen.shown
    assert screen.shown.count("(Pdb)") == 3 and "add  Succeeded" in screen.shown


def test_a_breakpoint_of_the_step_stops_behind_it(summed: Path) -> None:
    file = summed / "sums.py"
    file.write_text(file.read_text().replace("    total = a + b", "    breakpoint()\n    total = a + b"))
    with terminal(summed, "rerun", "last", "--step", "add", "--debug") as screen:
        prompt(screen, 1)
        screen.press("continue\n")
        prompt(screen, 2)
        assert screen.shown.count("-> total = a + b") == 1
        screen.press("continue\n")
        assert screen.code() == 0


@pytest.mark.parametrize("keys", ["q\n", "\x04"], ids=["quit", "Ctrl-D"])
def test_quit_in_pdb_ends_the_step_and_nothing_else(summed: Path, keys: str) -> None:
    with terminal(summed, "rerun", "last", "--step", "add", "--debug") as screen:
        for number in (1, 2):
            prompt(screen, number)
            screen.press("next\n")
        prompt(screen, 3)
        screen.press(keys)
        assert screen.code() == 1
        assert screen.is_echoing()
    assert "tidied up" in screen.shown and "Traceback" not in screen.shown
    assert screen.shown.count("(Pdb)") == 3
    assert "'add' failed: exit code 130: quit in the debugger" in screen.shown


@pytest.mark.parametrize("raised", ["ValueError", "StepError"])
@pytest.mark.parametrize("left", ["q", "continue"])
def test_pdb_shows_where_a_component_failed_with_its_inputs(summed: Path, raised: str, left: str) -> None:
    file = summed / "sums.py"
    text = file.read_text().replace("a + b", "half(a)")
    text = text.replace('print("total", total)', f"raise {raised}(f'bad {{b}}')")
    head = "from argosy.errors import StepError\ndef half(n: int) -> int:\n    return n // 2\n"
    file.write_text(head + text)
    with terminal(summed, "rerun", "last", "--step", "add", "--debug") as screen:
        prompt(screen, 1)
        screen.press("continue\n")
        prompt(screen, 2)
        assert f"{raised}: bad" in screen.shown and f"-> raise {raised}(" in screen.shown
        screen.press("p (a, b, total)\n")
        prompt(screen, 3)
        screen.press(f"{left}\n")
        assert screen.code() == 1
    assert "(40, 2, 20)" in screen.shown and screen.shown.count("(Pdb)") == 3
    assert screen.shown.count("tidied up") == 1 and "quit in the debugger" not in screen.shown
    assert re.search(r"'add' failed: exit code 1: add: (ValueError: )?bad 2", screen.shown)


def test_pdb_shows_where_a_script_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGOSY_STATE_DIR", str(tmp_path / "state"))
    source = "word = 'here'\nraise ValueError(word)"
    script = {"name": "main", "script": {"image": "python:3.11", "command": ["python"], "source": source}}
    (tmp_path / "one.yaml").write_text(yaml.safe_dump(manifest({"templates": [script]})))
    subprocess.run([ARGOSY, "run", "one.yaml"], cwd=tmp_path, check=False, capture_output=True)
    with terminal(tmp_path, "rerun", "last", "--step", "main", "--debug") as screen:
        screen.until("-> word = 'here'")
        screen.press("continue\n")
        screen.until("ValueError: here")
        screen.press("p word * 2\n")
        screen.until("'herehere'")
        screen.press("q\n")
        assert screen.code() == 1


SECRET = """
templates:
- name: main
  steps:
  - - {name: quiet, template: quiet}
  - - {name: plain, template: ok}
- name: quiet
  container:
    image: x
    command: [sh, -c, 'test "$S$T" = 12']
    env:
    - {name: S, valueFrom: {secretKeyRef: {name: s, key: k}}}
    - {name: T, valueFrom: {secretKeyRef: {name: t, key: k}}}
"""


def test_secrets_are_given_again_and_only_where_a_step_needs_them(argosy: Argosy, tmp_path: Path) -> None:
    file, secrets = tmp_path / "quiet.yaml", tmp_path / "s.env"
    file.write_text(yaml.safe_dump(manifest(SECRET)))
    secrets.write_text("s/k=1\nt/k=2\n")
    given = ("--env-file", str(secrets))
    assert argosy("run", str(file), *given).exit_code == 0
    first = History(tmp_path).find("last").run
    assert argosy("rerun", first, "--step", "plain").exit_code == 0
    assert argosy("rerun", first, "--step", "quiet", *given).exit_code == 0
    assert argosy("rerun", first, "--from", "plain").exit_code == 0
    assert argosy("run", "--resume", "last").exit_code == 0
    assert argosy("rerun", first, "--from", "quiet", *given).exit_code == 0


@pytest.mark.parametrize("words", [["run"], ["rerun", "--from", "quiet"], ["rerun", "--step", "quiet"]])
def test_what_is_refused_for_its_secrets_leaves_no_run(
    argosy: Argosy, tmp_path: Path, words: list[str]
) -> None:
    file, secrets = tmp_path / "quiet.yaml", tmp_path / "s.env"
    file.write_text(yaml.safe_dump(manifest(SECRET)))
    secrets.write_text("s/k=1\nt/k=2\n")
    assert argosy("run", str(file), "--env-file", str(secrets)).exit_code == 0
    before = History(tmp_path).names()
    done = argosy(words[0], str(file) if words == ["run"] else "last", *words[1:])
    assert done.exit_code == 2
    assert "write the lines s/k=VALUE, t/k=VALUE in a file for --env-file" in done.stderr
    assert History(tmp_path).names() == before


def test_a_folder_in_which_nothing_began_is_not_the_last_run(made: Made, tmp_path: Path) -> None:
    first = made(CHAIN)
    (tmp_path / "runs" / "later-zzzzz").mkdir()
    assert History(tmp_path).find("last").run == first.run
