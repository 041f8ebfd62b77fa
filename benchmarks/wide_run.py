"""A fan-out of 1,000 programs that do nothing: what history, cache and page cost beside the programs."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.deployment import ARGOSY
from benchmarks.harness import REPEATS, Result

STEPS, LIMIT, MEMORY_LIMIT = 1000, 1.25, 1.35
PAGE_LIMIT, READY_LIMIT = 3.0, 1000.0
_READY = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
_LOG = "a line of some length, with numbers 0123456789\n" * 400
_TEMPLATE = {"name": "nothing", "container": {"image": "busybox:1.36", "command": ["true"]}}
_CALL = {"name": "each", "template": "nothing", "withSequence": {"count": str(STEPS)}}
MANIFEST = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "Workflow",
    "metadata": {"generateName": "wide-"},
    "spec": {"entrypoint": "main", "templates": [{"name": "main", "steps": [[_CALL]]}, _TEMPLATE]},
}
_BARE = """
import json, pathlib, sys
from argosy.local import NullReporter, run_manifest
manifest, folder = json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2])
given = {"parameters": {}, "run_dir": folder, "environment": {}, "reporter": NullReporter()}
assert run_manifest(manifest, **given).succeeded
"""


@dataclass(frozen=True)
class _Cost:
    """What a command and all that it started took: CPU seconds, and the largest process in MB."""

    cpu: float
    memory: float


@dataclass(frozen=True)
class _Measured:
    """Both sides, and how long the page of such a run takes; `ready` is None without a Chromium."""

    bare: _Cost
    full: _Cost
    page: float
    ready: float | None


def wide_run() -> Result:
    """CPU seconds of `argosy run --cache`, history and page included, against the runner alone.

    CPU seconds, because the programs' own starts fill the machine: the ratio is what history, cache and page
    add. Each side runs once.
    """
    found = _measured()
    full, bare = found.full.cpu, found.bare.cpu
    return Result("wide_run_1000_s", full, "s", bare, full / bare, LIMIT, "CPU")


def memory() -> Result:
    """The largest process of the same two runs."""
    found = _measured()
    full, bare = found.full.memory, found.bare.memory
    return Result(
        "wide_run_1000_mb", full, "MB", bare, full / bare, MEMORY_LIMIT, "peak of the largest process"
    )


def page_size() -> Result:
    """The page of a run of 1,000 steps that wrote 20 KB each."""
    return Result("page_1000_mb", _measured().page, "MB", limit=PAGE_LIMIT)


def page_ready() -> Result:
    """From the navigation until the page's script has run and the page answers, in headless Chromium."""
    ready = _measured().ready
    note = "" if ready is not None else "not measured: there is no Chromium"
    return Result("page_1000_ms", ready or 0.0, "ms", limit=READY_LIMIT, note=note)


# A process counts as its own peak what its parent had when it was started: so the parent is a small one.
_WATCHER = """
import os, sys
nothing = os.open(os.devnull, os.O_RDWR)
files = [(os.POSIX_SPAWN_DUP2, nothing, number) for number in (1, 2)]
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=files)
_, status, used = os.wait4(process, 0)
print('{"cpu": %f, "memory": %f}' % (used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3))
sys.exit(os.waitstatus_to_exitcode(status))
"""


@cache
def _measured() -> _Measured:
    with tempfile.TemporaryDirectory(prefix="argosy-bench-") as folder:
        file = Path(folder) / "wide.json"
        file.write_text(json.dumps(MANIFEST))
        environment = {**os.environ, "ARGOSY_STATE_DIR": f"{folder}/state"}
        bare = _cost([sys.executable, "-c", _BARE, str(file), f"{folder}/bare"], environment)
        full = _cost([ARGOSY, "run", str(file), "--cache", "--output", "json"], environment)
        (run,) = Path(folder, "state", "runs").iterdir()
        for step in (run / "steps").iterdir():
            (step / "main.log").write_text(_LOG)
        _cost([ARGOSY, "open", "last", "--no-browser"], environment)
        page = run / "page.html"
        return _Measured(bare, full, page.stat().st_size / 1e6, _ready(page, Path(folder, "browser")))


def _cost(command: list[str], environment: dict[str, str]) -> _Cost:
    watcher = [sys.executable, "-I", "-S", "-c", _WATCHER, *command]
    told = subprocess.run(watcher, env=environment, check=True, stdout=subprocess.PIPE).stdout
    return _Cost(**json.loads(told))


def _ready(page: Path, profile: Path) -> float | None:
    from tests.local.runs.browser import CHROMIUM, browsing

    if CHROMIUM is None:
        return None
    with browsing(profile) as browser:
        times = []
        for _ in range(REPEATS):
            browser.open(page.as_uri())
            times.append(float(browser.value(_READY)))
            browser.click('.row[data-step="each"] .fold')
            browser.until("document.querySelectorAll('.row').length > 10")
    return statistics.median(times)
