"""How long linting takes: a manifest of 1000 tasks, in a cold process and in a warm one."""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import Result, median, seconds

TASKS = 1000
# Not getrusage: what it tells of a new process includes the peak of the one that started it.
PEAK = """
import re, sys
from pathlib import Path
from argosy.lint import lint_paths
lint_paths(sys.argv[1:])
print(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
"""

HEAD = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: chain-}
spec:
  entrypoint: main
  templates:
  - name: echo
    inputs: {parameters: [{name: text}]}
    container:
      image: python:3.11-slim
      command: [python, -m, echo]
      args: ["--text={{inputs.parameters.text}}"]
      resources: {requests: {cpu: 10m}}
    outputs: {parameters: [{name: text, valueFrom: {path: /tmp/text}}]}
  - name: main
    dag:
      tasks:
      - {name: t0, template: echo, arguments: {parameters: [{name: text, value: start}]}}
"""
TASK = """\
      - name: t{n}
        template: echo
        depends: t{before}.Succeeded
        when: "'{{{{tasks.t{before}.outputs.parameters.text}}}}' != stop"
        arguments:
          parameters:
          - name: text
            value: "{{{{tasks.t{before}.outputs.parameters.text}}}}"
"""


def chain(tasks: int = TASKS) -> str:
    """A chain in which each task has a dependency, a condition and an argument from the one before."""
    return HEAD + "".join(TASK.format(n=n, before=n - 1) for n in range(1, tasks))


def lint_1000() -> Result:
    """`argosy lint` on 1000 tasks, a new process each time; the note tells memory and the warm time."""
    from argosy.lint import lint_manifest

    text = chain()
    with tempfile.TemporaryDirectory(prefix="argosy-bench-") as folder:
        file = Path(folder) / "chain.yaml"
        file.write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "argosy.cli.main", "lint", str(file)]
        value = median(lambda: seconds(lambda: subprocess.run(command, check=True)))
        peak = int(
            subprocess.run([sys.executable, "-c", PEAK, str(file)], check=True, capture_output=True).stdout
        )
    warm = median(lambda: seconds(lambda: lint_manifest(text)))
    return Result("lint_1000_s", value, "s", limit=1.0, note=f"peak {peak // 1024} MB, warm {warm:.3f} s")
