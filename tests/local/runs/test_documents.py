"""What `--output json` prints is what its schema says: documents of real runs, held against it."""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from argosy.local.runs.documents import DOCUMENTS, schema_of
from argosy.local.state import lock
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
FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time", ValueError)
def is_moment(value: object) -> bool:
    return not isinstance(value, str) or bool(datetime.fromisoformat(value.removesuffix("Z") + "+00:00"))


def closed(schema: Any) -> Any:
    """The schema with no room for a field that it does not tell."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    return (
        {"additionalProperties": False, **found}
        if isinstance(found.get("properties"), dict) and "type" in found
        else found
    )


def hold(name: str, text: str) -> Any:
    """Hold a document against the schema that `argosy schema` prints; returns it."""
    document = json.loads(text)
    schema = closed(schema_of(name))
    jsonschema.Draft202012Validator(schema, format_checker=FORMATS).validate(document)
    return document


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_schema_is_one_and_argosy_prints_it(name: str, argosy: Argosy) -> None:
    printed = json.loads(argosy("schema", name).stdout)
    assert printed == schema_of(name)
    jsonschema.Draft202012Validator.check_schema(printed)


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
