"""`--memoize`: steps declared with `cache=True` get Argo's own cache, and those that cannot are named."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from argosy.cluster.memoize import memoized
from argosy.errors import UsageError
from argosy.manifest.expressions import evaluate

Argosy = Callable[..., "subprocess.CompletedProcess[str]"]
Edit = Callable[[Path], object]

PIPELINE = """
from argosy import Resources, component, pipeline
from helper import shout

SMALL = Resources(cpu="10m", memory="16Mi")

@component(image="x:1.0", cache=True, resources=SMALL)
def make(run_id: str) -> str:
    '''Make a text.'''
    return shout(run_id)

@component(image="x:1.0", resources=SMALL)
def use(text: str) -> str:
    '''Use it.'''
    return text + "!"

@component(image="x:1.0", cache=True, resources=SMALL)
def forget(text: str) -> None:
    '''Return nothing.'''

@pipeline()
def words(word: str = "one"):
    forget(text=use(text=make(run_id=word)))

@pipeline()
def plain(word: str = "one"):
    use(text=word)
"""
ARGO_KEY = re.compile("[a-zA-Z0-9][-a-zA-Z0-9]*")  # what Argo 4's controller asks of a key


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "words.py").write_text(PIPELINE)
    (tmp_path / "helper.py").write_text("def shout(word):\n    return word.upper()\n")
    return tmp_path


@pytest.fixture
def argosy(project: Path) -> Argosy:
    """Calls a command in a process of its own: a pipeline's file is imported once in one."""
    program = Path(sys.executable).with_name("argosy")
    environment = {**os.environ, "ARGOSY_STATE_DIR": str(project / "state")}

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *words], cwd=project, env=environment, capture_output=True, text=True, check=False
        )

    return call


def templates(text: str) -> dict[str, dict[str, Any]]:
    return {t["name"]: t for t in yaml.safe_load(text)["spec"]["templates"]}


def key_for(key: str, value: str) -> str:
    """A key as the controller completes it for one call."""
    fixed, _, expression = key.removesuffix("}}").partition("{{=")
    return fixed + str(evaluate(expression, {"inputs.parameters.run-id": value}))


def test_a_declared_step_is_memoized_by_a_key_that_argo_takes(argosy: Argosy) -> None:
    done = argosy("compile", "words.py:words", "--memoize")
    found = templates(done.stdout)
    assert [name for name, template in found.items() if "memoize" in template] == ["make"]
    memoize = found["make"]["memoize"]
    assert memoize["cache"] == {"configMap": {"name": "argosy-cache-words-make"}}
    keys = {key_for(memoize["key"], value) for value in ("one", "two, 'three' and \"{{four}}\"\n", "one")}
    assert len(keys) == 2
    assert all(ARGO_KEY.fullmatch(key) and len(key) <= 253 for key in keys)


def test_what_cannot_be_memoized_is_named(argosy: Argosy) -> None:
    done = argosy("compile", "words.py:words", "--memoize")
    assert (
        "warning: template 'forget' is not memoized: Argo remembers outputs, and it has none" in done.stderr
    )
    none = argosy("compile", "words.py:plain", "--memoize")
    assert (none.returncode, none.stdout) == (2, "")
    assert none.stderr == "argosy: --memoize: no step of 'plain' is declared with @component(cache=True)\n"


def edit_use(project: Path) -> None:
    file = project / "words.py"
    file.write_text(file.read_text().replace('text + "!"', 'text + "?"'))


@pytest.mark.parametrize(
    ("edit", "same"),
    [
        (lambda project: (project / "other.py").write_text("x = 1\n"), True),
        (lambda project: (project / "helper.py").write_text("def shout(word):\n    return word\n"), False),
        (edit_use, False),
    ],
    ids=["another module", "a module that it imports", "its own module"],
)
def test_the_key_is_of_the_code_that_the_step_needs(
    edit: Edit, same: bool, project: Path, argosy: Argosy
) -> None:
    keys = []
    for _ in range(2):
        done = argosy("compile", "words.py:words", "--memoize")
        keys.append(templates(done.stdout)["make"]["memoize"]["key"])
        edit(project)
    assert (keys[0] == keys[1]) is same


def test_the_compiled_file_is_linted_clean_submitted_and_reused_here(project: Path, argosy: Argosy) -> None:
    assert argosy("compile", "words.py:words", "--memoize", "-o", "out").returncode == 0
    assert argosy("lint", "out").stdout == ""
    sent = argosy("submit", "words.py:words", "--memoize", "--dry-run").stdout
    assert (
        templates(sent)["make"]["memoize"]
        == templates((project / "out/words.yaml").read_text())["make"]["memoize"]
    )
    refused = argosy("submit", "out/words.yaml", "--memoize", "--dry-run")
    assert refused.stderr.startswith("argosy: --memoize is for pipelines") and refused.returncode == 2
    assert argosy("run", "out/words.yaml").returncode == 0
    assert re.search(r"✔ make .* from words-", argosy("run", "out/words.yaml").stderr)


def test_an_environment_may_say_for_how_long(project: Path, argosy: Argosy) -> None:
    (project / "argosy.yaml").write_text("components:\n  make:\n    memoize: {maxAge: 24h}\n")
    memoize = templates(argosy("compile", "words.py:words", "--memoize").stdout)["make"]["memoize"]
    assert memoize["maxAge"] == "24h"
    assert memoize["cache"] == {"configMap": {"name": "argosy-cache-words-make"}}


STEP = {
    "name": "step",
    "metadata": {"annotations": {"argosy.dev/cache": "true"}},
    "outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "/tmp/o"}}]},
    "container": {"image": "x", "command": ["date"]},
}
KEPT = {"artifacts": [{"name": "file", "path": "/tmp/f"}]}


@pytest.mark.parametrize(
    ("change", "spec", "reason"),
    [
        ({"inputs": KEPT}, {}, "its key would not hold the content of the input artifact 'file'"),
        (
            {"outputs": KEPT},
            {"artifactGC": {"strategy": "OnWorkflowDeletion"}},
            "'file' is deleted with its workflow",
        ),
        ({"container": {"image": "x", "command": ["{{workflow.uid}}"]}}, {}, "it reads {{workflow.uid}}"),
        ({"container": {"image": "x", "command": ["{{=1 + 1}}"]}}, {}, "it computes with variables"),
        (
            {"container": {"image": "x", "command": ["python", "-m", "nowhere_here"]}},
            {},
            "'nowhere_here' is not here",
        ),
    ],
)
def test_a_step_that_argo_would_remember_wrongly_is_not_memoized(
    change: dict[str, Any], spec: dict[str, Any], reason: str
) -> None:
    found = memoized(manifest({**STEP, **change}, **spec))
    (note,) = found.notes
    assert note.startswith("template 'step' is not memoized: ") and reason in note
    assert "memoize" not in found.manifest["spec"]["templates"][0]


def test_parameters_of_the_workflow_that_a_template_reads_are_in_the_key() -> None:
    step = {**STEP, "container": {"image": "x", "command": ["{{workflow.parameters.day-of}}"]}}
    (template,) = memoized(manifest(step)).manifest["spec"]["templates"]
    assert "{{=sprig.sha256sum(toJson([workflow.parameters['day-of']]))}}" in template["memoize"]["key"]
    (fixed,) = memoized(manifest(STEP)).manifest["spec"]["templates"]
    assert re.fullmatch("[0-9a-f]{32}", fixed["memoize"]["key"])


def test_a_step_that_changes_the_world_is_never_memoized() -> None:
    notes = {"argosy.dev/cache": "true", "argosy.dev/changes-world": "true"}
    with pytest.raises(UsageError, match="no step of 'w'"):
        memoized(manifest({**STEP, "metadata": {"annotations": notes}}))


def manifest(*steps: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "kind": "Workflow",
        "metadata": {"generateName": "w-"},
        "spec": {**spec, "templates": list(steps)},
    }
