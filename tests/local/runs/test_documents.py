"""What `--output json` prints is what its schema says: documents of real runs, held against it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import jsonschema
import pytest
import yaml

from argosy.cli.main import COMMANDS
from argosy.cli.schema import DOCUMENTS, schema_of
from argosy.local.state import lock
from tests.documents import hold
from tests.local.conftest import manifest
from tests.local.runs.conftest import GATED, Argosy, Made

RICH = """
arguments: {parameters: [{name: word, value: one}]}
templates:
- name: main
  outputs: {parameters: [{name: said, valueFrom: {parameter: "{{tasks.say.outputs.parameters.said}}"}}]}
  dag:
    tasks:
    - {name: say, template: say}
    - {name: each, template: ok, withItems: [1, 2]}
    - {name: group, template: group, depends: say}
    - {name: not, template: ok, depends: say, when: "{{tasks.say.outputs.parameters.said}} == two"}
    - {name: flaky, template: flaky, depends: group.Succeeded || group.Failed}
- name: group
  dag: {tasks: [{name: inner, template: ok}]}
- name: flaky
  retryStrategy: {limit: 1}
  container: {image: x, command: [sh, -c, "echo why; exit 3"]}
- name: say
  outputs:
    parameters: [{name: said, valueFrom: {path: /tmp/said}}]
    artifacts: [{name: data, path: /tmp/said}]
  script: {image: x, command: [sh], source: "echo one > /tmp/said; echo hello"}
"""


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_schema_is_one_and_argosy_prints_it(name: str, argosy: Argosy) -> None:
    printed = json.loads(argosy("schema", name).stdout)
    assert printed == schema_of(name)
    jsonschema.Draft202012Validator.check_schema(printed)


def verbs(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for inner, one in command.commands.items():
            yield from verbs(f"{name} {inner}", one)


def test_every_verb_that_prints_json_has_a_document() -> None:
    printed_by = "\n".join(told for told, _ in DOCUMENTS.values())
    found = 0
    for name, (module, attribute) in COMMANDS.items():
        for verb, command in verbs(name, getattr(import_module(module), attribute)):
            for option in command.params:
                if isinstance(option.type, click.Choice) and "json" in option.type.choices:
                    found += 1
                    assert re.search(rf"argosy {verb}\b.* {option.opts[-1]} json", printed_by), verb
    assert found >= 12


def test_what_components_tell(argosy: Argosy) -> None:
    every = hold("components", argosy("components", "--output", "json").stdout)
    assert len(every) > 10
    assert hold("component", argosy("components", "promote", "--output", "json").stdout) in every


def test_what_the_linter_tells(argosy: Argosy, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: x}\nspec: {}\n")
    assert hold("lint", argosy("lint", str(file), "--format", "json").stdout)


def test_what_runs_tell(made: Made, argosy: Argosy, tmp_path: Path) -> None:
    made(RICH, "pipe-aaaaa")
    made(GATED, "pipe-bbbbb", word="two")
    left = {"unstarted": None, "unreadable": "{", "waiting": None}
    for name, text in left.items():
        (tmp_path / "runs" / name).mkdir()
        if text:
            (tmp_path / "runs" / name / "run.json").write_text(text)
    held = lock(tmp_path / "runs" / "waiting")
    try:
        listed = hold("runs", argosy("runs", "--output", "json").stdout)["runs"]
    finally:
        os.close(held)
    assert {run["state"] for run in listed} == {"finished", "unstarted", "unreadable", "running"}
    shown = hold("show", argosy("show", "aaaaa", "--output", "json").stdout)
    assert shown["nodes"][0]["outputs"]["parameters"] == {"said": "one"}
    assert {node["type"] for node in shown["nodes"]} == {"Container", "Script", "DAG", "Loop"}
    assert max(len(node["attempts"]) for node in shown["nodes"]) == 2
    assert hold("show", argosy("show", "bbbbb", "--output", "json").stdout)["gateRules"]
    lines = argosy("logs", "aaaaa", "--output", "json").stdout.splitlines()
    assert {hold("logs", line)["attempt"] for line in lines} == {0, 1}
    found = hold("compare", argosy("compare", "aaaaa", "bbbbb", "--output", "json").stdout)
    assert found["parameters"] and found["steps"] and found["gates"] and found["templates"]


def test_what_run_tells_before_and_after(argosy: Argosy, tmp_path: Path) -> None:
    file = tmp_path / "rich.yaml"
    file.write_text(yaml.safe_dump(manifest(RICH)))
    plan = hold("plan", argosy("run", str(file), "--cache", "--plan", "--output", "json").stdout)
    assert {step["plan"] for step in plan["steps"]} >= {"runs", "waits for what runs"}
    ended = hold("run", argosy("run", str(file), "--cache", "--output", "json").stdout)
    assert ended["phase"] == "Failed"
    again = hold("run", argosy("run", str(file), "--cache", "--output", "json").stdout)
    assert any("reused" in node for node in again["nodes"])
    plan = hold("plan", argosy("run", str(file), "--cache", "--plan", "--output", "json").stdout)
    assert any(step["reused"] for step in plan["steps"])
    hold("run", argosy("rerun", "last", "--from", "group", "--output", "json").stdout)
    assert hold("show", argosy("show", "last", "--output", "json").stdout)["argosy"]


def test_the_page_is_written_from_the_schemas(repository: Path, argosy: Argosy) -> None:
    page = (repository / "docs" / "documents.md").read_text("utf-8")
    written = argosy("schema", "--output", "markdown").stdout
    assert page == written, "run 'argosy schema --output markdown > docs/documents.md'"


def test_an_unknown_document_is_one_line(argosy: Argosy) -> None:
    assert argosy("schema", "shwo").stderr == "argosy: there is no document 'shwo'; did you mean 'show'?\n"
    assert all(name in argosy("schema").stdout for name in DOCUMENTS)
