"""The Dockerfiles, as text: what their builds rely on and what their containers may do."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from argosy.components import images
from argosy.components.training.tracking import metrics

DOCKERFILES = ["triton-training-tools", "mlops-deployment-tools"]


def instructions(repository: Path, image: str) -> list[tuple[str, str]]:
    """(instruction, its arguments) of a Dockerfile; continued lines joined, comments dropped."""
    text = (repository / "containers" / image / "Dockerfile").read_text()
    lines = re.sub(r"^\s*#.*\n", "", text, flags=re.M).replace("\\\n", " ").splitlines()
    words = [line.split(None, 1) for line in lines if line.strip()]
    return [(first, re.sub(r"\s+", " ", rest)) for first, rest in words]


def of_kind(steps: list[tuple[str, str]], kind: str) -> list[str]:
    """The arguments of all instructions of one kind."""
    return [arguments for instruction, arguments in steps if instruction == kind]


def test_every_image_that_steps_name_is_built_here(repository: Path, lock: ModuleType) -> None:
    named = {images.TRAINING_TOOLS, images.DEPLOYMENT_TOOLS}
    folders = {file.parent.name for file in (repository / "containers").glob("*/Dockerfile")}
    assert {name.removeprefix(f"{images.REGISTRY}/").partition(":")[0] for name in named} == folders
    assert folders == set(DOCKERFILES) == set(lock.EXTRA_OF_IMAGE)


@pytest.mark.parametrize("image", DOCKERFILES)
class TestDockerfile:
    """What holds for each of them."""

    def test_the_wheel_is_installed_with_its_extra_and_no_index(
        self, repository: Path, lock: ModuleType, image: str
    ) -> None:
        installs = [
            step for step in of_kind(instructions(repository, image), "RUN") if "argosy-*.whl" in step
        ]
        assert len(installs) == 1
        assert f".whl)[{lock.EXTRA_OF_IMAGE[image]}]" in installs[0]
        assert "--no-index" in installs[0] and "pip check" in installs[0]

    def test_dependencies_come_before_the_wheel(self, repository: Path, image: str) -> None:
        copies = of_kind(instructions(repository, image), "COPY")
        own = copies.index(f"containers/{image}/requirements.txt /opt/argosy/")
        assert own < copies.index("--from=wheel /dist/ /opt/argosy/")

    def test_no_package_cache_is_kept(self, repository: Path, image: str) -> None:
        runs = of_kind(instructions(repository, image), "RUN")
        pips = [run for run in runs if re.search(r"\bpip (install|wheel)", run)]
        assert len(pips) == 4 and all("--no-cache-dir" in run for run in pips)

    def test_the_base_is_named_with_a_version(self, repository: Path, image: str) -> None:
        bases = of_kind(instructions(repository, image), "FROM")
        assert [base.partition(" ")[0] for base in bases] == ["python:3.11-slim", "python:3.11-slim"]

    def test_it_runs_as_a_user_without_rights(self, repository: Path, image: str) -> None:
        steps = instructions(repository, image)
        assert of_kind(steps, "USER") == ["10001:10001"]
        after = steps[steps.index(("USER", "10001:10001")) :]
        assert not {kind for kind, _ in after} & {"RUN", "COPY", "ADD"}

    def test_it_writes_to_tmp_alone(self, repository: Path, image: str) -> None:
        steps = instructions(repository, image)
        settings = " ".join(of_kind(steps, "ENV")).split()
        assert {"HOME=/tmp", "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"} <= set(settings)
        assert of_kind(steps, "WORKDIR")[-1] == "/tmp"

    def test_a_run_can_tell_its_code_and_image(self, repository: Path, image: str) -> None:
        steps = instructions(repository, image)
        assert {"REVISION=unknown", f"IMAGE={image}"} <= set(of_kind(steps, "ARG"))
        told = {f'{metrics.COMMIT}="$REVISION"', f'{metrics.IMAGE}="$IMAGE"'}
        assert told <= set(" ".join(of_kind(steps, "ENV")).split())

    def test_the_workflow_gives_the_command(self, repository: Path, image: str) -> None:
        kinds = {kind for kind, _ in instructions(repository, image)}
        assert not kinds & {"ENTRYPOINT", "CMD", "ADD"}

    def test_labels_say_what_it_is(self, repository: Path, image: str) -> None:
        labels = " ".join(of_kind(instructions(repository, image), "LABEL"))
        keys = set(re.findall(r"org\.opencontainers\.image\.([a-z.]+)=", labels))
        assert keys == {"title", "description", "base.name", "version", "revision"}
        assert f'title="{image}"' in labels


def test_both_build_the_same_wheel(repository: Path) -> None:
    """One stage for both: the second build finds it in the cache."""
    stages = []
    for image in DOCKERFILES:
        steps = instructions(repository, image)
        second = [number for number, (kind, _) in enumerate(steps) if kind == "FROM"][1]
        stages.append(steps[:second])
    assert stages[0] == stages[1]


def test_what_is_copied_makes_the_wheel(repository: Path, tmp_path: Path) -> None:
    allowed = set((repository / ".dockerignore").read_text().split())
    steps = instructions(repository, DOCKERFILES[0])
    stage = steps[: [number for number, (kind, _) in enumerate(steps) if kind == "FROM"][1]]
    for name in {word for copy in of_kind(stage, "COPY") for word in copy.split()[:-1]}:
        assert f"!{name}" in allowed
        if (repository / name).is_dir():
            shutil.copytree(repository / name, tmp_path / name, symlinks=True)
        else:
            shutil.copy(repository / name, tmp_path)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "-w", tmp_path / "dist", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    (wheel,) = (tmp_path / "dist").iterdir()
    names = zipfile.ZipFile(wheel).namelist()
    assert {"argosy/components/images.py", "argosy/pipelines/prune_versions.py"} <= set(names)
