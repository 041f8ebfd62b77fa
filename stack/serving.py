"""The Triton Inference Server: its own Python environment, and the server on the model repository in S3.

It runs in EXPLICIT mode. It cannot live in our environment: it needs numpy 1 beside it. Its own is made once
from the package index and shared by every stack of an interpreter; it is built beside its final place and
then renamed, so that whoever finds it finds it whole.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from argosy.errors import StackError
from argosy.stack import process, storage, triton_backend
from argosy.stack.process import HOST
from argosy.stack.service import Cancelled, S3Endpoint, Service, TritonEndpoint, Unwell, http, inherited
from argosy.stack.state import Report, StateFolder, default_state_dir, take_lock

NAME = "triton"
BACKEND = "onnxruntime"
PORTS = ("triton", "triton.grpc")
OPTIONS = "ARGOSY_TRITON_OPTIONS"
"""Variable with more options for the server, in a shell's words, as `--log-verbose=1`."""
_LOAD_SECONDS = 120.0
_SHARED_MEMORY = Path("/dev/shm")
# The policy of a model that was published and whose first version did not answer yet, or was rolled back.
_NONE_NAMED = re.compile(r"^version_policy\s*\{\s*specific\s*\{\s*\}\s*\}", re.MULTILINE)
TRITON = "2.51.0"
_SUPPORTED = ("3.10", "3.11", "3.12")  # what numpy 1.26 has wheels for
_REQUIREMENTS = Path(__file__).parent / "triton_backend" / "requirements.txt"
_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def endpoint(ports: dict[str, int]) -> TritonEndpoint:
    """Return what a client needs."""
    return TritonEndpoint(f"http://{HOST}:{ports['triton']}", f"{HOST}:{ports['triton.grpc']}")


def service(
    folder: StateFolder, ports: dict[str, int], bucket: S3Endpoint, install: TritonInstall
) -> Service:
    """Describe the server; its environment need not be installed yet."""
    base = endpoint(ports).http
    data = folder.data(NAME)
    return Service(
        name=NAME,
        address=base,
        command=(
            str(install.binary),
            f"--backend-directory={folder.backends}",
            f"--model-repository=s3://{bucket.endpoint}/{bucket.bucket}/{storage.MODELS}",
            "--model-control-mode=explicit",
            *(f"--http-address={HOST}", f"--http-port={ports['triton']}"),
            *(f"--grpc-address={HOST}", f"--grpc-port={ports['triton.grpc']}"),
            "--allow-metrics=false",
            "--exit-timeout-secs=8",
            # Importing onnxruntime in a model's process can take its time on a busy machine.
            "--backend-config=python,stub-timeout-seconds=120",
            f"--backend-config=python,shm-region-prefix-name={_shared_memory_prefix(folder)}",
            *shlex.split(os.environ.get(OPTIONS, "")),
        ),
        environment={
            **install.environment(),
            "AWS_ACCESS_KEY_ID": bucket.access_key,
            "AWS_SECRET_ACCESS_KEY": bucket.secret_key,
            "AWS_DEFAULT_REGION": storage.REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "OMP_WAIT_POLICY": "PASSIVE",
            # Where a load puts the files that it fetches from S3.
            "TRITON_AWS_MOUNT_DIRECTORY": str(data),
        },
        folder=data,
        log=folder.log(NAME),
        # Not /v2/health/ready, which says no while any version unloads and after any failed load.
        check=lambda: _check(base),
        sweep=lambda: _sweep(folder),
        stop_within=20.0,
    )


def _shared_memory_prefix(folder: StateFolder) -> str:
    """Return how the names of this stack's shared memory begin, which are global to the machine."""
    return f"argosy-{hashlib.sha256(bytes(folder.path)).hexdigest()[:12]}-"


def _sweep(folder: StateFolder) -> None:
    """Remove the shared memory and the fetched files that a Triton leaves if it is killed."""
    for region in _SHARED_MEMORY.glob(f"{_shared_memory_prefix(folder)}*"):
        region.unlink(missing_ok=True)
    for fetched in folder.data(NAME).iterdir():
        shutil.rmtree(fetched, ignore_errors=True)


def _check(base: str) -> None:
    http(f"{base}/v2/health/live")


def lay_out_backends(folder: Path, install: TritonInstall) -> None:
    """Make the folder that Triton loads its backends from: its own Python backend, and ours beside it.

    They are links, so that a newer Argosy serves with its newer backend after a restart.
    """
    ours = folder / BACKEND
    ours.mkdir(parents=True, exist_ok=True)
    for link, target in (
        (folder / "python", install.python_backend),
        (ours / "model.py", Path(triton_backend.__file__).with_name("model.py")),
    ):
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def complete_models(bucket: S3Endpoint) -> list[str]:
    """Return the models that are to be served.

    They have a config.pbtxt, which does not say that no version serves, and a version that has a model.onnx.
    """
    client = storage.client(bucket)
    pages = client.get_paginator("list_objects_v2")
    keys = [
        item["Key"].removeprefix(f"{storage.MODELS}/")
        for page in pages.paginate(Bucket=bucket.bucket, Prefix=f"{storage.MODELS}/")
        for item in page.get("Contents", [])
    ]
    configured = {
        key.removesuffix("/config.pbtxt") for key in keys if re.fullmatch(r"[^/]+/config\.pbtxt", key)
    }
    versioned = {key.split("/")[0] for key in keys if re.fullmatch(r"[^/]+/[1-9]\d*/model\.onnx", key)}
    return [model for model in sorted(configured & versioned) if not _names_none(client, bucket, model)]


def _names_none(client: Any, bucket: S3Endpoint, model: str) -> bool:
    """Tell whether a model's config.pbtxt says that no version is to serve."""
    found = client.get_object(Bucket=bucket.bucket, Key=f"{storage.MODELS}/{model}/config.pbtxt")
    return bool(_NONE_NAMED.search(found["Body"].read().decode("utf-8", "replace")))


def load_models(base: str, models: list[str], report: Report, called_off: Callable[[], bool]) -> None:
    """Load each model, as its config.pbtxt says; a model that cannot be loaded is reported and passed over.

    A broken model must not keep the whole stack down: it may be what somebody came to repair.
    """
    for model in models:
        if called_off():
            return
        try:
            http(
                f"{base}/v2/repository/models/{model}/load",
                timeout=_LOAD_SECONDS,
                body=json.dumps({}).encode(),
            )
        except Unwell as error:
            report(f"triton could not load the model '{model}' again: {error}")
        else:
            report(f"triton serves '{model}' again")


@dataclass(frozen=True)
class TritonInstall:
    """Where the parts of an environment are (or will be, once prepare_triton has run)."""

    root: Path

    @property
    def _packages(self) -> Path:
        return self.root / "venv" / "lib" / f"python{_PYTHON}" / "site-packages"

    @property
    def _server(self) -> Path:
        return self._packages / "pytriton" / "tritonserver"

    @property
    def binary(self) -> Path:
        """The server's executable."""
        return self._server / "bin" / "tritonserver"

    @property
    def python_backend(self) -> Path:
        """Triton's Python backend, with the stub for this version of Python in it."""
        return self._server / "backends" / "python"

    def environment(self) -> dict[str, str]:
        """Return what the server needs in its environment to find its libraries and the right Python."""
        return {
            # The stub embeds Python: it takes its packages from the environment of the first python3 on PATH.
            "PATH": os.pathsep.join([str(self.root / "venv" / "bin"), os.defpath]),
            "LD_LIBRARY_PATH": os.pathsep.join(
                [str(self.root / "lib"), str(self._packages / "nvidia_pytriton.libs")]
            ),
            "PYTHONNOUSERSITE": "1",
            "PYTHONPATH": "",
        }

    def exists(self) -> bool:
        """Tell whether the environment is there; being renamed into place, it is then complete."""
        return self.binary.exists()


def locate_triton(state_folder: Path) -> TritonInstall:
    """Return the environment that a stack uses: the shared one, or its own where that cannot be written."""
    pins = hashlib.sha256(_REQUIREMENTS.read_bytes()).hexdigest()[:8]
    name = f"triton-{TRITON}-python{_PYTHON}-{pins}"
    shared = TritonInstall(Path(sys.prefix) / "share" / "argosy" / name)
    if shared.exists() or _can_write(shared.root.parent):
        return shared
    return TritonInstall(state_folder.absolute() / name)


def _can_write(folder: Path) -> bool:
    """Make a folder, and tell whether it can be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def prepare_triton(
    report: Report = lambda line: None,
    state_folder: Path | None = None,
    cancel: threading.Event | None = None,
) -> TritonInstall:
    """Make sure that Triton's environment is there (a download of some 150 MB the first time).

    Raises:
        StackError: no shared libpython, or the packages cannot be installed.
        Cancelled: `cancel` was set meanwhile.
    """
    install = locate_triton(state_folder if state_folder is not None else default_state_dir())
    if install.exists():
        return install
    install.root.parent.mkdir(parents=True, exist_ok=True)
    with install.root.with_name(f"{install.root.name}.lock").open("w") as lock:
        take_lock(lock.fileno(), lambda: report("waiting for another command that installs Triton"))
        if not install.exists():
            _build(install, report, cancel or threading.Event())
    return install


def _build(install: TritonInstall, report: Report, cancel: threading.Event) -> None:
    if _PYTHON not in _SUPPORTED:
        allowed = ", ".join(_SUPPORTED)
        raise StackError(f"Triton {TRITON} cannot run beside Python {_PYTHON}; use one of {allowed}")
    library = find_libpython()
    report(f"installing Triton {TRITON} into {install.root} (once, about 350 MB)")
    beginning = f"{install.root.name}.building-"
    for abandoned in install.root.parent.glob(
        f"{beginning}*"
    ):  # by a process that was killed: we hold the lock
        shutil.rmtree(abandoned, ignore_errors=True)
    beside = TritonInstall(Path(tempfile.mkdtemp(dir=install.root.parent, prefix=beginning)))
    try:
        log = beside.root / "install.log"
        _run([sys.executable, "-m", "venv", *_venv_options(), str(beside.root / "venv")], log, cancel)
        _run([*_pip(beside.root / "venv"), "install", *_PIP_OPTIONS, "-r", str(_REQUIREMENTS)], log, cancel)
        _complete(beside, library)
        beside.root.replace(install.root)
    except OSError as error:
        raise StackError(f"Triton cannot be installed into {install.root}: {error}") from error
    finally:
        shutil.rmtree(beside.root, ignore_errors=True)
    report(f"installed Triton {TRITON}")


def _has_pip() -> bool:
    return importlib.util.find_spec("pip") is not None


def _venv_options() -> list[str]:
    """Our own pip can install into another environment, which then needs none: a few seconds less."""
    return ["--without-pip"] if _has_pip() else []


_PIP_OPTIONS = (
    "--no-deps",
    "--only-binary=:all:",
    "--no-input",
    "--disable-pip-version-check",
    "--progress-bar=off",
)


def _pip(venv: Path) -> list[str]:
    python = str(venv / "bin" / "python")
    return [sys.executable, "-m", "pip", "--python", python] if _has_pip() else [python, "-m", "pip"]


def _complete(install: TritonInstall, library: Path) -> None:
    """Put the stub where the Python backend looks for it, and libpython where the stub looks for it."""
    stub = install._server / "python_backend_stubs" / _PYTHON / "triton_python_backend_stub"
    shutil.copy(stub, install.python_backend)
    for executable in (install.binary, install.python_backend / stub.name):
        executable.chmod(0o755)
    (install.root / "lib").mkdir()
    (install.root / "lib" / f"libpython{_PYTHON}.so.1.0").symlink_to(library)


def _library_folders() -> Iterator[Path]:
    for variable in ("LIBDIR", "LIBPL"):
        if folder := sysconfig.get_config_var(variable):
            yield Path(folder)
    yield Path(sys.base_prefix) / "lib"
    for folder in ("/usr/lib", "/usr/lib64", "/usr/local/lib"):
        yield Path(folder)
        yield Path(folder) / str(sysconfig.get_config_var("MULTIARCH"))


def find_libpython() -> Path:
    """Return the shared library of this Python, which the interpreter itself may do without.

    Raises:
        StackError: there is none; the message says what to install.
    """
    name = f"libpython{_PYTHON}.so.1.0"
    for folder in _library_folders():
        if (folder / name).exists():
            return (folder / name).resolve()
    raise StackError(
        f"Triton needs the shared library {name}, and this Python has none: install it "
        f"(Debian: apt-get install libpython{_PYTHON}), or use a Python built with --enable-shared"
    )


def _run(command: list[str], log: Path, cancel: threading.Event) -> None:
    """Run one command of the installation, its output going to a log."""
    with log.open("ab") as output:
        child = subprocess.Popen(
            command, env=inherited(), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        while (code := process.wait_exit(child, 0.2)) is None:
            if cancel.is_set():
                raise Cancelled("the installation of Triton was called off")
    finally:
        if child.poll() is None:
            process.stop(process.identify(child.pid), patience=0.5)
    if code != 0:
        raise StackError(
            f"Triton cannot be installed: {command[2]} ended with exit code {code}:\n{process.tail(log)}"
        )
