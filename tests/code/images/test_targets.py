"""What `argosy build` takes for a target: the layout of a project decides which steps it finds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

STEP = """
from argosy import component

@component(image="python:3.11-slim")
def {name}() -> None:
    'Do it.'
"""
FLOW = """
from argosy import pipeline
from pkg.steps import one

@pipeline
def {name}() -> None:
    'Call it.'
    one()
    {last}
"""


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def argosy(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ARGOSY_", "PYTHONPATH"))}
    command = [sys.executable, "-P", "-m", "argosy", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def built(folder: Path, *targets: str) -> list[str]:
    """The files of the project that an image of these targets has."""
    done = argosy(folder, "build", *targets, "--dockerfile", "made")
    assert done.returncode == 0, done.stderr
    code = folder / "made" / "code"
    return sorted(p.relative_to(code).as_posix() for p in code.rglob("*") if p.is_file())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose pipelines import their components from a package."""
    files = {
        "pyproject.toml": "",
        "pkg/__init__.py": "",
        "pkg/steps.py": STEP.format(name="one"),
        "flows/nightly.py": FLOW.format(name="nightly", last=""),
        "flows/own.py": FLOW.format(name="own", last="two()") + STEP.format(name="two"),
        "flows/again.py": "from flows.nightly import nightly\n",
    }
    write(tmp_path, files)
    return tmp_path


@pytest.mark.parametrize(
    "target", ["flows/nightly.py", "flows.nightly", "flows/again.py", "flows/nightly.py:nightly"]
)
def test_a_file_of_pipelines_gets_an_image_of_the_components_that_it_imports(
    project: Path, target: str
) -> None:
    assert built(project, target) == ["pkg/__init__.py", "pkg/steps.py"]


@pytest.mark.parametrize("target", ["flows/own.py", "flows.own", "flows"])
def test_its_own_components_are_in_it_too(project: Path, target: str) -> None:
    assert {"flows/own.py", "pkg/steps.py"} <= set(built(project, target))


@pytest.mark.parametrize("target", ["flows/broken.py", "flows.broken:broken"])
def test_an_error_in_a_pipelines_program_is_one_line(project: Path, target: str) -> None:
    write(project, {"flows/broken.py": FLOW.format(name="broken", last="1 / 0")})
    done = argosy(project, "build", target, "--dockerfile", "made")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "argosy: flows/broken.py:9: ZeroDivisionError: division by zero\n"


def test_a_module_that_declares_neither_is_one_line(project: Path) -> None:
    done = argosy(project, "build", "pkg/__init__.py", "flows.empty", "--dockerfile", "made")
    assert done.returncode == 2 and "there is no module, folder or file 'flows.empty'" in done.stderr
    write(project, {"flows/empty.py": "x = 1\n"})
    done = argosy(project, "build", "flows.empty", "--dockerfile", "made")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "'flows.empty' declares no component and no pipeline" in done.stderr


@pytest.fixture
def absolute(tmp_path: Path) -> Path:
    """A project whose modules import each other absolutely, with what is left over in such folders."""
    step = STEP.format(name="one") + "from pkg import rates\n"
    files = {"pyproject.toml": "", "pkg/__init__.py": "", "pkg/steps.py": step, "pkg/rates.py": "X = 1\n"}
    copy = {f"{place}/{n}": t for place in ("build/lib", "d.14830/code", "venv") for n, t in files.items()}
    left = {"d.14830/steps.py": step, "pkg/d.14830/steps.py": step, "venv/pyvenv.cfg": ""}
    write(tmp_path / "bm", {**files, **copy, **left})
    return tmp_path / "bm"


@pytest.mark.parametrize("target", [".", "pkg", "../bm", "pkg/steps.py"])
def test_the_modules_of_a_folder_have_the_names_that_their_project_gives_them(
    absolute: Path, target: str
) -> None:
    built(absolute, target)
    assert {"pkg/__init__.py", "pkg/rates.py", "pkg/steps.py"} <= set(
        built(absolute, target)
    )  # copies are there
    done = argosy(absolute, "components", "--module", target)
    assert (done.returncode, done.stdout.count("one")) == (0, 1), done.stderr
    done = argosy(absolute, "export", "library", target)
    assert done.returncode == 0 and "pkg.steps:one" in done.stdout, done.stderr


def test_a_folder_is_the_same_from_wherever_it_is_named(absolute: Path) -> None:
    words = ("export", "library")
    inside, outside = argosy(absolute, *words, "."), argosy(absolute.parent, *words, "bm")
    assert (inside.returncode, inside.stderr) == (0, outside.stderr)
    assert inside.stdout == outside.stdout and "\n  name: bm\n" in inside.stdout
    done = argosy(absolute.parent, "build", "bm", "--dockerfile", "made")
    assert done.returncode == 0 and (absolute.parent / "made/code/pkg/rates.py").is_file(), done.stderr


@pytest.mark.parametrize("target", ["pkg/near.py", "pkg.near"])
def test_a_file_that_imports_from_its_package_is_a_module_of_it(project: Path, target: str) -> None:
    write(project, {"pkg/near.py": STEP.format(name="two") + "from . import rates\n", "pkg/rates.py": ""})
    assert {"pkg/near.py", "pkg/rates.py"} <= set(built(project, target))
