"""What a step needs in its container goes into a zip, and runs where there is nothing else."""

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from argosy.step import runtime

USER = '''
from __future__ import annotations
from pathlib import Path
from typing import NamedTuple
import argosy
from argosy import (
    TTL, Component, Directory, File, FromConfigMap, FromField, FromSecret, Outputs, Resources, Retry,
    Schedule, Scratch, SharedMemory, Stored, Toleration, Volume, approval, compile, component,
    load_component, pipeline,
)
from argosy.errors import StepError, UsageError

other = load_component("other.yaml")
wait = approval(timeout=60)

class Fit(NamedTuple):
    score: float
    model: File

@component(
    image="python:3.9-slim", resources=Resources(cpu="1", memory="1Gi"), retry=Retry(),
    env={"KEY": FromSecret("s", "k")}, volumes=(SharedMemory("1Gi"), Scratch("/scratch")),
    tolerations=[Toleration("gpu")],
)
def fit(lr: float, names: list[str], use_other: bool = False) -> Fit:
    """Fit a model.

    Args:
        lr: the rate.
    """
    if use_other:
        other()
    Path("model").write_text(",".join(names))
    return Fit(lr * 2, Path("model"))

@pipeline(schedule=Schedule("@daily", timezone="Europe/Berlin"))
def train(lr: float = 0.1) -> None:
    fit(lr=lr, names=["a"])
    other(model="x")

if __name__ == "__main__":
    compile(train)
'''

RUN = """
import runpy, sys
sys.path[:0] = sys.argv[1:3]
sys.argv[1:3] = []
runpy.run_module("argosy.step", run_name="__main__", alter_sys=True)
"""


def interpreters() -> list[str]:
    """This one, and others that are on the path or that pyenv has, Python 3.9 among them."""
    usable = [sys.executable]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for minor in (9, 10, 12, 13, 14):
        name = f"python3.{minor}"
        for found in [*sorted(map(str, pyenv.glob(f"*/bin/{name}"))), shutil.which(name)]:
            if found and subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
                usable.append(found)
                break
    return usable


PYTHONS = interpreters()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zip of the runtime."""
    path = tmp_path_factory.mktemp("bundle") / "code.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, file in runtime.files().items():
            archive.write(file, name)
    return path


def run(python: str, bundle: Path, tmp_path: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    (tmp_path / "user").mkdir(exist_ok=True)
    (tmp_path / "user" / "model_code.py").write_text(USER)
    return subprocess.run(  # -S: no site-packages, so nothing but the standard library
        [python, "-I", "-S", "-c", RUN, str(bundle), str(tmp_path / "user"), *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"HOME": str(tmp_path)},
        check=False,
    )


@pytest.mark.parametrize("python", PYTHONS)
def test_a_step_runs_from_the_zip_alone(python: str, bundle: Path, tmp_path: Path) -> None:
    words = ("--lr=0.5", '--names=["x", "y"]', "--output-score=out/score", "--output-model=out/model")
    done = run(python, bundle, tmp_path, "model_code:fit", *words)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "score").read_text() == "1.0"
    assert (tmp_path / "out" / "model").read_text() == "x,y"


@pytest.mark.parametrize("python", PYTHONS)
def test_mistakes_are_one_line_there_too(python: str, bundle: Path, tmp_path: Path) -> None:
    done = run(python, bundle, tmp_path, "model_code:fit", "--lr=much", "--names=[]")
    assert (done.returncode, done.stderr) == (2, "fit: --lr: 'much' is not a finite number\n")
    told = run(python, bundle, tmp_path, "model_code:fit", "--help")
    assert (told.returncode, "lr: the rate." in told.stdout) == (0, True)


def test_what_a_container_does_not_have_says_so_when_a_step_uses_it(bundle: Path, tmp_path: Path) -> None:
    done = run(sys.executable, bundle, tmp_path, "model_code:fit", "--lr=1", "--names=[]", "--use-other=true")
    line = "fit: argosy.load_component() is not in this container, where only a step runs\n"
    assert (done.returncode, done.stderr) == (1, line)


def test_a_declaration_that_this_python_cannot_read_says_so_there_too(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "user").mkdir()
    untyped = "from argosy import component\n\n@component(image='x:1')\ndef fit(lr) -> None: ...\n"
    (tmp_path / "user" / "untyped.py").write_text(untyped)
    done = run(sys.executable, bundle, tmp_path, "untyped:fit", "--lr=1")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith(
        "untyped.py:3: fit(): input 'lr' has no type; write 'lr: str', or another type"
    )


@pytest.mark.parametrize("name", runtime.files())
def test_its_files_are_written_for_python_3_9(name: str) -> None:
    tree = ast.parse(runtime.files()[name].read_text(), feature_version=(3, 9))
    ahead = [n.names[0].name for n in tree.body if isinstance(n, ast.ImportFrom) and n.module == "__future__"]
    says_little = all(isinstance(node, ast.Expr) for node in tree.body)
    assert ahead == ["annotations"] or says_little


@pytest.mark.parametrize("name", [name for name in runtime.files() if "/step/" in name])
def test_the_package_imports_itself_and_the_standard_library_only(name: str) -> None:
    for node in ast.walk(ast.parse(runtime.files()[name].read_text())):
        modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for module in modules:
            known = module.partition(".")[0] in sys.stdlib_module_names or module == "__future__"
            assert known or (module + ".").startswith("argosy.step."), f"{name} imports {module}"


def test_the_list_of_modules_is_what_an_import_loads() -> None:
    code = (
        "import sys, argosy, argosy.declare.library, argosy.step.program\n"
        "print(*sorted(m for m in sys.modules if m.startswith('argosy')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert {m for m in loaded if not m.startswith("argosy.step")} == set(runtime.MODULES)
