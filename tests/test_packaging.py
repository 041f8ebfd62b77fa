"""What is shipped: every package, light imports, a wheel that installs and type-checks."""

import configparser
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

HEAVY = ("torch", "mlflow", "boto3", "onnx", "onnxruntime", "numpy", "sklearn", "tritonclient")
ROOTS = {"argosy": "argosy", "argosy.components": "components", "argosy.pipelines": "pipelines"}


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
    assert listed_packages(repository) == found


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
        "argosy/components/training/config.yaml",
        "argosy/components/deployment/upload_to_s3.py",
        "argosy/pipelines/compiled/pipeline-image-classification.yaml",
        "argosy/stack/triton_backend/model.py",
        "argosy/stack/triton_backend/requirements.txt",
    ):
        assert name in names
    assert not [n for n in names if n.startswith(("components/", "pipelines/", "tests/", "benchmarks/"))]


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
    config = Path(__file__).parent.parent / "pyproject.toml"
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
