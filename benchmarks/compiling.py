"""How long compiling takes: the three pipelines in a cold process, long chains against Hera."""

import subprocess
import sys

from benchmarks.harness import Result, compare, median, seconds

COLD = """
import sys
from argosy.compiler import compile, KINDS
from argosy.emit import to_yaml
from argosy.loader import built_in_names, load_pipeline
texts = [to_yaml(compile(load_pipeline(n))) for n in built_in_names()]
heavy = {'torch', 'mlflow', 'boto3', 'onnx', 'numpy'} & set(sys.modules)
assert len(texts) == 3 and not heavy, heavy
"""


def import_and_compile() -> Result:
    """Import all pipelines and compile the three, in a new process each time."""
    command = [sys.executable, "-c", COLD]
    value = median(lambda: seconds(lambda: subprocess.run(command, check=True)))
    start = median(lambda: seconds(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True)))
    return Result("import_and_compile_s", value, "s", limit=1.0, note=f"of which Python itself {start:.3f} s")


def _against_hera(tasks: int, limit: float) -> Result:
    from benchmarks.chains import argosy_chain, hera_chain

    return compare(
        f"compile_{tasks}_vs_hera",
        lambda: seconds(lambda: argosy_chain(tasks)),
        lambda: seconds(lambda: hera_chain(tasks)),
        limit,
    )


def compile_1000() -> Result:
    """A chain of 1000 tasks, composed and written as YAML."""
    return _against_hera(1000, 0.5)


def compile_5000() -> Result:
    """A chain of 5000 tasks, composed and written as YAML."""
    return _against_hera(5000, 0.4)
