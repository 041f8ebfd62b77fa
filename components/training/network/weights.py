"""Trained weights to start from: torchvision's, a file, or an object on S3. Reading them never runs code."""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from urllib.parse import urlparse

import torch
from torch import Tensor, nn

from argosy.components.shared.fingerprint import sha256_of
from argosy.components.shared.s3 import connect
from argosy.components.training.data.cache import cache_folder
from argosy.errors import StepError, UsageError
from argosy.step.files import published

_MISSING = "operator torchvision::nms does not exist"
_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# The declarations live as long as the library object, so it is kept for the life of the process.
_declared: list[torch.library.Library] = []


def import_torchvision() -> ModuleType:
    """The torchvision package; the two operators are declared only after the plain import failed for them.

    Raises:
        ImportError, RuntimeError: torchvision is missing, or broken in another way.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if _MISSING not in str(error) or _declared:
            raise
    log.info("torchvision is compiled for another PyTorch; its compiled operators are left out")
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in _OPERATORS:
        library.define(operator)  # type: ignore[no-untyped-call]
    _declared.append(library)
    return importlib.import_module("torchvision")


log = logging.getLogger(__name__)

HEAD = "fc."  # the last layer of torchvision's ResNets
_WRAPPERS = ("state_dict", "model")  # under which training scripts like to keep the weights
_PARALLEL = "module."  # what DistributedDataParallel puts before every name


def start_from(model: nn.Module, source: str, architecture: str) -> None:
    """Give `model` the weights of `source`; a head of another number of classes keeps its fresh ones.

    Args:
        model: one of torchvision's ResNets, which is changed.
        source: imagenet, a file, or s3://bucket/key.
        architecture: the model's name, for torchvision and for messages.

    Raises:
        UsageError: there is no such file, it holds no weights, or not those of this architecture; the message
            names the first that does not fit.
        StepError: torchvision's server or S3 did not give the file.
    """
    given = read_weights(source, architecture)
    wanted = model.state_dict()
    fitting = _fitting(given, wanted, f"weights {source!r} do not fit {architecture}")
    model.load_state_dict(fitting, strict=False)
    head = "kept" if f"{HEAD}weight" in fitting else f"replaced, for {len(wanted[f'{HEAD}bias'])} classes"
    log.info("starting from the weights %s, their head %s", source, head)


def read_weights(source: str, architecture: str) -> Mapping[str, Tensor]:
    """The tensors of `source` by name, as they are.

    Raises:
        UsageError, StepError: as `start_from`.
    """
    if source == "imagenet":
        return _read(_from_torchvision(architecture), source)
    if source.startswith("s3://"):
        return _read(_from_s3(source), source)
    path = Path(source)
    if not path.is_file():
        raise UsageError(f"weights {source!r} is no file on this machine, and neither none nor imagenet")
    return _read(path, source)


def _read(path: Path, source: str) -> Mapping[str, Tensor]:
    refusal = f"weights {source!r}: the file holds no PyTorch state dict"
    try:
        # weights_only builds tensors and containers, and refuses whatever else a pickle may ask for.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        zipfile.BadZipFile,
    ) as error:
        first = str(error).strip().splitlines()
        raise UsageError(
            f"{refusal} that can be read safely ({first[0] if first else 'it is empty'})"
        ) from error
    for name in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not content:
        raise UsageError(f"{refusal}, but {type(content).__name__}")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise UsageError(f"{refusal}: {name!r} is {type(value).__name__} and no tensor")
    return {name.removeprefix(_PARALLEL): value for name, value in content.items()}


def _fitting(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], refusal: str) -> dict[str, Tensor]:
    """The part of `given` that the model takes: what is `wanted`, but no head of another size."""
    replaced = _has_other_classes(given, wanted)
    fitting = {}
    for name, expected in wanted.items():
        if replaced and name.startswith(HEAD):
            continue
        if name not in given:
            # Old files do not count batches.
            if name.endswith("num_batches_tracked"):
                continue
            raise UsageError(f"{refusal}: {name} is missing")
        value = given[name]
        if value.shape != expected.shape:
            raise UsageError(f"{refusal}: {name} is {_shape(value)} instead of {_shape(expected)}")
        if not torch.isfinite(value).all():
            raise UsageError(f"{refusal}: {name} holds values that are not finite")
        fitting[name] = value
    for name in given:
        if name not in wanted:
            raise UsageError(f"{refusal}: {name} is one too many")
    return fitting


def _has_other_classes(given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> bool:
    """Whether the file has no head, or one whose shape differs in the number of classes alone."""
    head, expected = given.get(f"{HEAD}weight"), wanted[f"{HEAD}weight"]
    if head is None:
        return True
    return head.shape[1:] == expected.shape[1:] and len(head) != len(expected)


def _shape(value: Tensor) -> str:
    return "x".join(str(side) for side in value.shape) or "a single number"


def _from_torchvision(architecture: str) -> Path:
    """The file of torchvision's best weights for ImageNet, downloaded once; its name ends in its SHA-256."""
    url = import_torchvision().models.get_model_weights(architecture).DEFAULT.url
    path = _downloads() / Path(urlparse(url).path).name
    expected = path.stem.rpartition("-")[2]
    if path.is_file() and sha256_of(path).startswith(expected):
        return path
    log.info("downloading %s", url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=expected, progress=False)
    except (OSError, RuntimeError) as error:
        raise StepError(
            f"weights imagenet: {url} could not be downloaded ({error}); without internet, put that file on "
            "S3 and set weights to s3://bucket/key"
        ) from error
    return path


def _downloads() -> Path:
    """PyTorch's own folder where TORCH_HOME says so; a step's home folder may be read-only."""
    home = os.environ.get("TORCH_HOME")
    return Path(home) / "hub" / "checkpoints" if home else cache_folder("weights")


def _from_s3(uri: str) -> Path:
    """The object as a file, downloaded once for each of its contents."""
    name, _, key = uri.removeprefix("s3://").partition("/")
    if not key or key.endswith("/"):
        raise UsageError(f"weights {uri!r} names no object; it must be s3://bucket/key")
    bucket = connect(name)
    info = bucket.head(key)
    if info is None:
        raise UsageError(f"weights {uri!r}: there is no such object in {bucket}")
    path = cache_folder("weights") / hashlib.sha256(f"{uri}\0{info.etag}".encode()).hexdigest()[:32]
    if not path.is_file():
        with published(path) as beside, bucket.errors(f"download {key}"):
            bucket.client.download_file(name, key, str(beside))
    return path
