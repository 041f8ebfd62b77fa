"""A real registry on loopback (Debian's docker-registry), a base image in it, and a project to build."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from argosy.code.images.image import CONFIG, MANIFEST
from argosy.code.images.layers import Blob, File, Layer, make_layer
from argosy.code.images.reference import Reference
from argosy.code.images.registry import Registry
from tests.code.images.wheels import make_wheel

PROGRAM = shutil.which("docker-registry")
SKOPEO = shutil.which("skopeo")
needs_registry = pytest.mark.skipif(
    not PROGRAM, reason="skipped: no registry (apt-get install docker-registry)"
)
needs_skopeo = pytest.mark.skipif(not SKOPEO, reason="skipped: no skopeo (apt-get install skopeo)")

ARGOSY = Path(sys.executable).with_name("argosy")
# What `htpasswd -B` makes of ann:sesame.
ANN = "ann:$2b$05$abcdefghijklmnopqrstuuKcS.CYWVYVaLiiCKrrc0A5s3mGesJ9O"
VERSION = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
HELLO = '''
import couler.argo as couler

import words
from typing import NamedTuple

from argosy import component, pipeline


class Greeting(NamedTuple):
    """What is said."""

    text: str


@component(image="{base}")
def greet(who: str = "you") -> Greeting:
    """Greet."""
    return Greeting(words.greeting(who))


@component(image="{base}")
def shout(text: str) -> None:
    """Shout."""
    print(text.upper())


@pipeline()
def hello(who: str = "you") -> None:
    """Greet, then shout."""
    shout(text=greet(who=who).text)
'''
WORDS = "def greeting(who):\n    return f'Hello, {who}!'\n"


@dataclass
class Server:
    """A running registry."""

    host: str
    storage: Path
    process: "subprocess.Popen[bytes]"


def free_port() -> int:
    """A port of loopback that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def start(folder: Path, *, login: bool = False, certificate: tuple[Path, Path] | None = None) -> Server:
    """A registry that keeps everything in `folder`."""
    host = f"127.0.0.1:{free_port()}"
    http: dict[str, Any] = {"addr": host}
    if certificate:
        http["tls"] = {"certificate": str(certificate[0]), "key": str(certificate[1])}
    config: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        "http": http,
    }
    if login:
        (folder / "htpasswd").write_text(ANN + "\n")
        config["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    (folder / "registry.json").write_text(json.dumps(config))
    with (folder / "registry.log").open("wb") as log:
        words = [str(PROGRAM), "serve", str(folder / "registry.json")]
        process = subprocess.Popen(words, stdout=log, stderr=log)
    name, _, port = host.partition(":")
    for _ in range(500):
        with socket.socket() as one:
            if one.connect_ex((name, int(port))) == 0:
                return Server(host, folder / "storage", process)
        if process.poll() is not None:
            break
        time.sleep(0.01)
    raise RuntimeError((folder / "registry.log").read_text())


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One registry for the session; tests use repositories of their own."""
    one = start(tmp_path_factory.mktemp("registry"))
    yield one
    one.process.terminate()
    one.process.wait()


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts registries that end with the test."""
    begun: list[Server] = []

    def begin(**options: Any) -> Server:
        folder = tmp_path / f"registry-{len(begun)}"
        folder.mkdir()
        begun.append(start(folder, **options))
        return begun[-1]

    yield begin
    for one in begun:
        one.process.kill()
        one.process.wait()


def put_base(host: str, name: str = "base/python:3.11", *architectures: str, size: int = 1000) -> str:
    """Store a small base image that says which Python it has; returns its name."""
    registry, image = Registry(host), Reference.parse(f"{host}/{name}")
    made = [base_blobs(a, size) for a in architectures or ("amd64",)]
    for layer, config, manifest in made:
        for blob in (layer.blob, config):
            registry.upload(image, blob)
        registry.put_manifest(image.at(manifest.digest), b"".join(manifest.chunks()), MANIFEST)
    if len(made) == 1:
        registry.put_manifest(image, b"".join(made[0][2].chunks()), MANIFEST)
    else:
        entries = [
            {
                "mediaType": MANIFEST,
                "digest": m.digest,
                "size": m.size,
                "platform": {"os": "linux", "architecture": a},
            }
            for (_, _, m), a in zip(made, architectures, strict=True)
        ]
        kind = "application/vnd.docker.distribution.manifest.list.v2+json"
        index = {"schemaVersion": 2, "mediaType": kind, "manifests": entries}
        registry.put_manifest(image, json.dumps(index).encode(), kind)
    return f"{host}/{name}"


def base_blobs(architecture: str, size: int = 1000) -> tuple[Layer, Blob, Blob]:
    """Layer, configuration and manifest of a base image."""
    noise = os.urandom(size) if size > 1000 else architecture.encode()
    layer = make_layer({"etc/os-release": File(b"ID=tests\n"), "usr/share/noise": File(noise)}, "base")
    settings = {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin", f"PYTHON_VERSION={VERSION}"], "Cmd": ["python3"]}
    config = Blob.of(
        json.dumps(
            {
                "os": "linux",
                "architecture": architecture,
                "config": {**settings, "Entrypoint": ["/entry"], "Labels": {"base": "yes"}},
                "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
                "history": [{"created_by": "tests"}],
            }
        ).encode()
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": config.digest, "size": config.size},
        "layers": [layer.descriptor()],
    }
    return layer, config, Blob.of(json.dumps(manifest).encode())


@dataclass
class Project:
    """A folder with a program, and the environment that its commands run in."""

    folder: Path
    base: str
    environment: dict[str, str]

    def argosy(self, *words: str | Path) -> "subprocess.CompletedProcess[str]":
        """Run `argosy` in it."""
        return subprocess.run(
            [ARGOSY, *words],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def built(self, *words: str | Path) -> str:
        """Run `argosy build hello.py` and return what it says."""
        done = self.argosy("build", "hello.py", *words)
        assert done.returncode == 0, done.stderr
        return done.stdout


def make_project(folder: Path, base: str) -> Project:
    """A program of two steps and a module of its own, upon a base image."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "hello.py").write_text(HELLO.format(base=base))
    (folder / "words.py").write_text(WORDS)
    ignored = ("ARGOSY_ENV", "ARGOSY_SETTINGS", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR")
    environment = {k: v for k, v in os.environ.items() if k not in ignored}
    environment |= {"HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder / "cache")}
    return Project(folder, base, environment)


@pytest.fixture
def project(tmp_path: Path, server: Server) -> Project:
    """A project whose base image is in the registry of the session."""
    return make_project(tmp_path / "project", put_base(server.host))


@pytest.fixture
def index(project: Project) -> Path:
    """A folder of wheels, the only place that packages come from."""
    folder = project.folder / "wheels"
    python = f"cp{sys.version_info.major}{sys.version_info.minor}"
    make_wheel(folder, "pure", "1.0", "py3-none-any", "def main(): print('pure')\n", program=True)
    for machine in ("x86_64", "aarch64"):
        tag = f"{python}-{python}-manylinux_2_17_{machine}"
        make_wheel(folder, "native", "2.0", tag, f"MACHINE = '{machine}'\n")
    project.environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder)}
    project.environment["UV_CACHE_DIR"] = str(project.folder / "uv")
    program = project.folder / "hello.py"
    text = program.read_text()
    program.write_text(
        text.replace(f'image="{project.base}"', f'image="{project.base}", packages=["pure", "native==2.0"]')
    )
    return folder


def copied(image: str, to: Path, *words: str) -> tuple[dict[str, Any], dict[str, Any], Path]:
    """An image as skopeo reads it: manifest, configuration, and the folder with its blobs."""
    to.mkdir(exist_ok=True)
    command = [str(SKOPEO), "copy", "--src-tls-verify=false", *words, f"docker://{image}", f"oci:{to}:copy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    blobs = to / "blobs" / "sha256"
    index = json.loads((to / "index.json").read_text())
    manifest = json.loads((blobs / index["manifests"][0]["digest"].partition(":")[2]).read_text())
    config = json.loads((blobs / manifest["config"]["digest"].partition(":")[2]).read_text())
    return manifest, config, blobs
