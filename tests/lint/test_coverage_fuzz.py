"""A short run of the coverage-guided fuzzer, where atheris is installed."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_coverage_guided_fuzzing_finds_no_traceback(repository: Path, tmp_path: Path) -> None:
    words = ["-max_total_time=10", "-max_len=4000", "-timeout=10", f"-artifact_prefix={tmp_path}/"]
    command = [sys.executable, "-m", "tests.lint.coverage_fuzz", *words]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
