"""Argosy's own two images by `argosy build`: cold, and with a line changed; against podman where it is.

The base is a small stand-in for `python:3.11-slim`: no registry that has the real one is needed.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from benchmarks.building import registry
from benchmarks.harness import REPEATS, Result, processor_seconds, seconds

_REPOSITORY = Path(__file__).parent.parent
# What the Dockerfiles copy, and they themselves.
_COPIED = ("argosy", "components", "pipelines", "stack", "couler-stubs", "src", "containers")
_FILES = ("constraints.txt", "setup.cfg", "pyproject.toml", "README.md")


@dataclass(frozen=True)
class _Own:
    """One of the images, and a file of its steps that changes."""

    image: str
    components: str
    changed: str


_IMAGES = {
    "deployment": _Own("mlops-deployment-tools", "argosy.components.deployment", "determine_version.py"),
    "training": _Own("triton-training-tools", "argosy.components.training", "__init__.py"),
}


def cold(which: str) -> Result:
    """Wall seconds of a first build: no package and no layer is here, and the registry has the base alone."""
    return _result(f"image_{which}_cold_s", which, lambda measured: measured.cold)


def changed(which: str) -> Result:
    """Wall seconds of a build after one line of a step changed."""
    return _result(f"image_{which}_changed_s", which, lambda measured: measured.changed)


@dataclass(frozen=True)
class _Cost:
    """Seconds, processor seconds and bytes sent of a build; podman's seconds where there is one."""

    seconds: float
    used: float
    sent: float
    podman: float | None


@dataclass(frozen=True)
class _Measured:
    """Both costs of one image, from one run."""

    cold: _Cost
    changed: _Cost


def _result(name: str, which: str, chosen: Callable[[_Measured], _Cost]) -> Result:
    if not shutil.which("docker-registry"):
        return Result(name, 0.0, "s", note="skipped: no registry")
    cost = chosen(_measured(which))
    sent = f"{cost.used:.1f} s of processor time, {cost.sent / 1e6:.3g} MB sent"
    if cost.podman is None:
        return Result(name, cost.seconds, "s", note=f"({sent}; no podman to compare with)")
    return Result(name, cost.seconds, "s", cost.podman, cost.seconds / cost.podman, note=f"({sent})")


@cache
def _measured(which: str) -> _Measured:
    own = _IMAGES[which]
    with _place() as place:
        sent: list[int] = []
        start = processor_seconds()
        first = seconds(lambda: sent.append(place.build(own)))
        between = processor_seconds()
        times = []
        for number in range(REPEATS):
            place.change(own, number)
            times.append(seconds(lambda: sent.append(place.build(own))))
        used = (processor_seconds() - between) / REPEATS
        theirs = place.podman(own) or (None, None)
    return _Measured(
        _Cost(first, between - start, sent[0], theirs[0]),
        _Cost(statistics.median(times), used, statistics.median(sent[1:]), theirs[1]),
    )


@dataclass(frozen=True)
class _Place:
    """A copy of the repository, caches of its own, and a registry.

    Attributes:
        tree: the copy.
        host: the registry.
        base: an image in it.
        work: a folder for everything else.
    """

    tree: Path
    host: str
    base: str
    work: Path

    def build(self, own: _Own) -> int:
        """Build an image with the code of the copy; returns how many bytes were sent."""
        listed = self.tree / "containers" / own.image / "requirements.txt"
        words = [own.components, "--base", self.base, "-r", listed, "--name", own.image]
        words += ["--push", f"{self.host}/own/", "--format", "json"]
        done = subprocess.run(
            [sys.executable, "-m", "argosy", "build", *words],
            cwd=self.work,
            env={
                **os.environ,
                "PYTHONPATH": str(self.tree / "src"),
                "UV_CACHE_DIR": str(self.work / "uv"),
                "XDG_CACHE_HOME": str(self.work / "cache"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return int(json.loads(done.stdout)[0]["sent"])

    def change(self, own: _Own, number: int) -> None:
        """Change a line of one of its steps' modules."""
        file = self.tree / own.components.removeprefix("argosy.").replace(".", "/") / own.changed
        lines = [line for line in file.read_text().splitlines() if not line.startswith("_CHANGED")]
        file.write_text("\n".join([*lines, f"_CHANGED = {number}", ""]))

    def podman(self, own: _Own) -> tuple[float, float] | None:
        """Seconds of `podman build` of the Dockerfile, cold and after a change; None where it is not."""
        if not (shutil.which("podman") and shutil.which("mmdebstrap")):
            return None
        from tests.containers.engine import Engine
        from tests.containers.pip_settings import PipSettings

        settings = PipSettings.of_this_machine()
        engine = Engine.start(self.work / "podman", dict(os.environ))
        try:
            engine.make_base_image()
            first = seconds(lambda: engine.build(self.tree, own.image, settings))
            self.change(own, REPEATS)
            return first, seconds(lambda: engine.build(self.tree, own.image, settings))
        finally:
            engine.remove()


@contextmanager
def _place() -> Iterator[_Place]:
    with tempfile.TemporaryDirectory(prefix="argosy-bench-") as name, registry(Path(name)) as (host, base):
        tree, work = Path(name) / "tree", Path(name) / "work"
        work.mkdir()
        left_out = shutil.ignore_patterns("__pycache__", "*.egg-info")
        for folder in _COPIED:
            shutil.copytree(_REPOSITORY / folder, tree / folder, symlinks=True, ignore=left_out)
        for file in _FILES:
            shutil.copy(_REPOSITORY / file, tree / file)
        yield _Place(tree, host, base, work)
