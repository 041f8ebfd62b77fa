"""What a step finds in its environment, and what it does not."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from argosy.errors import ManifestError
from argosy.local import WorkflowResult
from argosy.local.kept import SECRET, Kept, Source
from tests.local.conftest import Run, log, node

SHOW = """
templates:
- name: main
  dag: {tasks: [{name: show, template: show}]}
- name: show
  container:
    image: x
    command: [python, -c, "import json, os; print(json.dumps(dict(os.environ)))"]
    env: %s
"""


def shown(result: WorkflowResult) -> dict[str, str]:
    assert result.succeeded, result.message
    found: dict[str, str] = json.loads(log(result, "show"))
    return found


def test_a_step_has_what_a_process_needs_and_not_the_shell(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = {
        "HOME": "/home/x",
        "LANG": "C.UTF-8",
        "LC_TIME": "C",
        "HTTPS_PROXY": "http://p",
        "no_proxy": "a",
    }
    needed |= {"SSL_CERT_FILE": "/ca", "REQUESTS_CA_BUNDLE": "/ca", "TZ": "UTC", "ARGOSY_LOG_LEVEL": "INFO"}
    others = {"AWS_SECRET_ACCESS_KEY": "mine", "EDITOR": "vi", "PYTHONSTARTUP": "x"}
    for name, value in {**needed, **others}.items():
        monkeypatch.setenv(name, value)
    found = shown(run(SHOW % "[{name: OWN, value: declared}]", environment={"GIVEN": "by the caller"}))
    assert needed.items() <= found.items()
    assert (found["OWN"], found["GIVEN"]) == ("declared", "by the caller")
    assert not {*others, "PYTEST_CURRENT_TEST"} & set(found)


def from_secret(variable: str, name: str, key: str) -> str:
    return f"{{name: {variable}, valueFrom: {{secretKeyRef: {{name: {name}, key: {key}}}}}}}"


TWO = f"""
templates:
- name: main
  dag: {{tasks: [{{name: first, template: first}}, {{name: second, template: second}}]}}
- name: first
  container: {{image: x, command: [sh, -c, 'echo "$TOKEN"'], env: [{from_secret("TOKEN", "one", "k")}]}}
- name: second
  container: {{image: x, command: [sh, -c, 'echo "$TOKEN"'], env: [{from_secret("TOKEN", "two", "k")}]}}
"""


def test_two_secrets_behind_one_variable_are_two_values(run: Run) -> None:
    values = {Source(SECRET, "one", "k"): "1", Source(SECRET, "two", "k"): "2"}
    result = run(TWO, kept=Kept(values))
    assert (log(result, "first"), log(result, "second")) == ("1\n", "2\n")


def test_one_line_for_two_secrets_is_refused_before_anything_starts(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ManifestError) as caught:
        run(TWO, kept=Kept({}, {"TOKEN": "both"}))
    assert "'TOKEN' stands for one/k and two/k, which are two values" in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_line_for_one_variable_is_enough_for_one_secret(run: Run) -> None:
    env = f"[{from_secret('TOKEN', 'one', 'k')}]"
    assert shown(run(SHOW % env, kept=Kept({}, {"TOKEN": "x", "EVERY": "y"})))["TOKEN"] == "x"


def test_the_shell_does_not_stand_for_a_secret(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "of the shell")
    with pytest.raises(ManifestError, match="write the line one/k=VALUE in a file for --env-file"):
        run(SHOW % f"[{from_secret('TOKEN', 'one', 'k')}]")


STOPS = """
import sys

def main() -> None:
    x = 3
    breakpoint()

if __name__ == "__main__":
    main()
"""


def stopping(tmp_path: Path, run: Run, **given: Any) -> WorkflowResult:
    (tmp_path / "stops_here.py").write_text(STOPS)
    spec = """
templates:
- name: main
  dag: {tasks: [{name: show, template: show}]}
- name: show
  container: {image: x, command: [python, -m, stops_here], args: ["--text=a b"]}
"""
    return run(spec, environment={"PYTHONPATH": f"{tmp_path}:{tmp_path}"}, **given)


def test_a_breakpoint_fails_at_once_with_the_command_that_debugs_the_step(tmp_path: Path, run: Run) -> None:
    result = stopping(tmp_path, run)
    said = log(result, "show").splitlines()[-1]
    assert node(result, "show").phase.value == "Failed"
    assert "stops_here.py:6: breakpoint(): a run has no terminal; debug the step with: cd " in said
    command = said.partition("debug the step with: ")[2]
    assert "-m stops_here '--text=a b'" in command
    assert f" PYTHONPATH={tmp_path} " in command
    done = subprocess.run(
        ["sh", "-c", command], input="p x\nq\n", capture_output=True, text=True, check=False
    )
    assert "(Pdb) 3" in done.stdout and shlex.split(command)[0] == "cd"


def test_a_breakpoint_of_a_run_that_can_be_repeated_names_the_command(tmp_path: Path, run: Run) -> None:
    again = stopping(tmp_path, run)
    (again.run_dir / "request.json").write_text("{}")
    result = stopping(tmp_path, run, resume=True)
    state = again.run_dir.parent.parent
    command = f"argosy rerun {again.run_dir.name} --step show --debug --state-dir {state}"
    assert log(result, "show").splitlines()[-1].endswith(f"debug the step with: {command}")


def test_breakpoints_that_are_switched_off_stay_so(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONBREAKPOINT", "0")
    assert stopping(tmp_path, run).succeeded


def test_standard_input_is_at_its_end(run: Run) -> None:
    spec = """
templates:
- name: main
  dag: {tasks: [{name: show, template: show}]}
- {name: show, container: {image: x, command: [sh, -c, 'read line || echo nothing; echo ${#line}']}}
"""
    assert log(run(spec), "show") == "nothing\n0\n"
