"""The networks that a recipe may name: their layers, the trained weights to start from, and their optimiser.

Weights are torchvision's, a file, or an object on S3; reading them never runs code.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import pickle
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from argosy.components.shared.files import sha256_of
from argosy.components.shared.s3 import connect
from argosy.components.training.data.many_files import cache_folder
from argosy.components.training.recipe import ARCHITECTURES, Recipe
from argosy.errors import StepError, UsageError
from argosy.step.files import published

log = logging.getLogger(__name__)

_MISSING = "operator torchvision::nms does not exist"
_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# The declarations live as long as the library object, so it is kept for the life of the process.
_declared: list[torch.library.Library] = []
_HEAD = "fc."  # the last layer of torchvision's ResNets
_WRAPPERS = ("state_dict", "model")  # under which training scripts like to keep the weights
_PARALLEL = "module."  # what DistributedDataParallel puts before every name


def build_model(architecture: str, classes: int, *, zero_init_residual: bool = False) -> nn.Module:
    """torchvision's network of that name, unchanged, with fresh weights and `classes` outputs (logits).

    Args:
        architecture: one of `ARCHITECTURES`.
        classes: how many outputs.
        zero_init_residual: let every residual block start as the identity (arXiv:1706.02677, section 5.1).

    Raises:
        UsageError: an architecture that is not offered.
    """
    if architecture not in ARCHITECTURES:
        raise UsageError(f"architecture is {architecture!r}; it must be one of {', '.join(ARCHITECTURES)}")
    builder = getattr(import_torchvision().models, architecture)
    model: nn.Module = builder(weights=None, num_classes=classes, zero_init_residual=zero_init_residual)
    return model


def starting_model(recipe: Recipe, classes: int) -> nn.Module:
    """The network as the recipe's approach begins: fresh or trained before, with its backbone free or frozen.

    Raises:
        UsageError: the recipe's weights are not there, or do not fit.
        StepError: they could not be downloaded.
    """
    model = build_model(recipe.architecture, classes, zero_init_residual=recipe.zero_init_residual)
    if recipe.pretrained:
        start_from(model, recipe.weights, recipe.architecture)
    if recipe.approach == "feature_extraction":
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name.startswith(_HEAD))
    return model


def train_mode(model: nn.Module) -> None:
    """Training mode for the layers that learn; frozen ones keep evaluating.

    Without it a frozen batch norm would go on to adapt its statistics to the new images.
    """
    model.train()
    for module in model.modules():
        own = list(module.parameters(recurse=False))
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()


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
    head = "kept" if f"{_HEAD}weight" in fitting else f"replaced, for {len(wanted[f'{_HEAD}bias'])} classes"
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
        if replaced and name.startswith(_HEAD):
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
    head, expected = given.get(f"{_HEAD}weight"), wanted[f"{_HEAD}weight"]
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


def build_optimizer(model: nn.Module, recipe: Recipe) -> AdamW:
    """AdamW over what learns; a fine-tuned backbone learns at a share of the head's rate.

    The weights of layers decay, but no vectors: biases and batch-norm parameters.
    """
    return AdamW(list(_groups(model, recipe)), lr=recipe.learning_rate, fused=True)


def build_schedule(optimizer: AdamW, recipe: Recipe, steps_per_epoch: int) -> OneCycleLR:
    """One learning rate a step: up to each group's own, then down to nearly zero (arXiv:1708.07120)."""
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=recipe.epochs * steps_per_epoch,
        pct_start=recipe.warmup_share,
    )


def _groups(model: nn.Module, recipe: Recipe) -> Iterator[dict[str, Any]]:
    """The head first: its rate is the one that is reported."""
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if recipe.approach == "fine_tuning":
        backbone_rate = recipe.learning_rate * recipe.backbone_rate
        head = [p for name, p in learning if name.startswith(_HEAD)]
        backbone = [p for name, p in learning if not name.startswith(_HEAD)]
        parts = [(head, recipe.learning_rate), (backbone, backbone_rate)]
    else:
        parts = [([p for _, p in learning], recipe.learning_rate)]
    for parameters, rate in parts:
        yield {
            "params": [p for p in parameters if p.ndim > 1],
            "lr": rate,
            "weight_decay": recipe.weight_decay,
        }
        yield {"params": [p for p in parameters if p.ndim <= 1], "lr": rate, "weight_decay": 0.0}
