"""How long compiling takes: the pipelines in a cold process, chains and fan-outs against Hera and Couler."""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import Result, compare, median, seconds

COLD = """
import sys
from argosy.compose.compiler import compile
from argosy.manifest.emit import to_yaml
from argosy.compose.loader import built_in_names, load_pipeline
texts = [to_yaml(compile(load_pipeline(n))) for n in built_in_names()]
heavy = {'torch', 'mlflow', 'boto3', 'onnx', 'numpy'} & set(sys.modules)
assert len(texts) >= 3 and not heavy, heavy
"""
PROJECT = """
from argosy import component, pipeline
import shop.words

@component(image="python:3.11-slim"{code})
def greet(who: str) -> None:
    \"\"\"Greet somebody.\"\"\"
    print(shop.words.HELLO, who)

@pipeline
def hello(who: str = "world"):
    greet(who=who)
"""
# Tasks: at most so much of Hera's time.
LIMITS = {10: None, 100: None, 1000: 0.2, 5000: 0.15}


def import_and_compile() -> Result:
    """Import all pipelines and compile them, in a new process each time."""
    command = [sys.executable, "-c", COLD]
    value = median(lambda: seconds(lambda: subprocess.run(command, check=True)))
    start = median(lambda: seconds(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True)))
    return Result("import_and_compile_s", value, "s", limit=1.0, note=f"of which Python itself {start:.3f} s")


def chain(tasks: int) -> Result:
    """A chain, composed and written as YAML, against Hera."""
    from benchmarks.chains import argosy_chain, hera_chain

    return compare(
        f"compile_{tasks}_vs_hera",
        lambda: seconds(lambda: argosy_chain(tasks)),
        lambda: seconds(lambda: hera_chain(tasks)),
        LIMITS[tasks],
    )


def fan_out(tasks: int) -> Result:
    """A fan-out, composed and written as YAML, against Hera."""
    from benchmarks.chains import argosy_fan_out, hera_fan_out

    return compare(
        f"fan_out_{tasks}_vs_hera",
        lambda: seconds(lambda: argosy_fan_out(tasks)),
        lambda: seconds(lambda: hera_fan_out(tasks)),
        LIMITS[tasks],
    )


def against_couler(tasks: int) -> Result:
    """A chain against Couler alone, with its own serialiser."""
    from benchmarks.chains import argosy_chain, couler_chain

    return compare(
        f"compile_{tasks}_vs_couler",
        lambda: seconds(lambda: argosy_chain(tasks)),
        lambda: seconds(lambda: couler_chain(tasks)),
    )


def growth() -> Result:
    """How the time of a chain grows from 1000 to 5000 tasks: 1 is linear."""
    from benchmarks.chains import argosy_chain

    small = median(lambda: seconds(lambda: argosy_chain(1000)))
    large = median(lambda: seconds(lambda: argosy_chain(5000)))
    return Result("compile_growth", large / small / 5, "x", limit=1.5, note="time a task at 5000 over 1000")


def with_bundle() -> Result:
    """`argosy compile -o` of a project whose code travels, against the same whose image holds it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "shop").mkdir()
        (root / "shop" / "__init__.py").touch()
        # A module of an ordinary project's size.
        (root / "shop" / "words.py").write_text("HELLO = 'hello'\n" + "def f(): return 1\n" * 5000)
        (root / "travels.py").write_text(PROJECT.format(code=""))
        (root / "stays.py").write_text(PROJECT.format(code=', code="image"'))

        def compiled(file: str) -> float:
            command = [sys.executable, "-m", "argosy.cli.main", "compile", file, "-o", "out"]
            return seconds(lambda: subprocess.run(command, cwd=root, check=True, capture_output=True))

        return compare(
            "compile_bundle_vs_without", lambda: compiled("travels.py"), lambda: compiled("stays.py"), 1.3
        )
