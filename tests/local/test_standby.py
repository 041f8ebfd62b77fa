"""A step whose process was started before its turn is the step that a plain start makes."""

from __future__ import annotations

import ast
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from argosy.local import WorkflowResult
from argosy.local.standby import certain_imports
from tests.local.conftest import Run, log, node, phases, runner
from tests.local.seen import SEEN
from tests.local.test_container import marked
from tests.local.test_resume import wait_until_gone

# Imported ahead: says which process it is in, for the step before, which waits for that.
EARLY = """
import os, pathlib
beside = pathlib.Path(os.environ["READY"] + ".new")
beside.write_text(f"{os.getpid()}\\n")
beside.replace(os.environ["READY"])
with open(os.environ["USED"] + ".starts", "a") as file: file.write("x")
"""

# What a program can see of its start; how it ends, its first argument says.
PROBE = '''
"""A step."""
import json, os, signal, sys, time
import early
from told import seen

NAMES = sorted(vars(sys.modules["__main__"]))


def end(how, *words):
    if how == "show":
        spec = [__spec__.name, __spec__.origin, str(type(__loader__))]
        print(json.dumps({**seen(), "names": NAMES, "spec": spec, "file": __file__}, indent=1))
    elif how == "size":
        print(len("".join(words)))
    elif how == "dirty":
        print(os.listdir("."))
        open("left", "w").close()
        sys.exit(3)
    elif how == "raise":
        raise ValueError(words)
    elif how == "hook":
        sys.excepthook = lambda kind, error, found: print(kind, error, found.tb_frame.f_code.co_filename)
        raise ValueError(words)
    elif how == "text":
        sys.exit("no use")
    elif how == "code":
        sys.exit(3)
    elif how == "interrupt":
        signal.raise_signal(signal.SIGINT)
    elif how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "sleep":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("asked to end"))
        time.sleep(600)


if __name__ == "__main__":
    with open(os.environ["USED"], "a") as file:
        file.write("early\\n" if "standby.py" in open("/proc/self/cmdline").read() else "plain\\n")
    end(*sys.argv[1:])
'''

SPEC = """
templates:
- name: main
  dag:
    tasks:
    - {name: first, template: first}
    - {name: second, template: second, depends: first%s}
- name: first
  container: {image: x, command: [sh, -c, 'until test -s "$READY"; do sleep 0.02; done; %s']}
- name: second
  %s
  container:
    image: x
    command: [python, -m, probe]
    args: %s
    %s
"""


def spec(*arguments: str, task: str = "", first: str = "", template: str = "", container: str = "") -> str:
    """A step that waits for the imports of the next one, ends as `first` says, and the next one."""
    return SPEC % (task, first, template, json.dumps(list(arguments)), container)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Settings of a run: where the modules are, and where they leave word."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "early.py").write_text(EARLY)
    (tmp_path / "lib" / "probe.py").write_text(PROBE)
    (tmp_path / "lib" / "told.py").write_text(SEEN)
    return {
        "PYTHONPATH": str(tmp_path / "lib"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "READY": str(tmp_path / "ready"),
        "USED": str(tmp_path / "used"),
        "RUNNER_TEST_MARK": str(tmp_path),
    }


def used(environment: dict[str, str]) -> list[str]:
    """How each start of the probe was made."""
    return Path(environment["USED"]).read_text().split()


def starts(environment: dict[str, str]) -> int:
    """How many processes imported what the probe imports."""
    counted = Path(environment["USED"] + ".starts")
    return len(counted.read_text()) if counted.exists() else 0


def plainly(environment: dict[str, str]) -> dict[str, str]:
    """The same, without programs that wait; the first step finds what it waits for."""
    Path(environment["READY"]).write_text("0\n")
    return {**environment, "ARGOSY_STANDBY": "0"}


def both_ways(run: Run, source: str, environment: dict[str, str]) -> tuple[WorkflowResult, WorkflowResult]:
    """Run twice in the same folder: with programs that wait, and plainly. The logs are in the results."""
    early = run(source, environment={**environment, "ARGOSY_STANDBY": "1"})
    early.run_dir.rename(early.run_dir.with_name("early"))
    return early, run(source, environment=plainly(environment))


@pytest.mark.parametrize("how", ["show", "size", "raise", "hook", "text", "code", "interrupt", "kill"])
def test_it_is_what_a_plain_start_makes(run: Run, environment: dict[str, str], how: str) -> None:
    words = ["x" * 100_000] * 4 if how == "size" else ["", "two words", "ä"]
    early, plain = both_ways(run, spec(how, *words), environment)
    assert used(environment) == ["early", "plain"]
    found, expected = node(early, "second"), node(plain, "second")
    assert (found.phase, found.exit_code, found.message) == (
        expected.phase,
        expected.exit_code,
        expected.message,
    )
    written = (early.run_dir.with_name("early") / "steps/second/main.log").read_text()
    assert written.replace('"ARGOSY_STANDBY": "1"', '"ARGOSY_STANDBY": "0"') == log(plain, "second")
    assert bool(written) == (how not in ("code", "kill"))


def test_its_time_begins_with_its_turn(run: Run, environment: dict[str, str]) -> None:
    source = spec("sleep", first="sleep 1.2", template="activeDeadlineSeconds: 1")
    result = run(source, environment=environment)
    first, second = node(result, "first"), node(result, "second")
    assert first.finished_at and second.started_at and first.finished_at <= second.started_at
    assert used(environment) == ["early"]
    assert (second.phase.value, second.message) == ("Failed", "ran longer than 1 s and was stopped")
    assert log(result, "second") == "asked to end\n"
    assert marked(environment["RUNNER_TEST_MARK"]) == []


def test_only_the_first_attempt_and_groups_of_steps(run: Run, environment: dict[str, str]) -> None:
    source = spec("code", template="retryStrategy: {limit: 1}")
    tasks = source[source.index("  dag:") : source.index("- name: first\n")]
    source = source.replace(tasks, "  steps: [[{name: a, template: first}], [{name: b, template: second}]]\n")
    assert phases(run(source, environment=environment)) == {"a": "Succeeded", "b": "Failed"}
    assert used(environment) == ["early", "plain"]


@pytest.mark.parametrize(
    "settings",
    [
        {"container": "env: [{name: SINCE, value: '{{workflow.duration}}'}]"},  # it has changed since
        {"template": "inputs: {parameters: [{name: p, value: '1'}]}", "container": "env: [{name: P, value: "
         "'{{inputs.parameters.p}}'}]"},  # not known before
        {"container": "workingDir: /srv"},
        {"template": "inputs: {artifacts: [{name: a, path: early.py, raw: {data: 'import os'}}]}"},
        {"task": ", withItems: [1]"},
    ],
)  # fmt: skip
def test_where_an_import_could_see_a_difference_it_starts_plainly(
    run: Run, environment: dict[str, str], settings: dict[str, str]
) -> None:
    Path(environment["READY"]).write_text("0\n")
    tried = "SINCE" in str(settings)  # what is known at once is not even tried
    first = 'until test -s "$USED.starts"; do sleep 0.02; done' if tried else "sleep 0.6"
    source = spec("show", first=first, **settings)
    assert run(source, environment=environment).succeeded
    assert used(environment) == ["plain"]
    assert (starts(environment) > 1) == tried


def test_a_captured_output_needs_a_plain_start(run: Run, environment: dict[str, str]) -> None:
    Path(environment["READY"]).write_text("0\n")
    source = spec("show", first="sleep 0.6").replace(
        "- name: first\n",
        """    - name: third
      template: echo
      depends: second
      arguments: {parameters: [{name: m, value: "{{tasks.second.outputs.result}}"}]}
- name: first
""",
        1,
    )
    assert '"argv"' in log(run(source, environment=environment), "third")
    assert (used(environment), starts(environment)) == (["plain"], 1)


NOISY = "import sys; print('a word', file=sys.stderr)\n"
CIRCULAR = "import probe\n"


@pytest.mark.parametrize("added", ["import does_not_exist\n", NOISY, "raise SystemExit(4)\n", CIRCULAR])
def test_an_import_that_fails_or_writes_is_left_to_the_step(
    run: Run, environment: dict[str, str], tmp_path: Path, added: str
) -> None:
    early = tmp_path / "lib" / "early.py"
    early.write_text(EARLY + added)
    first, plain = both_ways(run, spec("raise"), environment)
    written = (first.run_dir.with_name("early") / "steps/second/main.log").read_text()
    assert written == log(plain, "second")
    assert node(first, "second").exit_code == node(plain, "second").exit_code
    assert "early" not in (used(environment) if Path(environment["USED"]).exists() else [])


def test_a_module_that_is_not_there(run: Run, environment: dict[str, str]) -> None:
    source = spec().replace("probe", "no_such_module")
    result = run(source, environment={**environment, "READY": environment["PYTHONPATH"] + "/probe.py"})
    assert log(result, "second") == f"{sys.executable}: No module named no_such_module\n"


def test_heavy_packages_are_not_loaded_ahead(run: Run, environment: dict[str, str], tmp_path: Path) -> None:
    count = 'import os\nwith open(os.environ["READY"] + ".torch", "a") as file: file.write("x")\n'
    (tmp_path / "lib" / "torch.py").write_text(count)
    (tmp_path / "lib" / "early.py").write_text(EARLY + "try: import torch\nexcept BaseException: pass\n")
    assert run(spec("code"), environment=environment).phase.value == "Failed"
    assert (tmp_path / "ready.torch").read_text() == "x"
    assert used(environment) == ["plain"]


def test_one_that_was_killed_is_started_plainly(run: Run, environment: dict[str, str]) -> None:
    result = run(spec("show", first='kill -9 $(cat "$READY")'), environment=environment)
    assert (result.succeeded, used(environment)) == (True, ["plain"])


def test_it_does_not_wait_for_ever(
    run: Run, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("argosy.local.standbys.PATIENCE", 0.5)
    gone = 'while kill -0 $(cat "$READY") 2>/dev/null; do sleep 0.02; done'
    result = run(spec("show", first=gone), environment=environment)
    assert (result.succeeded, used(environment)) == (True, ["plain"])


BAD_LIMIT = "inputs: {parameters: [{name: p, value: x}]}\n  activeDeadlineSeconds: '{{inputs.parameters.p}}'"


@pytest.mark.parametrize(
    ("settings", "phase"),
    [
        ({"first": "exit 1"}, "Omitted"),
        ({"task": ", when: '{{tasks.first.exitCode}} > 2'"}, "Skipped"),
        ({"template": BAD_LIMIT}, "Error"),
    ],
)
def test_one_without_a_turn_leaves_nothing(
    run: Run, environment: dict[str, str], settings: dict[str, str], phase: str
) -> None:
    result = run(spec("show", **settings), environment=environment)
    assert phases(result)["second"] == phase
    assert marked(environment["RUNNER_TEST_MARK"]) == []
    assert [folder.name for folder in (result.run_dir / "steps").iterdir()] == ["first"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_stopped_runner_leaves_no_program_that_waits(
    tmp_path: Path, environment: dict[str, str], number: signal.Signals
) -> None:
    process = runner(spec("show", first="sleep 600"), tmp_path / "run", environment)
    deadline = time.monotonic() + 60
    while not Path(environment["READY"]).exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    waiting = int(Path(environment["READY"]).read_text())
    os.kill(waiting, 0)  # it is there
    process.send_signal(number)
    process.wait(30)
    wait_until_gone(environment["RUNNER_TEST_MARK"])
    assert marked(environment["RUNNER_TEST_MARK"]) == []
    assert not Path(environment["USED"]).exists()


def test_what_an_earlier_session_left_is_removed_first(run: Run, environment: dict[str, str]) -> None:
    source = spec("dirty", task=" || first.Failed", first="sleep 0.6; exit 1")
    run(source, environment=environment)
    resumed = run(source, environment=environment, resume=True)
    assert log(resumed, "second") == "[]\n"
    assert used(environment) == ["early", "plain"]


def test_it_can_be_switched_off(run: Run, environment: dict[str, str]) -> None:
    result = run(spec("show", first="sleep 0.6"), environment=plainly(environment))
    assert (result.succeeded, used(environment)) == (True, ["plain"])


MAIN = "\nif __name__ == '__main__':\n    "


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""Text."""\nimport a\nfrom b import c\nX: int = 1\nclass D: pass\nimport e', "a b e"),
        ("import a\na.use('Agg')\nimport b", "a"),
        ("import os\nos.environ['X'] = '1'\nimport b", "os"),
        ("import a\nif a.x:\n    import b\nimport c", "a"),
        ("import a\ntry:\n    import b\nexcept ImportError: pass\nimport c", "a"),
        ("if TYPE_CHECKING:\n    import a\nimport b", "b"),
        ("def f():\n    'Text.'\n    import a\n    x = 1\n    import b" + MAIN + "f.main()", "a"),
        ("def f():\n    import a\ndef g():\n    import b" + MAIN + "raise SystemExit(g())", "b"),
        ("def f():\n    import a" + MAIN + "x = 1\n    f()", ""),
        ("def f():\n    import a\nf()", ""),
    ],
)  # fmt: skip
def test_certain_imports(source: str, expected: str) -> None:
    found = certain_imports(ast.parse(source))
    names = [s.module if isinstance(s, ast.ImportFrom) else s.names[0].name for s in found]  # type: ignore[attr-defined]
    assert names == expected.split()


def test_what_is_known_not_to_run_is_not_started_and_a_step_of_the_end_is(
    run: Run, environment: dict[str, str]
) -> None:
    """The step waits for the one program that imports ahead: that of the exit handler after a success."""
    text = """
onExit: end
templates:
- name: main
  dag:
    tasks:
    - {name: first, template: first}
    - {name: gate, template: second, depends: first, when: "1 > 2"}
    - {name: after, template: second, depends: gate.Succeeded, when: "{{tasks.gate.exitCode}} > 2"}
- name: end
  dag:
    tasks:
    - {name: failed, template: second, when: "{{workflow.status}} == Failed"}
    - {name: succeeded, template: second, when: "{{workflow.status}} == Succeeded"}
- name: first
  container: {image: x, command: [sh, -c, 'until test -s "$READY"; do sleep 0.02; done']}
- name: second
  container: {image: x, command: [python, -m, probe], args: [show]}
"""
    result = run(text, environment=environment)
    assert phases(result)["onExit.succeeded"] == "Succeeded"
    assert used(environment) == ["early"]
    assert starts(environment) == 1
