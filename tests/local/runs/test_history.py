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


PATHS = ["{folder}", "{folder}/", "{up}/runs/pipe-abc12", "{up}/runs/pipe-abc12/", "../pipe-abc12", ".", "./"]


@pytest.mark.parametrize("way", PATHS)
def test_every_verb_takes_the_path_of_a_runs_folder(
    way: str, made: Made, argosy: Argosy, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(GATED).folder
    monkeypatch.chdir(folder)
    word = way.format(folder=folder, up=os.path.relpath(folder.parents[1]))
    for verb in ("show", "logs", "attach", "open --no-browser", "run --resume", "rerun --step gate"):
        for state in (str(folder.parents[1]), ".argosy"):  # or from beside another state folder
            monkeypatch.setenv("ARGOSY_STATE_DIR", state)
            done = argosy(*verb.split(), word)
            assert done.exit_code == int("gate" not in verb and verb in ("attach", "run --resume")), (
                done.output
            )
    assert argosy("compare", word, str(folder)).exit_code == 0
    monkeypatch.setenv("ARGOSY_STATE_DIR", str(folder.parents[1]))
    for extra in (["--from", "bad"], ["--step", "gate"]):
        argosy("rerun", *extra, word)
        assert argosy("show", "last").stdout.splitlines()[1].endswith(str(folder.parent / names(folder)[-1]))
    assert argosy("runs", "prune", word).stdout == "removed pipe-abc12\n"


def names(folder: Path) -> list[str]:
    return (folder.parents[1] / "runs.order").read_text().splitlines()


def test_a_path_that_is_no_runs_folder_is_one_line(
    made: Made, argosy: Argosy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = made(OK).folder
    monkeypatch.chdir(tmp_path)
    for word in (str(tmp_path), "./runs", "..", "a/b/c", f"{folder}/steps", "/"):
        for verb in ("show", "logs", "open", "attach", "run --resume", "runs prune", "rerun --from main"):
            done = argosy(*verb.split(), word)
            told = f"argosy: '{word}' is no folder of a run\n"
            assert (done.exit_code, done.stdout, done.stderr) == (2, "", told), verb
    away = folder.rename(tmp_path / "away")
    assert argosy("show", "away").exit_code == argosy("rerun", "--step", "main", "away/").exit_code == 0
    done = argosy("run", "--resume", "away")
    assert done.exit_code == 2 and "is in no state folder: to go on with it, move it into" in done.stderr
    assert away.is_dir()


def test_last_is_the_run_asked_for_last_though_the_clock_was_set_back(made: Made, argosy: Argosy) -> None:
    def dated(name: str, year: str) -> None:
        file = made(OK, name).folder / "run.json"
        file.write_text(file.read_text().replace(now()[:5], f"{year}-"))

    dated("pipe-aaaaa", "2999")
    made(OK, "pipe-bbbbb")
    dated("pipe-ccccc", "2001")
    made(OK, "pipe-ddddd")
    dated("pipe-eeeee", "2998")
    listed = [line.split()[0] for line in argosy("runs").stdout.splitlines()[1:]]
    assert listed == [f"pipe-{letter * 5}" for letter in "edcba"]
    assert "pipe-eeeee" in argosy("show", "last").stdout
    argosy("run", "--resume", "aaaaa")
    assert "pipe-eeeee" in argosy("show", "last").stdout
    assert argosy("runs", "prune", "--keep", "4").stdout == "removed pipe-aaaaa\n"


def test_of_runs_of_before_one_that_is_dated_ahead_is_not_the_last(made: Made, argosy: Argosy) -> None:
    for name, year in (("pipe-aaaaa", "2999"), ("pipe-bbbbb", "2025"), ("pipe-ccccc", "2024")):
        folder = made(OK, name).folder
        (folder / "run.json").write_text((folder / "run.json").read_text().replace(now()[:5], f"{year}-"))
    (folder.parents[1] / "runs.order").unlink()
    assert "pipe-bbbbb" in argosy("show", "last").stdout
    made(OK, "pipe-ddddd")
    listed = [line.split()[0] for line in argosy("runs").stdout.splitlines()[1:]]
    assert listed == ["pipe-ddddd", "pipe-bbbbb", "pipe-ccccc", "pipe-aaaaa"]


def test_the_narrow_list_tells_the_year_of_a_run_of_another(
    made: Made, argosy: Argosy, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(OK, "pipe-bbbbb")
    file = made(OK, "pipe-aaaaa").folder / "run.json"
    file.write_text(file.read_text().replace(now()[:10], "2019-07-15"))
    monkeypatch.setenv("COLUMNS", "80")
    lines = argosy("runs").stdout.splitlines()
    assert re.search(r"^pipe-bbbbb +\d\d-\d\d \d\d:\d\d  ", "\n".join(lines), re.MULTILINE)
    assert re.search(r"^pipe-aaaaa +2019-07-1\d \d\d:\d\d  ", "\n".join(lines), re.MULTILINE)


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
