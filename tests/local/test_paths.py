"""Declared paths move below the step's folder; nothing else does."""

from __future__ import annotations

from pathlib import Path

import pytest

from argosy.local.paths import PathMap

PATHS = PathMap(["/tmp/out", "/tmp/out/model.onnx", "/data/"], Path("/R"), Path("/W"))


@pytest.mark.parametrize(
    ("literal", "expected"),
    [
        ("/tmp/out", "/R/tmp/out"),
        ("--path=/tmp/out/x", "--path=/R/tmp/out/x"),
        ("cp /tmp/out/model.onnx '/data'", "cp /R/tmp/out/model.onnx '/R/data'"),
        ("wrote /tmp/out.", "wrote /R/tmp/out."),
        ("/tmp/out:/data", "/R/tmp/out:/R/data"),
        ("open('/data/a.txt')", "open('/R/data/a.txt')"),
        ("/tmp/output", "/tmp/output"),
        ("/tmp/out.txt", "/tmp/out.txt"),
        ("/tmp/out-2", "/tmp/out-2"),
        ("/my/data", "/my/data"),
        ("http://host/data", "http://host/data"),
        ("/tmp", "/tmp"),
    ],
)
def test_literals(literal: str, expected: str) -> None:
    assert PATHS.rewrite(literal, False, False) == expected


def test_a_value_beside_a_path_makes_it_another_path() -> None:
    assert PATHS.rewrite("/data", True, False) == "/data"
    assert PATHS.rewrite("/data", False, True) == "/data"


def test_relative_paths_are_below_the_working_directory() -> None:
    assert PATHS.place("out/x") == Path("/W/out/x")
