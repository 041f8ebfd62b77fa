"""The live tree: progress as bars, and at most the terminal's height."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from argosy.local.console import LiveTree, fitting, read_progress
from argosy.local.node import Node, Phase
from argosy.local.runs.logs import LogFollower


@pytest.mark.parametrize(
    ("line", "share", "text"),
    [
        ("progress: 45%", 0.45, ""),
        ("progress: 9/20 epochs", 0.45, "9/20 epochs"),
        ("Progress: 12.5 % of the files", 0.125, "of the files"),
        ("progress: 7/0", 1.0, "7/0"),
        ("progress: epoch 3/4  loss 0.5", 0.75, "epoch 3/4 loss 0.5"),
        ("2026-11-28 12:30:01,073 INFO argosy.components.x: progress: 45% of it", 0.45, "of it"),
        (" 45%|████▌     | 45/100 [00:10<00:12,  4.50it/s]", 0.45, "45/100 [00:10<00:12,  4.50it/s]"),
        ("train: 100%|██████████| 3/3 [00:00<00:00]", 1.0, "train 3/3 [00:00<00:00]"),
    ],
)
def test_progress_is_read(line: str, share: float, text: str) -> None:
    progress = read_progress(line)
    assert progress is not None
    assert (progress.share, progress.text) == (pytest.approx(share), text)
    assert f"{share:.0%}" in progress.bar().plain


@pytest.mark.parametrize(
    "line",
    ["", "accuracy 45%", "epoch 3/4", "INFO: progress: 3/4", "progress", "progress: soon", "a | b | c 3%"],
)
def test_other_lines_are_no_progress(line: str) -> None:
    assert read_progress(line) is None


def test_a_bar_that_no_newline_ends_is_seen(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"start\n 10%|#   | 1/10\r 20%|##  | 2/10")
    follower = LogFollower(log)
    assert follower.lines() == ["start"]
    assert follower.unfinished == " 20%|##  | 2/10"


def many() -> list[Node]:
    loop = Node("each", "t", "Loop", Phase.RUNNING)
    ended = "2026-01-01T00:00:00.000Z"
    done = [
        Node(f"each({n}:{n})", "t", "Container", Phase.SUCCEEDED, "each", finished_at=ended)
        for n in range(900)
    ]
    bad = Node("each(900:x)", "t", "Container", Phase.FAILED, "each")
    running = Node("each(901:y)", "t", "Container", Phase.RUNNING, "each")
    waiting = [Node(f"each({n}:{n})", "t", "Container", Phase.PENDING, "each") for n in range(902, 1000)]
    return [loop, *done, bad, running, *waiting]


def test_what_runs_and_what_failed_is_shown_first_and_the_rest_is_counted() -> None:
    shown, rest = fitting(many(), 10)
    names = [node.name for node in shown]
    assert len(names) == 9 and names[0] == "each"
    assert {"each(900:x)", "each(901:y)"} <= set(names)
    assert rest == "and 894 Succeeded, 98 Pending"
    assert fitting(many()[:5], 10)[1] == ""


def test_the_tree_is_never_higher_than_the_terminal(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=80, height=20, force_terminal=True)
    tree = LiveTree(console)
    (tmp_path / "log").write_text("progress: 9/20\n")
    tree._run_dir = tmp_path
    for node in many():
        tree.on_node(node)
    tree.on_node(Node("each(901:y)", "t", "Container", Phase.RUNNING, "each", log="log"))
    console.print(tree)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert printed.count("\n") <= 20
    assert "━" in printed and "45%" in printed


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        (["progress: 1/4", "saved a checkpoint"], "25%  saved a checkpoint"),
        (["progress: 4/4 files", "next"], "next"),
        (["progress: 1/4", "progress: epoch 1/2"], "50%  epoch 1/2"),
    ],
)
def test_a_bar_that_is_not_full_stays(tmp_path: Path, lines: list[str], shown: str) -> None:
    console = Console(file=io.StringIO(), width=80, height=20, force_terminal=True, color_system=None)
    tree = LiveTree(console)
    (tmp_path / "log").write_text("\n".join(lines) + "\n")
    tree._run_dir = tmp_path
    tree.on_node(Node("one", "t", "Container", Phase.RUNNING, log="log"))
    console.print(tree)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert shown in printed and ("━" in printed) == ("%" in shown)
