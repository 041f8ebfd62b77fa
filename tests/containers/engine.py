"""Podman with a store of its own: what a test builds never mixes with the images of this machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from tests.containers.pip_settings import PipSettings

BASE_IMAGE = "docker.io/library/python:3.11-slim"
STAND_IN = Path(__file__).parent / "base_image.sh"
# No systemd is asked for anything: the machine may have none, as inside another container.
CONTAINERS_CONF = """\
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=16384:16384"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
# What the pods of the workflows are given, and less: no network either.
CONFINED = (
    "--rm",
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--user=10001",
    "--tmpfs=/tmp",
    "--network=none",
)


class EngineError(Exception):
    """Podman, or a program beside it, failed; the message ends with the last lines it wrote."""


def call(command: list[str], environment: dict[str, str]) -> str:
    """The standard output of a program.

    Raises:
        EngineError: it exited with another code than 0.
    """
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-30:])
        raise EngineError(f"{' '.join(command)} exited with {done.returncode}:\n{tail}")
    return done.stdout


@dataclass(frozen=True)
class Engine:
    """Podman on the folder `store`, and `running` for its containers; its processes see `environment`."""

    store: Path
    environment: dict[str, str] = field(repr=False)
    running: Path

    @classmethod
    def start(cls, store: Path, environment: dict[str, str]) -> Engine:
        """Make the store, with a configuration that needs neither systemd nor a login session."""
        store.mkdir(parents=True)
        runtime = f'runtime = "{runc}"\n' if (runc := shutil.which("runc")) else ""
        (store / "containers.conf").write_text(CONTAINERS_CONF + runtime)
        own = {**environment, "CONTAINERS_CONF": str(store / "containers.conf")}
        # By variables, not options: so whatever calls podman itself, as argosy does, has this store too.
        running = Path(tempfile.mkdtemp(prefix="podman-"))  # podman takes no more than 50 characters
        probe = ["--root", str(store / "probe"), "--runroot", str(running / "probe")]
        driver = call(["podman", *probe, "info", "--format", "{{.Store.GraphDriverName}}"], own).strip()
        places = {"driver": driver, "graphroot": str(store / "graph"), "runroot": str(running / "run")}
        lines = [f'{name} = "{value}"' for name, value in places.items()]
        (store / "storage.conf").write_text("\n".join(["[storage]", *lines, ""]))
        return cls(store, {**own, "CONTAINERS_STORAGE_CONF": str(store / "storage.conf")}, running)

    def podman(self, *arguments: str) -> str:
        """Standard output of a podman command.

        Raises:
            EngineError: the command failed.
        """
        return call(["podman", *arguments], self.environment)

    def make_base_image(self) -> None:
        """Put the stand-in for python:3.11-slim into the store, under the name that the Dockerfiles use.

        Raises:
            EngineError: it cannot be made on this machine.
        """
        archive = self.store / "base.tar"
        call(["bash", str(STAND_IN), sys.executable, str(archive)], self.environment)
        path = "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
        self.podman("import", "--change", path, str(archive), BASE_IMAGE)
        archive.unlink()

    def build(self, repository: Path, name: str, settings: PipSettings, **arguments: str) -> None:
        """Build the image that `containers/NAME/Dockerfile` describes, with the pip settings of this machine.

        Raises:
            EngineError: the build failed.
        """
        mounts = [f"--volume={source}:{target}:ro" for source, target in settings.mounts(self.store)]
        values = [f"--build-arg={key}={value}" for key, value in arguments.items()]
        file = f"--file={repository / 'containers' / name / 'Dockerfile'}"
        fixed = ["--pull=never", "--network=host", f"--tag={name}", file]
        self.podman("build", *fixed, *mounts, *values, str(repository))

    def run(self, image: str, *command: str) -> str:
        """Standard output of a command in a container confined as a step's is, without network.

        Raises:
            EngineError: the command failed.
        """
        return self.podman("run", *CONFINED, image, *command)

    def remove(self) -> None:
        """Remove the store with all it holds."""
        self.podman("rmi", "--all", "--force")
        shutil.rmtree(self.store)
        shutil.rmtree(self.running)
