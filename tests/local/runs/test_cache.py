"""Steps reused from earlier runs: when they are, when not, and what is said before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from argosy import component
from argosy.components import deployment
from argosy.components.notification import notify
from argosy.errors import DeclarationError
from argosy.local.runs.cache import code_hash, content_hash
from argosy.local.runs.record import History
from argosy.local.state import read_state

Argosy = Callable[..., "subprocess.CompletedProcess[str]"]

PIPELINE = """
from argosy import File, component, pipeline
from helper import shout

@component(image="x", cache=True)
def make(word: str, out: "Output") -> str:
    '''Make a text.'''
    return shout(word)

@component(image="x")
def use(text: str) -> str:
    '''Use it.'''
    return text + "!"

@component(image="x", changes_world=True)
def publish(text: str) -> None:
    '''Publish it.'''
    print(text)

@pipeline()
def words(word: str = "one"):
    publish(text=use(text=make(word=word)))
""".replace(', out: "Output"', "").replace("File, ", "")
MANIFEST = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: files-}
spec:
  entrypoint: main
  templates:
  - name: main
    dag:
      tasks:
      - {name: make, template: make}
      - name: count
        template: count
        depends: make
        arguments: {artifacts: [{name: f, from: "{{tasks.make.outputs.artifacts.f}}"}]}
      - {name: own, template: own}
  - name: make
    outputs: {artifacts: [{name: f, path: /tmp/f}]}
    container: {image: x, command: [sh, -c, "echo made > /tmp/f"]}
  - name: count
    inputs: {artifacts: [{name: f, path: /tmp/f}]}
    outputs: {parameters: [{name: size, valueFrom: {path: /tmp/n}}]}
    container: {image: x, command: [sh, -c, "wc -c < /tmp/f > /tmp/n"]}
  - {name: own, container: {image: x, command: [echo, "{{workflow.uid}}"]}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A pipeline's file with a helper beside it, and a manifest."""
    (tmp_path / "words.py").write_text(PIPELINE)
    (tmp_path / "helper.py").write_text("def shout(word):\n    return word.upper()\n")
    (tmp_path / "files.yaml").write_text(MANIFEST)
    return tmp_path


@pytest.fixture
def argosy(project: Path) -> Argosy:
    """Calls a command in a process of its own: a pipeline's file is imported once in one."""
    program = Path(sys.executable).with_name("argosy")

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "ARGOSY_STATE_DIR": str(project)}
        return subprocess.run(
            [program, *words], cwd=project, env=environment, capture_output=True, text=True, check=False
        )

    return call


def reused(state_dir: Path) -> dict[str, bool]:
    record = History(state_dir).find("last")
    return {node.name: bool(node.reused) for node in record.nodes}


def test_a_declared_step_is_reused_and_says_from_where(project: Path, argosy: Argosy) -> None:
    assert argosy("run", "words.py").returncode == 0
    first = History(project).find("last").run
    done = argosy("run", "words.py")
    assert reused(project) == {"make": True, "use": False, "publish": False}
    assert f"from {first}" in done.stderr
    assert f"from {first}" in argosy("show", "last").stdout


def test_with_cache_all_steps_but_those_that_change_the_world(project: Path, argosy: Argosy) -> None:
    argosy("run", "words.py", "--cache")
    argosy("run", "words.py", "--cache")
    assert reused(project) == {"make": True, "use": True, "publish": False}
    argosy("run", "words.py", "--no-cache")
    assert not any(reused(project).values())


@pytest.mark.parametrize("what", ["parameter", "helper", "spec"])
def test_a_change_of_what_decides_the_outputs_runs_the_step(what: str, project: Path, argosy: Argosy) -> None:
    argosy("run", "words.py")
    words = []
    if what == "parameter":
        words = ["-p", "word=two"]
    elif what == "helper":  # imported by the step's module: the hash goes as far as the imports
        (project / "helper.py").write_text("def shout(word):\n    return word.title()\n")
    else:
        manifest = json.loads(json.dumps(History(project).find("last").manifest).replace('"x"', '"y"'))
        manifest["metadata"] = {"generateName": "words-"}
        (project / "changed.yaml").write_text(json.dumps(manifest))
    assert argosy("run", "changed.yaml" if what == "spec" else "words.py", *words).returncode == 0
    assert reused(project)["make"] is False


def test_a_variable_for_every_step_counts_as_its_environment(project: Path, argosy: Argosy) -> None:
    for value, again in (("1", False), ("1", True), ("2", False), ("1", True)):
        (project / "every.env").write_text(f"V={value}\n")
        argosy("run", "words.py", "--env-file", "every.env")
        assert reused(project)["make"] is again


@pytest.mark.parametrize("name", ["TZ", "LC_TIME"])
def test_the_time_zone_and_the_language_count(
    project: Path, argosy: Argosy, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for value, again in (("C", False), ("C", True), ("UTC", False)):
        monkeypatch.setenv(name, value)
        assert argosy("run", "words.py").returncode == 0
        assert reused(project)["make"] is again


OPTIONAL = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: optional-}
spec:
  entrypoint: main
  templates:
  - {name: main, steps: [[{name: use, template: use}]]}
  - name: use
    inputs: {artifacts: [{name: f, path: /tmp/f, optional: true}]}
    container: {image: x, command: [echo, used]}
"""


def test_a_step_without_its_optional_file_is_reused(project: Path, argosy: Argosy) -> None:
    (project / "optional.yaml").write_text(OPTIONAL)
    for again in (False, True):
        assert argosy("run", "optional.yaml", "--cache").returncode == 0
        assert reused(project) == {"use": again}


def test_artifacts_are_verified_before_they_are_used(project: Path, argosy: Argosy) -> None:
    argosy("run", "files.yaml", "--cache")
    first = History(project).find("last")
    argosy("run", "files.yaml", "--cache")
    assert reused(project) == {"make": True, "count": True, "own": False}  # its template reads the uid
    second = History(project).find("last")
    assert (second.folder / "artifacts/make/f/f").read_text() == "made\n"
    (first.folder / "artifacts/make/f/f").unlink()
    (first.folder / "artifacts/make/f/f").write_text("tampered")
    argosy("run", "files.yaml", "--cache")
    assert reused(project)["make"] is False
    assert History(project).find("last").node("count").outputs.parameters == {"size": "5"}


def test_a_pruned_run_and_a_damaged_entry_are_no_hit(project: Path, argosy: Argosy) -> None:
    argosy("run", "files.yaml", "--cache")
    argosy("runs", "prune", "--keep", "0")
    for entry in (project / "cache").iterdir():
        if json.loads(entry.read_text())["parameters"]:
            entry.write_text("{")
    assert argosy("run", "files.yaml", "--cache").returncode == 0
    assert not any(reused(project).values())


def test_the_plan_says_before_the_run_what_would_be_reused(project: Path, argosy: Argosy) -> None:
    assert argosy("run", "words.py", "--plan").stdout.splitlines() == [
        "make     runs", "use      waits for what runs", "publish  waits for what runs",
    ]  # fmt: skip
    assert History(project).names() == []
    argosy("run", "words.py", "--cache")
    first = History(project).find("last").run
    plan = argosy("run", "words.py", "--plan", "--cache", "--output", "json").stdout
    assert json.loads(plan)["steps"] == [
        {"step": "make", "plan": f"reused from {first}", "reused": first},
        {"step": "use", "plan": f"reused from {first}", "reused": first},
        {"step": "publish", "plan": "runs", "reused": None},
    ]
    assert len(History(project).names()) == 1


PLANNED = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: planned-}
spec:
  entrypoint: main
  templates:
  - name: main
    dag:
      tasks:
      - {name: review, template: ask}
      - {name: soon, template: soon}
      - {name: make, template: say}
      - {name: each, template: say, depends: make, withParam: "{{tasks.make.outputs.result}}"}
      - {name: both, template: both, depends: make}
      - {name: later, template: ask, depends: make}
      - {name: two, template: say, withItems: [1, 2]}
  - {name: ask, suspend: {}}
  - {name: soon, suspend: {duration: 1h}}
  - {name: both, steps: [[{name: first, template: say}]]}
  - {name: say, container: {image: x, command: [echo, "[1]"]}}
"""


def test_the_plan_names_what_nobody_can_look_into_yet(tmp_path: Path, argosy: Argosy) -> None:
    (tmp_path / "planned.yaml").write_text(PLANNED)
    done = argosy("run", "planned.yaml", "--plan", "--output", "json")
    assert {step["step"]: step["plan"] for step in json.loads(done.stdout)["steps"]} == {
        "review": "waits for approval",
        "soon": "waits for approval",
        "make": "runs",
        "each": "waits for what runs",
        "both": "waits for what runs",
        "later": "waits for what runs",
        "two(0:1)": "runs",
        "two(1:2)": "runs",
    }


def test_what_changes_the_world_is_declared_so(tmp_path: Path) -> None:
    steps = [notify, *(getattr(deployment, name) for name in deployment.__all__)]
    reusable = [step.__name__ for step in steps if not step.container.changes_world]
    assert reusable == ["prepare_artifacts"]  # from files to files
    with pytest.raises(DeclarationError, match="never reused"):
        component(image="x", cache=True, changes_world=True)


def test_hashes(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    empty = content_hash(folder)
    (folder / "a").write_text("1")
    one = content_hash(folder)
    (folder / "a").rename(folder / "b")
    assert len({empty, one, content_hash(folder)}) == 3
    assert code_hash(["argosy.components.training.train"], []) is not None
    assert code_hash(["no.such.module"], []) is None


def test_the_hash_of_code_in_folders_without_init(tmp_path: Path) -> None:
    (tmp_path / "team_of_hashes").mkdir()
    file = tmp_path / "team_of_hashes" / "steps.py"
    file.write_text("A = 1\n")
    before = code_hash(["team_of_hashes.steps"], [str(tmp_path)])
    file.write_text("A = 2\n")
    assert None is not before != code_hash(["team_of_hashes.steps"], [str(tmp_path)])


def test_a_reused_step_resumes_as_any_other(project: Path, argosy: Argosy) -> None:
    argosy("run", "words.py")
    argosy("run", "words.py")
    run = History(project).find("last")
    assert argosy("run", "--resume", run.run).returncode == 0
    assert read_state(run.folder)["nodes"][0]["reused"]
