"""The live tree of a run of 200 steps, on a terminal of 24 lines."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.local.runs.terminal import terminal

ROWS, STEPS = 24, 200
_UPWARDS = re.compile(r"(?:\x1b\[1A\x1b\[2K)+")

# 200 steps that do nothing, and three that go on until the run is stopped.
WIDE = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: wide-}
spec:
  entrypoint: main
  templates:
  - name: main
    steps:
    - - {name: bar, template: bar}
      - {name: talk, template: talk}
      - {name: again, template: again}
      - {name: each, template: nothing, withSequence: {count: "%d"}}
  - name: nothing
    container: {image: x, command: ["true"]}
  - name: bar
    container: {image: x, command: [sh, -c, 'echo "progress: 3/8"; exec sleep 600']}
  - name: talk
    container: {image: x, command: [sh, -c, 'echo one; echo the last line; exec sleep 600']}
  - name: again
    retryStrategy: {limit: 3, backoff: {duration: 10m}}
    container: {image: x, command: ["false"]}
"""


def test_the_tree_holds_to_the_terminals_height(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGOSY_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "wide.yaml").write_text(WIDE % STEPS)
    with terminal(tmp_path, "run", "wide.yaml", "--max-parallel", "4", rows=ROWS) as screen:
        while not any(int(count) >= 30 for count in re.findall(r"(\d+) Succeeded", screen.shown)):
            screen.more("30 Succeeded")
        frame = re.split(_UPWARDS, screen.raw)[-2]
        screen.press("\x03")
        assert screen.code() != 0
    redraws = [match[0].count("\x1b[1A") + 1 for match in _UPWARDS.finditer(screen.raw)]
    assert len(redraws) > 3 and max(redraws) < ROWS
    (others,) = re.findall(r"and (\d+ \w+(?:, \d+ \w+)*)", frame)
    assert sum(map(int, re.findall(r"\d+", others))) > STEPS - ROWS
    assert "38%" in frame and "the last line" in frame and re.search(r"retry in \d+", frame), frame


def test_a_long_name_leaves_room_and_a_long_loop_is_one_line_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGOSY_STATE_DIR", str(tmp_path / "state"))
    named = "{name: named, template: bar, withItems: [%s]}" % ("漢字" * 30)
    until = f"while [ ! -e {tmp_path}/go ]; do sleep 0.1; done"
    spec = WIDE.replace("{name: again, template: again}", named).replace("exec sleep 600", until)
    (tmp_path / "wide.yaml").write_text(spec % 30)
    with terminal(tmp_path, "run", "wide.yaml", "--max-parallel", "8", rows=ROWS, columns=80) as screen:
        screen.until("✔ each  ")
        screen.until("…  ")
        (tmp_path / "go").touch()
        assert screen.code() == 0
    assert re.search(r"named\(0:[漢字 ]+…  [\d.]+s  ━+  38%", screen.shown)
    assert "    ✔ 30 items Succeeded, the longest took" in screen.shown
    assert "each(29:29)   " not in screen.shown
