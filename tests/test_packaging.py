"""What is shipped: every package, light imports, a wheel that installs and type-checks."""

import configparser
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

HEAVY = ("torch", "mlflow", "boto3", "onnx", "onnxruntime", "numpy", "sklearn", "tritonclient")
ROOTS = {
    "argosy": "argosy",
    "argosy.components": "components",
    "argosy.pipelines": "pipelines",
    "argosy.stack": "stack",
}
WITHOUT_TORCH = """
[[tool.mypy.overrides]]
module = ["torch.*"]
follow_imports = "skip"

[[tool.mypy.overrides]]
module = ["argosy.components.*"]
disallow_untyped_decorators = false
warn_return_any = false
"""

COULER = """
import couler.argo as couler
from couler.core.templates.volume import Volume

couler.when(couler.equal("a", "b"), lambda: None)
couler.set_exit_handler(couler.WFStatus.Failed, lambda: couler.run_script(image="x", source="y"))
couler.map(lambda item: item, [1, 2])
couler.add_volume(Volume("a", "b"))
couler.when("a == b", lambda: None)
couler.set_exit_handler("Failed", lambda: None)
couler.run_container(image=3)
couler.equal()
"""


def listed_packages(repository: Path) -> set[str]:
    config = configparser.ConfigParser()
    config.read(repository / "setup.cfg")
    return set(config["options"]["packages"].split())


def test_setup_cfg_lists_every_package(repository: Path) -> None:
    found = set()
    for package, folder in ROOTS.items():
        for init in (repository / folder).rglob("__init__.py"):
            inner = init.parent.relative_to(repository / folder).parts
            found.add(".".join([package, *inner]))
    assert listed_packages(repository) == found | {"couler-stubs"}


@pytest.mark.parametrize(
    "module",
    [
        "argosy",
        "argosy.cli.main",
        "argosy.pipelines.pipeline_image_classification",
        "argosy.components.training.train",
        "argosy.components.deployment.verify_deployment",
    ],
)
def test_importing_stays_light(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({set(HEAVY)} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_a_step_does_not_load_couler() -> None:
    code = "import sys, argosy.components.training.promote; print('couler' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


USES = """
import couler.argo as couler
from argosy import component
from argosy.components.training.promote import promote

@component(image="x:1")
def fit(rate: float = 0.1) -> float:
    return rate

reveal_type(fit(rate=0.2))
fit.options(nme="x")
promote(nothing=1)
couler.when("a == b", lambda: None)
"""


def test_an_editable_install_is_seen_by_a_type_checker_and_takes_new_files_at_once(
    repository: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    for name in ("argosy", "components", "pipelines", "stack", "couler-stubs", "src"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(repository / name, source / name, symlinks=True, ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, source)
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    site = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    others = [p for p in sys.path if p.endswith("site-packages")]
    (site / "dependencies.pth").write_text("\n".join(others) + "\n")
    pip = [sys.executable, "-m", "pip", f"--python={python}", "install", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--no-index", "-e", str(source)], check=True, capture_output=True)

    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "uses.py").write_text(USES)
    check = [sys.executable, "-m", "mypy", f"--python-executable={python}", "uses.py"]
    done = subprocess.run(check, cwd=tmp_path / "mine", capture_output=True, text=True)
    told = [re.sub(r"uses.py:(\d+): (\w+): .*", r"\1 \2", line) for line in done.stdout.splitlines()]
    assert [line for line in told if line[0].isdigit() and not line.endswith("note")] == [
        "11 error",
        "12 error",
        "13 error",
    ], done.stdout
    assert 'uses.py:10: note: Revealed type is "float"' in done.stdout.replace("builtins.", "")

    for folder in ("argosy", "components/training", "pipelines"):
        (source / folder / "brand_new.py").write_text("")
    code = "import argosy.brand_new, argosy.components.training.brand_new, argosy.pipelines.brand_new as p; "
    done = subprocess.run(
        [python, "-c", code + "print(p.__file__)"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.startswith(str(source / "src")), done.stderr
    done = subprocess.run([python, "-c", "import components"], cwd=tmp_path, capture_output=True, text=True)
    assert "No module named 'components'" in done.stderr


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    out = tmp_path_factory.mktemp("wheel")
    shutil.rmtree(repository / "build" / "lib", ignore_errors=True)  # as `make wheel` does
    command = [
        sys.executable,
        "-m",
        "build",
        "--wheel",
        "--no-isolation",
        "--outdir",
        str(out),
        str(repository),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return next(out.glob("argosy-*.whl"))


def test_the_wheel_holds_what_it_should(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for name in (
        "argosy/py.typed",
        "couler-stubs/argo.pyi",
        "couler-stubs/py.typed",
        "argosy/components/training/config.yaml",
        "argosy/components/deployment/upload_to_s3.py",
        "argosy/pipelines/compiled/pipeline-image-classification.yaml",
        "argosy/stack/triton_backend/model.py",
        "argosy/stack/triton_backend/requirements.txt",
    ):
        assert name in names
    outside = ("components/", "pipelines/", "stack/", "tests/", "benchmarks/")
    assert not [name for name in names if name.startswith(outside)]


def test_the_wheel_installs_beside_a_users_own_components_and_type_checks(
    wheel: Path, tmp_path: Path
) -> None:
    # The environment of the tests provides the dependencies, the new one only the wheel.
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    site = next((tmp_path / "venv" / "lib").glob("python*")) / "site-packages"
    zipfile.ZipFile(wheel).extractall(site)
    (site / "dependencies.pth").write_text(
        "\n".join(p for p in sys.path if p.endswith("site-packages")) + "\n"
    )
    (tmp_path / "components").mkdir()
    (tmp_path / "components" / "__init__.py").write_text("MINE = True\n")
    code = (
        "import components, argosy.components.images as images, argosy; "
        "assert components.MINE; print(images.__file__)"
    )
    done = subprocess.run([python, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(site))
    # PyTorch's own types take half of the time, and `make check` has them.
    config = tmp_path / "pyproject.toml"
    config.write_text((Path(__file__).parent.parent / "pyproject.toml").read_text() + WITHOUT_TORCH)
    check = [
        sys.executable,
        "-m",
        "mypy",
        f"--python-executable={python}",
        f"--config-file={config}",
        "-p",
        "argosy",
    ]
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    (tmp_path / "user_program.py").write_text(COULER)
    check[-2:] = ["user_program.py"]
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=False)
    told = {line.split(":")[1] for line in done.stdout.splitlines() if ": error:" in line}
    assert told == {"9", "10", "11", "12"}, done.stdout
