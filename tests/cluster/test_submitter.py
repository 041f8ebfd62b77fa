"""`couler.run(submitter=ArgosySubmitter(...))` in a program that Python runs by itself."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from argosy import compile, pipeline
from argosy.cluster import ArgosySubmitter
from argosy.cluster.program import open_session
from argosy.errors import UsageError
from tests.cluster import programs
from tests.cluster.server import TOKEN, Server
from tests.cluster.test_programs import tasks
from tests.compose.steps import make

IMPORT = "from argosy.cluster import ArgosySubmitter\n"
RUN = "\nanswer = couler.run(submitter=ArgosySubmitter())\nprint(answer['metadata']['uid'])\n"


def python(text: str, name: str = "flow_alone.py") -> "subprocess.CompletedProcess[str]":
    Path(name).write_text(text, encoding="utf-8")
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [sys.executable, name], env=environment, capture_output=True, text=True, check=False, timeout=120
    )


def workflows(server: Server) -> list[dict[str, Any]]:
    return [found for (kind, _, _), found in server.store.objects.items() if kind == "workflows"]


@pytest.mark.parametrize("program", [programs.COIN, programs.WITH_COMPONENT], ids=["couler", "components"])
def test_our_manifest_arrives(server: Server, program: str) -> None:
    done = python(IMPORT + program + RUN)
    assert done.returncode == 0, done.stderr
    (workflow,) = workflows(server)
    assert done.stdout == workflow["metadata"]["uid"] + "\n"
    assert workflow["metadata"]["generateName"] == "flow-alone-"
    name = "heads" if "heads" in program else "report"
    assert "when" in tasks(workflow)[name] and "arguments" in tasks(workflow)[name]
    assert TOKEN not in done.stdout + done.stderr


def test_a_second_workflow_of_the_same_program(server: Server) -> None:
    more = "couler.run_container(image='a', command=['b'], step_name='more')\n"
    done = python(IMPORT + programs.COIN + RUN + more + RUN)
    assert done.returncode == 0, done.stderr
    assert [set(tasks(w)) for w in server.store.objects.values()] == [{"flip", "heads", "tails"}, {"more"}]


def test_an_import_after_the_steps_is_told(server: Server) -> None:
    done = python(programs.COIN + IMPORT + RUN)
    assert done.returncode == 1
    assert "import it at the top" in done.stderr.splitlines()[-1]
    assert not server.requests


def test_a_submitter_from_elsewhere_does_not_send_what_couler_made(server: Server) -> None:
    Path("flow_module.py").write_text(IMPORT, encoding="utf-8")
    done = python(f"import flow_module\n{programs.COIN}\ncouler.run(flow_module.ArgosySubmitter())\n")
    assert done.returncode == 1
    assert "Couler composed by itself" in done.stderr.splitlines()[-1]
    assert not server.requests


def test_importing_it_elsewhere_leaves_components_alone(server: Server) -> None:
    Path("flow_module.py").write_text(IMPORT, encoding="utf-8")
    body = 'raise AssertionError("this runs in the cluster")'
    program = programs.WITH_COMPONENT.replace(body, "return Score(0.25)", 1).partition("def branch")[0]
    done = python(f"import flow_module\n{program}\nprint(measured.score)\n")
    assert (done.returncode, done.stdout) == (0, "0.25\n"), done.stderr


def test_here_no_program_composes() -> None:
    assert open_session() is None


def test_a_compiled_manifest_can_be_submitted(server: Server) -> None:
    manifest = compile(pipeline(name="direct")(lambda: make()))
    answer = ArgosySubmitter(namespace="default").submit(manifest)
    assert answer["metadata"]["namespace"] == "default"
    assert answer["spec"]["templates"][0] == manifest["spec"]["templates"][0]
    assert [kind for kind, _, _ in server.store.objects] == ["configmaps", "workflows"]


def test_it_takes_what_coulers_own_takes(server: Server) -> None:
    manifest = compile(pipeline(name="direct")(lambda: make()))
    answer = ArgosySubmitter("default", Path(os.environ["KUBECONFIG"]), "bare").submit(manifest)
    assert answer["metadata"]["namespace"] == "default"
    with pytest.raises(UsageError, match="no context 'gone'"):
        ArgosySubmitter(context="gone").submit(manifest)
