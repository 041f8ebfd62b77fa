"""The examples: compiled as committed, valid, and run where one machine can run them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from argosy.compose.compiler import compile
from argosy.compose.loader import load_pipeline
from argosy.lint import lint_manifest
from argosy.manifest.emit import to_yaml

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
ARGOSY = Path(sys.executable).with_name("argosy")
PIPELINES = {
    "branches.py": "branches",
    "graphs.py:diamond": "diamond",
    "graphs.py:side_by_side": "side-by-side",
    "loops.py:fan_out": "fan-out",
    "loops.py:body_of_steps": "body-of-steps",
    "loops.py:until_heads": "until-heads",
    "mixed.py": "mixed",
    "sweep.py": "sweep",
    "approval.py": "ask-first",
    "notified.py": "notified",
    "tabular/pipeline.py": "tabular-classifier",
}


@pytest.mark.parametrize(("target", "name"), PIPELINES.items())
def test_the_committed_yaml_is_what_the_example_compiles_to(target: str, name: str) -> None:
    manifest = compile(load_pipeline(str(EXAMPLES / target)))
    assert to_yaml(manifest) == (EXAMPLES / "compiled" / f"{name}.yaml").read_text()
    assert [v for v in lint_manifest(manifest) if v.is_error] == []


def test_every_compiled_example_has_its_program() -> None:
    assert {p.stem for p in (EXAMPLES / "compiled").glob("*.yaml")} == set(PIPELINES.values())


def run(target: str, state: Path, *args: str) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [ARGOSY, "run", str(EXAMPLES / target), "--output", "json", *args],
        env={**os.environ, "ARGOSY_STATE_DIR": str(state)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def phases(document: dict[str, Any]) -> dict[str, str]:
    return {n["name"]: n["phase"] for n in document["nodes"]}


@pytest.mark.parametrize(
    ("target", "args", "expected"),
    [
        ("branches.py", ["-p", "seed=1"], {"many": "Succeeded", "few": "Skipped", "else": "Skipped"}),
        ("branches.py", ["-p", "seed=5"], {"count-to": "Skipped", "many": "Omitted", "else": "Succeeded"}),
        ("graphs.py:diamond", [], {"a": "Succeeded", "d": "Succeeded"}),
        ("graphs.py:side_by_side", [], {"both": "Succeeded", "repair": "Omitted"}),
        ("loops.py:fan_out", [], {"counted(2:3)": "Succeeded", "given(1:two)": "Succeeded"}),
        ("loops.py:until_heads", [], {"while-flip": "Succeeded"}),
        ("sweep.py", ["-p", "steps=9"], {"fit(2:0.05)": "Succeeded", "train": "Succeeded"}),
        ("mixed.py", [], {"say": "Succeeded", "onExit.tell": "Succeeded", "onExit.alarm": "Skipped"}),
    ],
)
def test_the_example_runs_on_this_machine(
    tmp_path: Path, target: str, args: list[str], expected: dict[str, str]
) -> None:
    code, document, errors = run(target, tmp_path, *args)
    assert (code, document.get("phase")) == (0, "Succeeded"), errors
    found = phases(document)
    assert {name: found.get(name) for name in expected} == expected


def test_the_sweep_trains_with_the_best_of_what_it_tried(tmp_path: Path) -> None:
    _, document, errors = run("sweep.py", tmp_path)
    outputs = {n["name"]: n["outputs"]["parameters"] for n in document["nodes"]}
    losses = {
        r: float(outputs[f"fit({i}:{r})"]["loss"]) for i, r in enumerate(("0.001", "0.01", "0.05", "0.2"))
    }
    assert outputs["choose"]["rate"] == min(losses, key=lambda rate: losses[rate]), errors
    assert float(outputs["train"]["loss"]) < min(losses.values())


def test_a_person_lets_a_suspended_workflow_go_on(tmp_path: Path) -> None:
    code, document, errors = run("approval.py", tmp_path, "--approve", "approve")
    assert code == 0, errors
    assert phases(document) == {"prepare": "Succeeded", "approve": "Succeeded", "act": "Succeeded"}
