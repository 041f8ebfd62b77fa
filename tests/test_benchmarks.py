"""A benchmark that is ended ends what it started."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# A command that stops its servers when it is asked to, which takes a moment, and leaves them if it is killed.
COMMAND = """
import pathlib, signal, sys, time
place = pathlib.Path(sys.argv[1])
def end(*_):
    time.sleep(1)
    (place / "stopped").touch()
    sys.exit(1)
signal.signal(signal.SIGTERM, end)
(place / "begun").touch()
time.sleep(60)
"""
PROGRAM = f"""
import pathlib, runpy, subprocess, sys, types
place, command = pathlib.Path(sys.argv[1]), {COMMAND!r}
def figure():
    try:
        subprocess.run([sys.executable, "-c", command, str(place)], check=True)
    finally:
        (place / "down").touch()
sys.modules["benchmarks.gates"] = types.SimpleNamespace(gate2_100=lambda *_: figure())
sys.argv[1:] = ["gate2_100_s"]
runpy.run_module("benchmarks", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_what_a_benchmark_started_is_ended_in_order(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)], cwd=ROOT) as process:
        while not (tmp_path / "begun").exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(number)
        time.sleep(0.3)
        process.send_signal(number)  # an impatient user's
        assert process.wait(30) == 128 + number
    assert sorted(file.name for file in tmp_path.iterdir()) == ["begun", "down", "stopped"]
