"""A run that its terminal leaves, and that another one follows."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from argosy.local.runs.record import History, Record, runner_of
from tests.local.runs.conftest import Argosy, Made
from tests.local.runs.terminal import ARGOSY, terminal
from tests.local.runs.test_history import OK

# A step that goes on once the file `go` lies in the folder that the test is in.
WAITING = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: slow-}
spec:
  entrypoint: main
  templates:
  - name: main
    steps: [[{name: wait, template: wait}]]
  - name: wait
    container:
      image: x
      command: [sh, -c, 'echo "progress: 3/8"; while [ ! -e "$0/go" ]; do sleep 0.05; done; exit %s', "%s"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a manifest whose step waits and then succeeds."""
    monkeypatch.setenv("ARGOSY_STATE_DIR", str(tmp_path / "state"))
    write(tmp_path, 0)
    # What these tests start has it as a shell gives it, though they themselves run under `nohup`.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield tmp_path
    signal.signal(signal.SIGHUP, before)


def write(folder: Path, code: int) -> None:
    (folder / "slow.yaml").write_text(WAITING % (code, folder))


def only_run(folder: Path) -> Record:
    (found,) = (folder / "state" / "runs").iterdir()
    return Record.read(found)


def test_q_leaves_a_run_that_goes_on_and_attach_ends_with_its_exit_code(folder: Path) -> None:
    write(folder, 3)
    with terminal(folder, "run", "slow.yaml") as first:
        first.until("38%")
        first.press("q")
        assert first.code() == 0
    name = only_run(folder).run
    assert f"detached: {name} goes on; follow it again with: argosy attach {name}" in first.shown
    assert only_run(folder).state == "running"
    with terminal(folder, "attach", name) as second:
        second.until("38%")
        (folder / "go").touch()
        assert second.code() == 1
    assert "exit code 3" in second.shown and f"argosy run --resume {name}" in second.shown
    assert only_run(folder).phase == "Failed"
    while not (only_run(folder).folder / "page.html").exists():  # the run's own last work, after its end
        time.sleep(0.05)


def test_a_run_that_was_left_outlives_its_terminal_and_the_next(folder: Path) -> None:
    for words in (("run", "slow.yaml"), ("attach", "last")):
        with terminal(folder, *words) as screen:
            screen.until("38%")
            screen.press("q")
            assert screen.code() == 0
    (folder / "go").touch()
    done = subprocess.run([ARGOSY, "attach"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert only_run(folder).phase == "Succeeded"


@pytest.mark.parametrize("word", ["run", "attach"])
def test_ctrl_c_stops_the_run_from_either_terminal(folder: Path, word: str) -> None:
    with terminal(folder, "run", "slow.yaml") as first:
        first.until("38%")
        if word == "attach":
            first.press("q")
            first.code()
            with terminal(folder, "attach") as second:
                second.until("38%")
                second.press("\x03")
                assert second.code() == 1
        else:
            first.press("\x03")
            assert first.code() == 1
    record = only_run(folder)
    assert (record.phase, record.head["message"]) == ("Failed", "stopped by SIGINT")


def pressed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


STANDING = [
    ("_write_page", "run slow.yaml", "{run} is Failed; go on with: argosy run --resume {run}"),
    ("_write_page", "run well.yaml", "{run} is over: Succeeded; look at it with: argosy show {run}"),
    (
        "_write_page",
        "rerun --step wait last",
        "{run} is Failed; go on with: argosy rerun {first} --step wait",
    ),
    ("shown_live", "run slow.yaml --open", "stopped before anything of {run} began"),
]


@pytest.mark.parametrize(("place", "words", "told"), STANDING)
def test_ctrl_c_that_a_run_does_not_heed_says_how_it_is_left(
    place: str, words: str, told: str, folder: Path, argosy: Argosy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGOSY_STATE_DIR", str(folder / "state"))
    monkeypatch.chdir(folder)
    (folder / "go").touch()
    (folder / "well.yaml").write_text(WAITING % (0, folder))
    write(folder, 3)
    assert argosy("run", "slow.yaml").exit_code == 1
    first = only_run(folder).run
    monkeypatch.setattr(f"argosy.cli.{'run' if place == 'shown_live' else 'execution'}.{place}", pressed)
    before = signal.getsignal(signal.SIGINT)
    try:
        done = argosy(*words.split())
    finally:
        signal.signal(signal.SIGINT, before)
    runs = History(folder / "state").newest_first()
    run = (folder / "state/runs.order").read_text().split()[-1]
    assert done.stderr.endswith(f"\n{told.format(run=run, first=first)}\n")
    assert (done.exit_code, len(runs)) == (int("Succeeded" not in told), 1 if "before" in told else 2)


def test_a_killed_command_takes_its_run_along(folder: Path) -> None:
    with terminal(folder, "run", "slow.yaml") as screen:
        screen.until("38%")
        os.kill(screen.process, signal.SIGKILL)
        assert screen.code() == -signal.SIGKILL
    assert only_run(folder).state == "interrupted"


def test_a_signal_to_the_command_alone_reaches_the_run(folder: Path) -> None:
    with terminal(folder, "run", "slow.yaml") as screen:
        screen.until("38%")
        assert not screen.is_echoing()
        os.kill(screen.process, signal.SIGTERM)
        screen.until("stopped by SIGTERM")
        assert screen.code() == 1


def test_a_run_that_goes_on_has_taken_the_time_until_now(folder: Path) -> None:
    with subprocess.Popen(
        [ARGOSY, "run", "slow.yaml"], cwd=folder, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert any("3/8" in line for line in process.stderr)
        first = only_run(folder).seconds
        time.sleep(0.05)
        later = only_run(folder).seconds
        (folder / "go").touch()
        process.communicate()
    assert first is not None and later is not None and later >= first + 0.05


def test_a_terminal_that_is_closed_ends_the_run_as_ctrl_c_does(folder: Path) -> None:
    with terminal(folder, "run", "slow.yaml") as gone:
        gone.until("38%")
        assert only_run(folder).state == "running"
    os.waitpid(gone.process, 0)
    found = only_run(folder)
    assert (found.state, found.phase, found.head["message"]) == ("finished", "Failed", "stopped by SIGHUP")


def test_where_a_hang_up_is_ignored_the_run_goes_on_without_its_terminal(folder: Path) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with terminal(folder, "run", "slow.yaml") as gone:
        gone.until("38%")
    os.waitpid(gone.process, 0)  # it has left the run, which would stand in the way of this otherwise
    assert only_run(folder).state == "running"
    (folder / "go").touch()
    while only_run(folder).state == "running":
        time.sleep(0.05)
    assert only_run(folder).phase == "Succeeded"


def test_a_hang_up_of_a_run_without_a_terminal_ends_it_unless_nohup_says_no(folder: Path) -> None:
    for words, phase in (([], "Failed"), (["nohup"], "Succeeded")):
        (folder / "go").unlink(missing_ok=True)
        command = [*words, ARGOSY, "run", "slow.yaml", "--state-dir", f"state{phase}"]
        with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if "3/8" in line:
                    break
            process.send_signal(signal.SIGHUP)
            if phase == "Succeeded":
                (folder / "go").touch()
            process.communicate()
        (run,) = (folder / f"state{phase}" / "runs").iterdir()
        assert Record.read(run).phase == phase, words


def test_without_a_terminal_lines_are_printed(folder: Path) -> None:
    words = {"cwd": folder, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True}
    first = subprocess.Popen([ARGOSY, "run", "slow.yaml"], **words)  # type: ignore[call-overload]
    assert any("progress: 3/8" in line for line in iter(first.stderr.readline, ""))
    second = subprocess.Popen([ARGOSY, "attach"], **words)  # type: ignore[call-overload]
    assert any("wait | progress: 3/8" in line for line in iter(second.stderr.readline, ""))
    (folder / "go").touch()
    assert "✔ wait" in second.stderr.read() and second.wait() == 0
    first.stderr.read()
    assert first.wait() == 0
    second.stderr.close()
    first.stderr.close()


def test_a_runner_that_dies_meanwhile_is_told(folder: Path) -> None:
    words = {"cwd": folder, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL, "text": True}
    first = subprocess.Popen([ARGOSY, "run", "slow.yaml"], **words)  # type: ignore[call-overload]
    assert any("progress: 3/8" in line for line in iter(first.stderr.readline, ""))
    assert runner_of(only_run(folder).folder) == first.pid
    with terminal(folder, "attach") as screen:
        screen.until("38%")
        first.kill()
        first.wait()
        first.stderr.close()
        name = only_run(folder).run
        assert screen.code() == 2
        assert f"argosy: the runner of {name} died; go on with: argosy run --resume {name}" in screen.shown
    assert runner_of(only_run(folder).folder) is None


def test_what_cannot_be_followed_is_one_line(made: Made, argosy: Argosy) -> None:
    record = made(OK, "pipe-aaaaa")
    done = argosy("attach", "pipe-aaaab")
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert "did you mean 'pipe-aaaaa'" in done.stderr
    done = argosy("attach", "pipe-aaaaa")
    assert done.stderr == "pipe-aaaaa is over: Succeeded; look at it with: argosy show pipe-aaaaa\n"
    assert done.exit_code == 0
    text = (record.folder / "run.json").read_text()
    (record.folder / "run.json").write_text(text.replace('"phase": "Succeeded"', '"phase": "Running"', 1))
    done = argosy("attach", "pipe-aaaaa")
    assert (done.exit_code, done.stderr) == (
        2, "argosy: the runner of pipe-aaaaa died; go on with: argosy run --resume pipe-aaaaa\n",
    )  # fmt: skip
    (record.folder / "run.json").unlink()
    assert "nothing was begun" in argosy("attach", "pipe-aaaaa").stderr


@pytest.mark.parametrize(("suspend", "phase"), [("{}", "Failed"), ("{duration: 1s}", "Succeeded")])
def test_a_run_that_was_left_asks_nobody(folder: Path, suspend: str, phase: str) -> None:
    asking = "wait}], [{name: review, template: ask}]]"
    manifest = (folder / "slow.yaml").read_text().replace("wait}]]", asking)
    (folder / "slow.yaml").write_text(f"{manifest}  - {{name: ask, suspend: {suspend}}}\n")
    with terminal(folder, "run", "slow.yaml") as first:
        first.until("38%")
        first.press("q")
        assert first.code() == 0
    with terminal(folder, "attach") as second:
        second.until("38%")
        (folder / "go").touch()
        assert second.code() == int(phase == "Failed")
    record = only_run(folder)
    assert (record.state, record.phase) == ("finished", phase)
    again = f"argosy run --resume {record.run} --approve=review"
    assert ("nobody has approved 'review'" in second.shown) is (again in second.shown) is (phase == "Failed")
