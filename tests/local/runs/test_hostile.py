"""Texts of steps are shown on a terminal, never obeyed by it."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from argosy.text import one_line, visible
from tests.local.conftest import manifest
from tests.local.runs.conftest import Argosy

ORDERS = "a\x1b[2J\x1b]0;title\x07b\x9b31m\u202ec\x7f\ttab"
SHOWN = "a␛[2J␛]0;title␇b�31m�c␡"

ARGUMENT = {"parameters": [{"name": "m", "value": ORDERS}]}
PROGRAM = f"import sys; print({ORDERS!r}, file=sys.stderr); sys.exit({ORDERS!r})"
STEPS = [
    [{"name": "text", "template": "echo", "arguments": ARGUMENT}],
    [{"name": "loop", "template": "broken", "withItems": [ORDERS]}],
]
BROKEN = {"name": "broken", "container": {"image": "x", "command": ["python", "-c", PROGRAM]}}
FLOW = {"templates": [{"name": "main", "steps": STEPS}, BROKEN]}


def obeyed(text: str) -> set[str]:
    """The characters that a terminal would obey."""
    return {c for c in text if c != "\n" and visible(c) != c}


def test_what_a_terminal_obeys_is_shown_as_signs() -> None:
    assert one_line(ORDERS) == f"{SHOWN} tab"
    assert visible("plain ünï \u200d 🙂 \xa0") == "plain ünï \u200d 🙂 \xa0"


def test_no_command_lets_a_step_command_the_terminal(argosy: Argosy, tmp_path: Path) -> None:
    flow = tmp_path / "flow.yaml"
    flow.write_text(yaml.safe_dump(manifest(FLOW)))
    ran = argosy("run", str(flow))
    assert ran.exit_code == 1 and SHOWN in ran.stderr
    again = argosy("run", str(flow))
    names = [run["run"] for run in json.loads(argosy("runs", "--output", "json").stdout)["runs"]]
    words = [("show", "last"), ("logs", "last"), ("runs",), ("run", str(flow), "--plan"), ("compare", *names)]
    done = {verb[0]: argosy(*verb).output for verb in words}
    assert {verb: found for verb, said in done.items() if (found := obeyed(said))} == {}
    assert obeyed(ran.output) == obeyed(again.output) == set()


UNNAMED = """
templates:
- name: main
  steps:
  - - {name: make, template: make}
  - - name: use
      template: use
      arguments: {artifacts: [{name: d, from: "{{steps.make.outputs.artifacts.d}}"}]}
- name: make
  outputs: {artifacts: [{name: d, path: /tmp/d}]}
  script:
    image: x
    command: [python]
    source: |
      import os
      os.mkdir("/tmp/d")
      for name in (b"\\xff", b"\\x1b[2J"):
          open(b"/tmp/d/" + name, "w").close()
- name: use
  inputs: {artifacts: [{name: d, path: /tmp/d}]}
  container: {image: x, command: [sh, -c, "test -d /tmp/d"]}
"""


def test_a_file_whose_name_is_no_text_is_a_file_like_any_other(argosy: Argosy, tmp_path: Path) -> None:
    flow = tmp_path / "flow.yaml"
    flow.write_text(yaml.safe_dump(manifest(UNNAMED)))
    done = argosy("run", str(flow), "--cache", "--output", "json")
    assert (done.exit_code, json.loads(done.stdout)["phase"]) == (0, "Succeeded")
    nodes = json.loads(argosy("run", str(flow), "--cache", "--output", "json").stdout)["nodes"]
    assert [bool(node["reused"]) for node in nodes if node["name"] != "main"] == [True, True]
    page = Path(argosy("open", "last", "--no-browser").stdout.strip()).read_text("utf-8")
    assert "␛[2J" in page
    assert argosy("rerun", "last", "--from", "use").exit_code == 0
