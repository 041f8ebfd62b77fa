"""Small manifests, run for real."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from argosy.local import Node, NullReporter, WorkflowResult, run_manifest

Run = Callable[..., WorkflowResult]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a manifest, or the text of its `spec`, in a folder of its own."""

    def start(
        spec: str | Mapping[str, Any], resume: bool = False, folder: str = "run", **given: Any
    ) -> WorkflowResult:
        given.setdefault("parameters", {})
        given.setdefault("environment", {})
        given.setdefault("reporter", NullReporter())
        return run_manifest(manifest(spec), run_dir=tmp_path / folder, resume=resume, **given)

    return start


TEMPLATES = """
- {name: ok, container: {image: x, command: ['true']}}
- {name: bad, container: {image: x, command: [sh, -c, 'echo the reason >&2; exit 3']}}
- name: echo
  inputs: {parameters: [{name: m, value: nothing}]}
  outputs: {parameters: [{name: out, valueFrom: {path: /tmp/out}}]}
  container:
    image: x
    command: [sh, -c, 'echo "$1"; echo "$1" > /tmp/out', sh]
    args: ["{{inputs.parameters.m}}"]
"""
"""Templates that every manifest here has."""


def manifest(spec: str | Mapping[str, Any]) -> dict[str, Any]:
    """A Workflow around a `spec`, with TEMPLATES; the entrypoint is `main` unless it says otherwise."""
    parsed = yaml.safe_load(spec) if isinstance(spec, str) else dict(spec)
    parsed.setdefault("entrypoint", "main")
    own = {template["name"] for template in parsed["templates"]}
    parsed["templates"] += [template for template in yaml.safe_load(TEMPLATES) if template["name"] not in own]
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "test-"},
        "spec": parsed,
    }


RUNNER = """
import json, pathlib, sys
from argosy.local import NullReporter, run_manifest

manifest, folder, environment = sys.argv[1:]
run_manifest(json.loads(manifest), parameters={}, run_dir=pathlib.Path(folder),
             environment=json.loads(environment), reporter=NullReporter())
"""


def runner(
    spec: str | Mapping[str, Any], run_dir: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """A process that runs a manifest, as `manifest` makes it, and can be killed."""
    arguments = [json.dumps(manifest(spec)), str(run_dir), json.dumps(dict(environment))]
    return subprocess.Popen([sys.executable, "-c", RUNNER, *arguments])


def phases(result: WorkflowResult) -> dict[str, str]:
    """Phase of every node by name."""
    return {node.name: node.phase.value for node in result.nodes}


def node(result: WorkflowResult, name: str) -> Node:
    """One node."""
    return next(found for found in result.nodes if found.name == name)


def log(result: WorkflowResult, name: str) -> str:
    """What a node's program wrote."""
    path = node(result, name).log
    assert path is not None
    return (result.run_dir / path).read_text("utf-8")
