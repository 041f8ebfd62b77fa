"""A command loads the modules that it needs: start and memory of every run hang on it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MANIFEST = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"generateName": "one-"},
    "spec": {
        "entrypoint": "main",
        "templates": [{"name": "main", "container": {"image": "x", "command": ["true"]}}],
    },
}
PROGRAM = """
import atexit, sys
atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))
from argosy.cli.main import main
main(sys.argv[1:])
"""


def loaded(folder: Path, *words: str) -> set[str]:
    """The modules that `argosy WORDS` has loaded at its end."""
    command = [sys.executable, "-c", PROGRAM, *words]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "words", [("runs",), ("show", "last"), ("logs", "last"), ("run", "one.json", "--cache")]
)
def test_a_command_loads_what_it_needs(words: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(MANIFEST))
    if words[0] != "run":
        loaded(tmp_path, "run", "one.json")
    found = loaded(tmp_path, *words)
    assert "argosy.local.runs.record" in found
    unneeded = {"packaging", "urllib3", "kubernetes", "couler", "boto3", "argosy.cluster.destination"}
    unneeded |= {"http.client", "tarfile"}
    if words[0] != "run":
        unneeded |= {"argosy.local.run", "argosy.lint.engine", "argosy.local.engine", "jinja2"}
    assert found & unneeded == set()
