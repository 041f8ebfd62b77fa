"""Runs listed, found by short names, shown, and removed."""

from __future__ import annotations

import json
import os
import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from argosy.components.training.promote import promote
from argosy.local.node import as_text, now, parse_time
from argosy.local.runs.gates import ANNOTATION, evaluated, rule_of
from argosy.local.runs.page import page_data
from argosy.local.runs.record import Record
from argosy.local.runs.screen import human_size, print_results
from argosy.local.state import lock
from tests.local.runs.conftest import GATED, Argosy, Made

OK = "templates: [{name: main, container: {image: x, command: [echo, hello]}}]"


def test_the_list_tells_what_became_of_each_run(made: Made, argosy: Argosy) -> None:
    made(GATED, "pipe-aaaaa")
    made(OK, "pipe-bbbbb")
    lines = argosy("runs").stdout.splitlines()
    assert lines[1].startswith("pipe-bbbbb") and "Succeeded" in lines[1]
    assert "Failed" in lines[2] and "gate passed, bad failed" in lines[2]


def test_the_list_as_a_document(made: Made, argosy: Argosy) -> None:
    record = made(GATED)
    (run,) = json.loads(argosy("runs", "--output", "json").stdout)["runs"]
    assert run["run"] == "pipe-abc12" and run["pipeline"] == "pipe" and run["phase"] == "Failed"
    assert run["failed"] == ["bad"] and run["gates"] == {"gate": "passed"}
    assert run["sizeBytes"] == record.size() > 0


def test_show_prints_tree_parameters_gates_and_artifacts(made: Made, argosy: Argosy) -> None:
    record = made(GATED, word="two")
    shown = argosy("show", "last").stdout
    assert re.search(r"word +two", shown)
    assert "✔ make" in shown and "✖ bad" in shown and "○ never" in shown
    assert "✔ accuracy >= least  0.97 >= 0.9" in shown
    assert "✔ accuracy >= champion + 0.005  0.97 >= 0.955" in shown
    assert f"make  table       4 B  {record.folder}/artifacts/make/table/table.csv" in shown


def test_show_as_a_document(made: Made, argosy: Argosy) -> None:
    made(GATED)
    run = json.loads(argosy("show", "abc12", "--output", "json").stdout)
    assert [node["name"] for node in run["nodes"]] == ["make", "gate", "bad", "never"]
    assert run["artifacts"][0]["sizeBytes"] == 4
    assert run["gateRules"][0]["rules"][0] == {
        "rule": "accuracy >= least", "number": "0.97 >= 0.9", "holds": True,
    }  # fmt: skip


def test_a_run_is_found_by_a_unique_beginning_or_its_end(made: Made, argosy: Argosy) -> None:
    for name in ("pipe-aaaaa", "pipe-bbbbb", "other-ccccc"):
        made(OK, name)
    for word, name in (("oth", "other-ccccc"), ("bbbbb", "pipe-bbbbb"), ("last", "other-ccccc")):
        assert name in argosy("show", word).stdout
    assert argosy("show", "pipe").stderr == "argosy: 'pipe' may be any run: pipe-aaaaa, pipe-bbbbb\n"


def test_an_unknown_run_is_one_line(made: Made, argosy: Argosy) -> None:
    assert "there is no run in" in argosy("show", "x").stderr
    made(OK, "pipe-aaaaa")
    done = argosy("logs", "pipe-aaaab")
    assert done.stderr == "argosy: there is no run 'pipe-aaaab'; did you mean 'pipe-aaaaa'?\n"
    assert done.exit_code == 2


def test_logs_of_all_steps_and_of_one(made: Made, argosy: Argosy) -> None:
    made(GATED)
    assert argosy("logs", "last").stdout == "make | making one\nbad | the reason\n"
    assert argosy("logs", "last", "bad").stdout == "the reason\n"
    assert argosy("logs", "last", "--tail", "0").stdout == ""
    assert argosy("logs", "last", "--tail", "1").stdout == "make | making one\nbad | the reason\n"
    assert json.loads(argosy("logs", "last", "mak", "--output", "json").stdout) == {
        "step": "make", "attempt": 0, "line": "making one",
    }  # fmt: skip
    assert "did you mean 'make'" in argosy("logs", "last", "male").stderr


def test_logs_of_every_attempt_and_of_a_loop(made: Made, argosy: Argosy) -> None:
    made("""
templates:
- name: main
  steps:
  - - name: each
      template: again
      withItems: [a, b]
      arguments: {parameters: [{name: i, value: "{{item}}"}]}
- name: again
  inputs: {parameters: [{name: i}]}
  retryStrategy: {limit: 1}
  container: {image: x, command: [sh, -c, "echo {{inputs.parameters.i}} {{retries}}; test {{retries}} = 1"]}
""")
    lines = argosy("logs", "last", "each").stdout.splitlines()
    assert lines == ["a 0", "a 1", "b 0", "b 1"]


def test_following_ends_with_the_run(made: Made, argosy: Argosy) -> None:
    made(OK)
    assert argosy("logs", "last", "-f").stdout == "main | hello\n"


@pytest.mark.parametrize(
    ("left", "phase"),
    [({}, "Unstarted"), ({"run.json": "{"}, "Unreadable"), ({"run.json": '{"nodes": 1}'}, "Unreadable")],
)
def test_a_folder_that_was_left_half_written_is_listed_and_shown_as_such(
    left: dict[str, str], phase: str, tmp_path: Path, argosy: Argosy
) -> None:
    folder = tmp_path / "runs" / "pipe-aaaaa"
    folder.mkdir(parents=True)
    for name, text in left.items():
        (folder / name).write_text(text)
    assert phase in argosy("runs").stdout
    done = argosy("show", "last")
    assert done.exit_code == 2 and done.stderr.count("\n") == 1
    assert argosy("runs", "prune", "pipe").exit_code == 0
    assert not folder.exists()


def test_a_run_whose_runner_died_says_how_to_go_on(made: Made, argosy: Argosy) -> None:
    record = made(GATED)
    text = (record.folder / "run.json").read_text()
    (record.folder / "run.json").write_text(text.replace('"phase": "Failed"', '"phase": "Running"', 1))
    assert "argosy run --resume pipe-abc12" in argosy("show", "last").stdout
    assert "Interrupted" in argosy("runs").stdout


def test_a_run_whose_runner_died_took_until_its_last_sign(made: Made, argosy: Argosy) -> None:
    folder = made(OK).folder
    began = parse_time(now(-3600))
    state = json.loads((folder / "run.json").read_text())
    state |= {"phase": "Running", "startedAt": as_text(began), "savedAt": as_text(began)}
    del state["finishedAt"]
    (node,) = state["nodes"]
    node |= {"phase": "Running", "startedAt": as_text(began), "finishedAt": None, "queuedAt": None}
    (folder / "run.json").write_text(json.dumps(state))
    for file, later in ((folder / "run.json", 1), (folder / node["log"], 754)):
        os.utime(file, (began.timestamp() + later,) * 2)
    shown = argosy("show", "last").stdout
    assert "Interrupted  12m34s" in shown and "● main  12m34s" in shown
    assert json.loads(argosy("runs", "--output", "json").stdout)["runs"][0]["seconds"] == 754
    assert page_data(Record.read(folder))["asOf"] == 754_000


def test_a_run_that_goes_on_is_never_removed(made: Made, argosy: Argosy) -> None:
    record = made(OK)
    held = lock(record.folder)
    try:
        done = argosy("runs", "prune", "last")
        assert ("still going on" in done.stderr, done.stdout) == (True, "")
        assert argosy("runs", "prune", "--keep", "0").stderr == "nothing to remove\n"
    finally:
        os.close(held)
    assert Record.read(record.folder).state == "finished"


def test_pruning_by_number_age_and_failure(made: Made, argosy: Argosy) -> None:
    made(GATED, "pipe-aaaaa")
    for name in ("pipe-bbbbb", "pipe-ccccc"):
        made(OK, name)
    assert "name runs, or say which" in argosy("runs", "prune").stderr
    assert argosy("runs", "prune", "--older-than", "1w").stderr == "nothing to remove\n"
    assert "'month' is no age" in argosy("runs", "prune", "--older-than", "month").stderr
    assert argosy("runs", "prune", "--failed", "--dry-run").stdout == "would remove pipe-aaaaa\n"
    assert argosy("runs", "prune", "--keep", "1").stdout == "removed pipe-bbbbb\nremoved pipe-aaaaa\n"
    assert len(json.loads(argosy("runs", "--output", "json").stdout)["runs"]) == 1


def test_a_name_with_a_slash_is_a_clusters(argosy: Argosy) -> None:
    for verb in ("show", "logs"):
        done = argosy(verb, "argo/flow", "--kubeconfig", "/does/not/exist")
        assert done.exit_code != 0 and "kubeconfig" in done.stderr


def test_a_rule_without_its_numbers_does_not_apply() -> None:
    assert evaluated("a >= champion", {"a": "1", "champion": ""}).holds is None
    assert evaluated("no rule at all", {}).rule == "no rule at all"
    assert evaluated("d <= tolerance", {"d": "nan", "tolerance": "1e-5"}).holds is False


@pytest.mark.parametrize(
    ("direction", "data", "rules"),
    [
        ("maximize", "same", ["0.8 >= 0.9", "0.8 >= 0.805"]),
        ("minimize", "unknown", ["0.8 <= 0.9", "0.8 <= 0.795"]),
        ("maximize", "other", ["0.8 >= 0.9"]),
    ],
)
def test_gate_1_says_the_rules_that_counted(direction: str, data: str, rules: list[str]) -> None:
    known = {
        "direction": direction, "champion-data": data, "on-other-data": "ignore-champion",
        "val-accuracy": "0.8", "min-accuracy": "0.9", "champion-accuracy": "0.8", "min-improvement": "0.005",
    }  # fmt: skip
    lines = promote.container.annotations[ANNOTATION].splitlines()
    found = [evaluated(rule, known).number for line in lines if (rule := rule_of(line, known))]
    assert found == rules


def test_sizes() -> None:
    assert [human_size(n) for n in (0, 999, 1000, 42_300_000)] == ["0 B", "999 B", "1.0 KB", "42.3 MB"]


def test_the_list_keeps_gates_and_failures_on_a_narrow_terminal(
    made: Made, argosy: Argosy, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(GATED, "a-pipeline-whose-name-is-rather-long-abc12")
    monkeypatch.setenv("COLUMNS", "80")
    lines = argosy("runs").stdout.splitlines()
    assert lines[1].startswith("a-pipeline-whose-name-is-rather-long-abc12  ") and "Failed" in lines[1]
    assert lines[2].strip() == "gate passed, bad failed"


@pytest.mark.parametrize("retries", ["", "retryStrategy: {limit: 1}, "], ids=["once", "retried"])
def test_what_a_step_wrote_before_a_run_was_resumed_stays(
    retries: str, made: Made, argosy: Argosy, tmp_path: Path
) -> None:
    words = f"cat {tmp_path}/word; test $(cat {tmp_path}/word) = three"
    spec = f"templates: [{{name: main, {retries}container: {{image: x, command: [sh, -c, '{words}']}}}}]"
    for number, word in enumerate(("one", "two", "three")):
        (tmp_path / "word").write_text(f"{word}\n")
        if not number:
            record = made(spec)
        else:
            argosy("run", "--resume", "last")
    tries = ["one", "one", "two", "two", "three"] if retries else ["one", "two", "three"]
    assert argosy("logs", "last", "main").stdout.split() == tries
    assert f"  {len(tries)} attempts" in argosy("show", "last").stdout
    (node,) = Record.read(record.folder).nodes
    assert [a.phase.value for a in node.attempts] == ["Failed"] * (len(tries) - 1) + ["Succeeded"]


@pytest.mark.parametrize("verb", ["show", "logs", "open"])
def test_help_lists_the_options_for_a_workflow_of_a_cluster(verb: str, made: Made, argosy: Argosy) -> None:
    told = argosy(verb, "--help").stdout
    own, of_a_cluster = told.split("Options with NAMESPACE/WORKFLOW:")
    for option in ("--namespace", "--context", "--kubeconfig", "--server", "--token-file"):
        assert f"{option} " in of_a_cluster and option not in own
    assert "--state-dir" in own and "--state-dir" not in of_a_cluster
    made(OK)
    refused = argosy(verb, "last", "-n", "ml")
    assert (refused.exit_code, refused.stderr.count("\n")) == (2, 1)
    assert f"-n goes with a workflow of a cluster: argosy {verb} NAMESPACE/WORKFLOW" in refused.stderr
    assert "No such option" in argosy(verb, "last", "--colour").stderr


def test_artifacts_stand_in_columns(tmp_path: Path) -> None:
    out = StringIO()
    known = {"path": "/p", "exists": True}
    made = [
        {"step": "a", "name": "table", "sizeBytes": 4, **known},
        {"step": "longer", "name": "f", "sizeBytes": 4_200_000, **known},
        {"step": "each(0:x\ny)", "name": "f", "sizeBytes": None, "path": "/p", "exists": None},
        {"step": "b", "name": "f", "sizeBytes": None, "path": "/p", "exists": False},
    ]
    print_results(Console(file=out, width=200, highlight=False), Record(tmp_path, "finished"), made)
    lines = out.getvalue().splitlines()[2:]
    assert len(lines) == 4
    assert {line.index("/p") for line in lines} == {lines[0].index("/p")}
    assert lines[1].split() == ["longer", "f", "4.2", "MB", "/p"]
