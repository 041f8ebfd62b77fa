"""A fan-out of 1,000 programs that do nothing: what history, cache and page cost beside the programs."""

import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.deployment import ARGOSY
from benchmarks.harness import Result

STEPS, LIMIT = 1000, 1.25
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


def wide_run() -> Result:
    """CPU seconds of `argosy run --cache`, history and page included, against the runner alone.

    CPU seconds, because the programs' own starts fill the machine: the ratio is what history, cache and page
    add. Each side runs once.
    """
    with tempfile.TemporaryDirectory(prefix="argosy-bench-") as folder:
        file = Path(folder) / "wide.json"
        file.write_text(json.dumps(MANIFEST))
        environment = {**os.environ, "ARGOSY_STATE_DIR": f"{folder}/state"}
        bare = _cpu([sys.executable, "-c", _BARE, str(file), f"{folder}/bare"], environment)
        full = _cpu([ARGOSY, "run", str(file), "--cache", "--output", "json"], environment)
        (page,) = Path(folder, "state", "runs").glob("*/page.html")
        size = page.stat().st_size / 1e6
    note = f"CPU; page of {size:.2f} MB"
    return Result("wide_run_1000_s", full, "s", bare, full / bare, LIMIT, note)


def _cpu(command: list[str], environment: dict[str, str]) -> float:
    """CPU seconds of a command and of all that it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
