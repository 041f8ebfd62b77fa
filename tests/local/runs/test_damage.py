"""Runs whose folder is not as it was written: each verb says so in one line, and changes nothing."""

from __future__ import annotations

import json
import os
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from argosy.local.runs.page import render_page
from argosy.local.runs.record import Record
from argosy.local.state import lock
from tests.local.conftest import manifest
from tests.local.runs.conftest import GATED, Argosy, Made
from tests.local.runs.terminal import ARGOSY

RUN = "pipe-abc12"
VERBS = [
    ("show", RUN),
    ("show", RUN, "--output", "json"),
    ("logs", RUN),
    ("open", RUN, "--no-browser"),
    ("compare", RUN, "other"),
    ("attach", RUN),
    ("rerun", RUN, "--from", "gate"),
    ("rerun", RUN, "--step", "gate"),
    ("run", "--resume", RUN),
]


def head(**fields: Any) -> Callable[[Path], None]:
    return lambda file: file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def node(**fields: Any) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        document = json.loads(file.read_text())
        document["nodes"][1] |= fields
        file.write_text(json.dumps(document))

    return change


def content(data: bytes) -> Callable[[Path], None]:
    return lambda file: file.write_bytes(data)


RECORDS = {
    "empty": content(b""),
    "truncated": lambda file: os.truncate(file, 300),
    "binary": content(bytes(range(256))),
    "another document": content(b"[]"),
    "nested without end": content(b"[" * 100_000),
    "newer": head(format=99),
    "format of another kind": head(format="x"),
    "parameters that are none": head(parameters=[1]),
    "no time": head(startedAt="yesterday"),
    "no phase": head(phase="Great"),
    "outputs that are none": head(outputs={}),
    "outputs that are null": head(outputs=None),
    "a message that is null": head(message=None),
    "nodes that are none": head(nodes="abc"),
    "a journal of another folder": head(journal="../other/run.json"),
    "a journal that is gone": head(journal="run.7.jsonl"),
    "a node's time": node(startedAt="x"),
    "a node's outputs": node(outputs={"parameters": {"a": 1}, "artifacts": {}}),
    "a node's artifacts": node(outputs={"parameters": {}, "artifacts": {"a": 1}}),
    "a log of another folder": node(log="/etc/hostname"),
    "a node's attempts": node(attempts=[1]),
    "a node inside of itself": node(parent="gate"),
    "a node twice": node(name="make"),
}


@pytest.fixture
def run(made: Made) -> Path:
    """The folder of a run that failed; `other` is one like it."""
    made(GATED, "other")
    return made(GATED, RUN).folder


@pytest.mark.parametrize("what", RECORDS)
def test_a_record_that_is_none_is_one_line_for_every_verb(what: str, run: Path, argosy: Argosy) -> None:
    RECORDS[what](run / "run.json")
    before = (run / "run.json").read_bytes()
    for verb in VERBS:
        done = argosy(*verb)
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), (verb, done.output)
        assert str(run / "run.json") in done.stderr or verb[0] == "rerun"
    listed = json.loads(argosy("runs", "--output", "json").stdout)["runs"]
    assert {one["run"]: one["state"] for one in listed} == {RUN: "unreadable", "other": "finished"}
    assert (run / "run.json").read_bytes() == before


CUT = """
spec:
  entrypoint: main
  templates:
  - {name: make, container: {image: x, command: sh, args: 7, resources: l}}
  - name: gate
    container: i
"""


def lose(*names: str) -> Callable[[Path], None]:
    def remove(folder: Path) -> None:
        for name in names:
            (folder / name).rename(folder.parent.parent / f"lost-{Path(name).name}")

    return remove


@pytest.mark.parametrize(
    "left",
    [
        lose("steps", "artifacts"),
        lose("workflow.yaml", "request.json", "code.json"),
        lambda folder: (folder / "workflow.yaml").write_text("spec: x"),
        lambda folder: (folder / "workflow.yaml").write_text(CUT),
        lambda folder: (folder / "workflow.yaml").write_bytes(bytes(range(256))),
        lambda folder: (folder / "request.json").write_text('{"pipeline": 3, "manifest": 4}'),
        lambda folder: (folder / "code.json").write_text('{"a": 3}'),
        node(parent="nowhere"),
    ],
)
def test_what_is_left_of_a_run_is_shown(left: Callable[[Path], Any], run: Path, argosy: Argosy) -> None:
    left(run / "run.json" if left.__qualname__.startswith("node") else run)
    for verb in VERBS[:5]:
        assert argosy(*verb).exit_code == 0, verb
    assert "gate" in argosy("show", RUN).stdout


def test_an_unknown_run_or_step_is_one_line_for_every_verb(run: Path, argosy: Argosy) -> None:
    for words in VERBS:
        done = argosy(*(word.replace(RUN, "pipe-abd12") for word in words))
        assert (done.exit_code, done.stdout) == (2, ""), words
        assert done.stderr == "argosy: there is no run 'pipe-abd12'; did you mean 'pipe-abc12'?\n"
    for words in (("logs", RUN, "gaet"), ("rerun", RUN, "--step", "gaet"), ("rerun", RUN, "--from", "gaet")):
        assert argosy(*words).stderr == f"argosy: there is no step 'gaet' in {RUN}; did you mean 'gate'?\n"


def test_two_runners_on_one_run_are_refused(run: Path, argosy: Argosy) -> None:
    before, held = (run / "run.json").read_bytes(), lock(run)
    try:
        done = argosy("run", "--resume", RUN)
    finally:
        os.close(held)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"argosy: {run} belongs to a run that is still going on\n"
    assert (run / "run.json").read_bytes() == before


@pytest.mark.parametrize("verb", [VERBS[3], *VERBS[6:]])
def test_a_full_disk_is_one_line(verb: tuple[str, ...], run: Path, tmp_path: Path) -> None:
    before = (run / "run.json").read_bytes()
    (run / "page.html").unlink(missing_ok=True)
    done = subprocess.run(
        [ARGOSY, *verb],
        env={**os.environ, "ARGOSY_STATE_DIR": str(tmp_path)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert "File too large" in done.stderr
    assert (run / "run.json").read_bytes() == before


def limited(bytes_of_a_file: int, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command that can write files of that size alone."""
    return subprocess.run(
        [ARGOSY, *words],
        cwd=folder,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_of_a_file, bytes_of_a_file)),
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("size", [100, 5_000, 10_000])
def test_a_run_that_finds_the_disk_full_leaves_no_folder(size: int, tmp_path: Path) -> None:
    steps = [[{"name": "one", "template": "ok"}]]
    file = tmp_path / "rich.yaml"
    file.write_text(yaml.safe_dump(manifest({"templates": [{"name": "main", "steps": steps}]})))
    done = limited(size, "run", "rich.yaml", folder=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert "/runs/test-" in done.stderr and "File too large" in done.stderr
    assert list((tmp_path / ".argosy" / "runs").iterdir()) == []


@pytest.mark.parametrize("what", [("--from", "gate"), ("--step", "gate")], ids=" ".join)
def test_a_rerun_that_finds_the_disk_full_leaves_no_folder(what: tuple[str, str], run: Path) -> None:
    words = ("rerun", RUN, *what, "--state-dir", str(run.parent.parent))
    done = limited(10_000, *words, folder=run.parent.parent)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert "File too large" in done.stderr
    assert sorted(folder.name for folder in run.parent.iterdir()) == ["other", RUN]


def test_a_file_that_finds_the_disk_full_is_named(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(FLOW)
    done = limited(100, "compile", "flow.py", "-o", "made", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "argosy: nothing more can be written: made/flow.yaml: File too large\n"
    assert list((tmp_path / "made").iterdir()) == []


FLOW = """
from argosy import component, pipeline

@component(image="python:3.11-slim")
def step() -> int:
    return 1

@pipeline
def flow():
    step()
"""


def test_a_log_that_finds_the_disk_full_ends_a_program_whose_output_is_a_result(tmp_path: Path) -> None:
    steps = [
        [{"name": "loud", "template": "loud"}],
        [{"name": "next", "template": "echo", "arguments": {"parameters": [LOUD_RESULT]}}],
    ]
    container = {"image": "x", "command": ["sh", "-c", "seq 1000000"]}
    templates = [{"name": "main", "steps": steps}, {"name": "loud", "container": container}]
    (tmp_path / "loud.yaml").write_text(yaml.safe_dump(manifest({"templates": templates})))
    done = limited(100_000, "run", "loud.yaml", folder=tmp_path)
    assert done.returncode == 1
    assert "'loud' Error: the step's folder cannot be used: [Errno 27] File too large" in done.stderr


LOUD_RESULT = {"name": "m", "value": "{{steps.loud.outputs.result}}"}


FULL = Path("/dev/full")


@pytest.mark.parametrize("verb", [("runs",), ("show", RUN), ("runs", "--output", "json")], ids=" ".join)
def test_an_answer_that_cannot_be_written_is_one_line(verb: tuple[str, ...], run: Path) -> None:
    words = [ARGOSY, *verb, "--state-dir", str(run.parent.parent)]
    with FULL.open("w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "argosy: nothing more can be written: No space left on device\n"


def test_a_run_whose_lines_cannot_be_written_goes_on(tmp_path: Path) -> None:
    file, state = tmp_path / "rich.yaml", tmp_path / "state"
    steps = [[{"name": name, "template": "ok"}] for name in ("one", "two")]
    file.write_text(yaml.safe_dump(manifest({"templates": [{"name": "main", "steps": steps}]})))
    words = [ARGOSY, "run", str(file), "--state-dir", str(state), "--output", "json"]
    with FULL.open("w") as full:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=full, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["phase"]) == (0, "Succeeded")
    (folder,) = (state / "runs").iterdir()
    assert Record.read(folder).phase == "Succeeded" and (folder / "page.html").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("manifest", value) for value in (None, [], {})),
        *(("given", value) for value in (None, [], {"a": 1})),
        *(("module_dirs", value) for value in (None, "x", [7])),
        *(("files", value) for value in (None, [1])),
        *(("runner", value) for value in (None, 1, "nope")),
        ("pipeline", None),
    ],
)
def test_a_request_with_a_field_of_another_kind_is_one_line(
    field: str, value: object, run: Path, argosy: Argosy
) -> None:
    file = run / "request.json"
    content = {"manifest": manifest({"templates": []}), "given": {}, "module_dirs": [], "files": []}
    file.write_text(json.dumps({**content, field: value}))
    for verb in VERBS[-3:]:
        done = argosy(*verb)
        assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1), (verb, done.output)
        assert f"request.json is damaged: {field}" in done.stderr


def test_a_manifest_that_is_cut_off_anywhere_is_left_out(run: Path, argosy: Argosy) -> None:
    whole = (run / "workflow.yaml").read_bytes()
    for cut in range(0, len(whole), 97):
        (run / "workflow.yaml").write_bytes(whole[:cut])
        render_page(Record.read(run))
    (run / "workflow.yaml").write_bytes(whole[: whole.index(b"container:") + 20])
    for verb in VERBS[:5]:
        assert argosy(*verb).exit_code == 0


def test_a_sign_that_the_output_cannot_write_is_one_line(run: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(
        [ARGOSY, "show", RUN, "--state-dir", str(run.parent.parent)],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == (
        "argosy: the output has '\\u2714', which its encoding latin-1 cannot write; "
        "set PYTHONIOENCODING=utf-8\n"
    )
