"""Where a run comes from: its data set, as MLflow records one, and its tags."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import torch
from mlflow.entities import Dataset, DatasetInput, InputTag

from argosy import __version__
from argosy.components.training.data.dataset import ImageFolder
from argosy.components.training.data.images import Size
from argosy.components.training.data.transforms import MEAN, STD

_DIGEST_LENGTH = 36  # the longest that MLflow takes


def data_params(dataset: str, data: ImageFolder, size: Size) -> dict[str, object]:
    """Parameters of a run in which two runs must agree to be compared."""
    return {
        "dataset": dataset,
        "dataset_fingerprint": data.fingerprint(),
        "train_images": len(data.train),
        "val_images": len(data.val),
        "skipped_images": len(data.skipped),
        "classes": len(data.classes),
        "image_size": f"{size[0]}x{size[1]}",
    }


def preparation(size: Size) -> dict[str, object]:
    """How an image becomes the network's input: what a client of the model has to do too."""
    return {"size": list(size), "resize": "cover, then centre crop", "mean": MEAN, "std": STD}


def description(dataset: str, data: ImageFolder) -> dict[str, object]:
    """Source, fingerprint, images of each class, and what was left out and why."""
    return {
        "source": dataset,
        "fingerprint": data.fingerprint(),
        "classes": data.counts(),
        "ignored_files": data.ignored,
        "skipped_images": [
            {"file": one.file.relative_to(data.root).as_posix(), "reason": one.reason} for one in data.skipped
        ],
    }


def as_input(dataset: str, data: ImageFolder) -> DatasetInput:
    """The data set as MLflow lists it beside a run."""
    listed = Dataset(
        name=dataset.rstrip("/").rpartition("/")[2] or dataset,
        digest=data.fingerprint()[:_DIGEST_LENGTH],
        source_type="s3" if dataset.startswith("s3://") else "local",
        source=json.dumps({"uri": dataset}),
        profile=json.dumps(data.counts()),
    )
    return DatasetInput(listed, [InputTag("mlflow.data.context", "training")])


COMMIT = "ARGOSY_GIT_COMMIT"
IMAGE = "ARGOSY_IMAGE"
_HERE = Path(__file__).resolve().parent
_NODE = re.compile(r"(?P<workflow>.+?)(-[0-9]{5,})?")  # Argo appends a number to the workflow's name


def origin(owner: str = "", environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Where the work was asked for; what is not known has no tag.

    Args:
        owner: the workflow's uid.
        environment: `ARGOSY_GIT_COMMIT` and `ARGOSY_IMAGE` are set in an image, the names of workflow and
            node by Argo.
    """
    known = {
        "argosy_version": __version__,
        "git_commit": environment.get(COMMIT) or _commit_of(_HERE),
        "image": environment.get(IMAGE, ""),
        "workflow": environment.get("ARGO_WORKFLOW_NAME")
        or _workflow_of(environment.get("ARGO_NODE_ID", "")),
        "workflow_uid": owner,
    }
    return {name: value for name, value in known.items() if value}


def machine() -> dict[str, str]:
    """The machine: two runs whose speed is compared should agree in these."""
    gpu = torch.cuda.is_available()
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name() if gpu else _processor(),
        "threads": str(torch.get_num_threads()),
    }


def _workflow_of(node: str) -> str:
    match = _NODE.fullmatch(node)
    return match["workflow"] if match else ""


def _commit_of(folder: Path) -> str:
    """The commit of the checkout that `folder` is in, `-dirty` where files differ from it; else empty."""
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
