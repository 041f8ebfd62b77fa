"""The Triton Inference Server, in EXPLICIT mode on the model repository in S3."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from argosy.stack import storage, triton_backend
from argosy.stack.endpoints import S3Endpoint, TritonEndpoint
from argosy.stack.process import HOST
from argosy.stack.service import Service, Unwell, http
from argosy.stack.state import Report, StateFolder
from argosy.stack.triton_install import TritonInstall

NAME = "triton"
BACKEND = "onnxruntime"
PORTS = ("triton", "triton.grpc")
OPTIONS = "ARGOSY_TRITON_OPTIONS"
"""Variable with more options for the server, in a shell's words, as `--log-verbose=1`."""
_LOAD_SECONDS = 120.0
_SHARED_MEMORY = Path("/dev/shm")
# The policy of a model that was published and whose first version did not answer yet, or was rolled back.
_NONE_NAMED = re.compile(r"^version_policy\s*\{\s*specific\s*\{\s*\}\s*\}", re.MULTILINE)


def endpoint(ports: dict[str, int]) -> TritonEndpoint:
    """Return what a client needs."""
    return TritonEndpoint(f"http://{HOST}:{ports['triton']}", f"{HOST}:{ports['triton.grpc']}")


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
