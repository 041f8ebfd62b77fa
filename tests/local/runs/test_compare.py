"""Two runs side by side."""

from __future__ import annotations

import json

from argosy.local.runs.describe import CODE_FILE
from tests.local.runs.conftest import GATED, Argosy, Made


def test_what_differs_is_shown_and_nothing_else(made: Made, argosy: Argosy) -> None:
    one = made(GATED, "pipe-aaaaa")
    other = made(GATED.replace("0.97", "0.96"), "pipe-bbbbb", word="two")
    (one.folder / CODE_FILE).write_text(json.dumps({"steps.py": "a = 1\nb = 2\n"}))
    (other.folder / CODE_FILE).write_text(json.dumps({"steps.py": "a = 1\nb = 3\n"}))
    found = json.loads(argosy("compare", "aaaaa", "bbbbb", "--output", "json").stdout)
    assert found["parameters"] == {"word": ["one", "two"]}
    assert found["outputs"] == {"gate.accuracy": ["0.97", "0.96"]}
    assert found["gates"]["gate: accuracy >= least"] == ["0.97 >= 0.9", "0.96 >= 0.9"]
    assert found["steps"] == {} and list(found["templates"]) == ["gate"]
    assert found["code"]["steps.py"][-2:] == ["-b = 2", "+b = 3"]
    shown = argosy("compare", "aaaaa", "bbbbb").stdout
    assert "+b = 3" in shown and "one" in shown


def test_a_run_whose_code_was_not_kept_says_so(made: Made, argosy: Argosy) -> None:
    one, _ = made(GATED, "pipe-aaaaa"), made(GATED, "pipe-bbbbb")
    (one.folder / CODE_FILE).unlink()
    assert "was not kept" in argosy("compare", "aaaaa", "bbbbb").stdout
