"""Runs of small manifests in a state folder, and `argosy` called in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from argosy.cli.main import main
from argosy.cli.request import Request
from argosy.local import NullReporter, run_manifest
from argosy.local.runs.record import Record
from tests.local.conftest import manifest

Made = Callable[..., Record]
Argosy = Callable[..., Result]

GATED = """
arguments: {parameters: [{name: word, value: one}]}
templates:
- name: main
  dag:
    tasks:
    - {name: make, template: make}
    - {name: gate, template: gate, depends: make}
    - {name: bad, template: bad, depends: gate}
    - {name: never, template: ok, depends: bad}
- name: make
  outputs: {artifacts: [{name: table, path: /tmp/table.csv}]}
  container:
    image: x
    command: [sh, -c, "echo making {{workflow.parameters.word}}; echo a,b > /tmp/table.csv"]
- name: gate
  metadata: {annotations: {argosy.dev/gate: "accuracy >= least\\naccuracy >= champion + 0.005"}}
  inputs: {parameters: [{name: least, value: "0.9"}]}
  outputs:
    parameters:
    - {name: result, valueFrom: {path: /tmp/r}}
    - {name: accuracy, valueFrom: {path: /tmp/a}}
    - {name: champion, valueFrom: {path: /tmp/c}}
    - {name: reason, valueFrom: {path: /tmp/why}}
  container:
    image: x
    command: [sh, -c, "echo passed > /tmp/r; echo 0.97 > /tmp/a; echo 0.95 > /tmp/c; echo better > /tmp/why"]
"""


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """Runs a manifest as `argosy run` does, under a name, and hands over its record."""

    def make(spec: str | Mapping[str, Any], name: str = "pipe-abc12", **given: Any) -> Record:
        request = Request(manifest(spec), {}, (), tmp_path, name, "pipe")
        request.save()
        run_manifest(
            request.manifest,
            parameters=given,
            run_dir=request.run_dir,
            environment={},
            reporter=NullReporter(),
        )
        return Record.read(request.run_dir)

    return make


@pytest.fixture
def argosy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Argosy:
    """Calls a command on the state folder of `made`."""
    monkeypatch.setenv("ARGOSY_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *words: CliRunner().invoke(main, list(words), catch_exceptions=False)
