"""Cold compile of the three pipelines against KFP compiling pipelines of the same shape."""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from benchmarks.harness import Result, compare, seconds

KFP = "kfp==2.17.*"
PROGRAM = Path(__file__).with_name("kfp_program.py")
OURS = """
from argosy.compose.compiler import compile
from argosy.manifest.emit import to_yaml
from argosy.compose.loader import load_pipeline
from pathlib import Path
import sys
for name in ("train-model", "deploy-model", "pipeline"):
    text = to_yaml(compile(load_pipeline(name + "-image-classification")))
    (Path(sys.argv[1]) / (name + ".yaml")).write_text(text)
"""


def kfp_python() -> Path:
    """A Python with kfp, in an environment of its own beside ours: the two do not resolve together."""
    home = Path(sys.prefix) / "share" / "argosy-test" / "kfp"
    python = home / "bin" / "python"
    if not python.exists():
        venv.create(home, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", KFP], check=True)
    return python


def cold_compile() -> Result:
    """Both in new processes, from the import to the YAML files."""
    python = kfp_python()
    with tempfile.TemporaryDirectory() as folder:
        return compare(
            "cold_compile_vs_kfp",
            lambda: seconds(lambda: subprocess.run([sys.executable, "-c", OURS, folder], check=True)),
            lambda: seconds(lambda: subprocess.run([python, PROGRAM, folder], check=True)),
            0.5,
        )
