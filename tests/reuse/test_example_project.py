"""A project of somebody else's, with a `components/` folder of its own, on the built wheel."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest


class Project:
    """A copy of the example, with an environment that holds the wheel and the project."""

    def __init__(self, folder: Path, python: Path) -> None:
        self.folder, self.python = folder, python

    def argosy(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `argosy` in the project's folder."""
        own = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        own["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), own["PATH"]])
        command = [str(self.python), "-m", "argosy.cli.main", *words]
        return subprocess.run(command, cwd=self.folder, env=own, capture_output=True, text=True, check=False)


def install(python: Path, *what: str) -> None:
    command = [sys.executable, "-m", "pip", f"--python={python}", "install", "--quiet", "--no-deps"]
    done = subprocess.run(
        [*command, "--no-build-isolation", "--no-index", *what], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def project(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    base = tmp_path_factory.mktemp("project")
    source = base / "argosy"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(repository / "src", source / "src", ignore=ignored)  # what its links lead to
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, source / name)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(base), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    shutil.copytree(repository / "examples" / "component-library", base / "mine")
    venv.create(base / "venv", with_pip=False)
    python = base / "venv" / "bin" / "python"
    # The environment of the tests provides the dependencies; its own Argosy, an editable one, stays unseen.
    site = sysconfig.get_path("purelib", vars={"base": str(base / "venv")})
    others = [p for p in sys.path if p.endswith("site-packages")]
    Path(site, "dependencies.pth").write_text("\n".join(others) + "\n")
    # So does its Triton, which is large.
    (base / "venv" / "share").mkdir()
    shared = Path(sys.prefix) / "share" / "argosy"
    shared.mkdir(parents=True, exist_ok=True)
    (base / "venv" / "share" / "argosy").symlink_to(shared)
    install(python, str(next(base.glob("argosy-*.whl"))))
    install(python, str(base / "mine"))
    shutil.rmtree(base / "mine" / "build", ignore_errors=True)
    found = Project(base / "mine", python)
    yield found
    found.argosy("down")


def test_the_wheel_is_what_it_runs_on(project: Project) -> None:
    code = "import argosy, components.linear_model as c; print(argosy.__file__); print(c.__file__)"
    done = subprocess.run(
        [project.python, "-c", code], cwd=project.folder.parent, capture_output=True, text=True, check=True
    )
    assert all(line.startswith(str(project.python.parent.parent)) for line in done.stdout.split())


def test_it_compiles_to_what_is_committed(project: Project) -> None:
    done = project.argosy("compile", "publish.py", "-o", "compiled", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_runs_on_one_machine(project: Project) -> None:
    done = project.argosy("run", "publish.py", "-p", "weights=[2, -1]", "--output", "json")
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout)
    assert result["phase"] == "Succeeded"
    steps = {n["name"]: n for n in result["nodes"] if n["type"] == "Container"}
    assert list(steps) == ["linear-model", "determine-version", "prepare-artifacts", "upload-to-s3"]
    uri = steps["upload-to-s3"]["outputs"]["parameters"]
    assert uri == {"model-uri": "s3://my-triton-models/models/linear/1/"}


def test_what_is_wrong_with_the_input_is_one_line(project: Project) -> None:
    done = project.argosy("run", "publish.py", "-p", "wieghts=[1]")
    assert done.returncode == 2
    assert "wieghts" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
