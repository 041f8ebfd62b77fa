"""A checkpoint: everything that the next step of a training depends on, as bytes, and taken up again.

It is one line of text, then what `torch.save` makes of plain data. The line holds the format's number and the
SHA-256 of all that follows, so that a truncated or damaged file is told from a whole one before any of it is
interpreted. Reading builds tensors, numbers, text and containers, and never runs code from the file
(`weights_only`).

The order of the images is not in it: it follows from the seed and the epoch (see `batches.py`).
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import pickle
import random
import re
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from argosy.components.training.data.images import ImageFolder, Size
from argosy.components.training.network.engine import Engine, Running
from argosy.components.training.recipe import Recipe
from argosy.errors import ArgosyError, UsageError

# How a machine does the work, not what comes out of it: a retry on another machine may change these.
_WITHOUT_EFFECT = frozenset({"workers", "cache_gib"})
_SHOWN = 60  # characters of a value in a message
FORMAT = 1
_HEAD = re.compile(rb"argosy checkpoint (?P<format>[0-9]{1,6}) (?P<sha256>[0-9a-f]{64})\n")


@dataclass(frozen=True)
class Identity:
    """Everything that decides what a training computes, by name."""

    parts: dict[str, Any]

    @classmethod
    def of(cls, model_name: str, recipe: Recipe, data: ImageFolder, size: Size) -> Identity:
        """The identity of training `recipe` on these images at `size` (height, width), as `model_name`."""
        knobs = {name: value for name, value in asdict(recipe).items() if name not in _WITHOUT_EFFECT}
        return cls(
            {
                "model_name": model_name,
                **knobs,
                "dataset_fingerprint": data.fingerprint(),
                "image_size": f"{size[0]}x{size[1]}",
                "classes": ", ".join(data.classes),
            }
        )

    @property
    def digest(self) -> str:
        """64 hexadecimal digits: SHA-256 of the parts in the order of their names."""
        return hashlib.sha256(json.dumps(self.parts, sort_keys=True).encode()).hexdigest()

    def check(self, other: Identity, where: str) -> None:
        """Raises UsageError unless `other`, read from `where`, is this training; it names what differs."""
        if other.digest == self.digest:
            return
        names = sorted(self.parts.keys() | other.parts.keys())
        ours, theirs = self.parts, other.parts
        different = [
            f"{name} {_short(theirs.get(name))}, now {_short(ours.get(name))}"
            for name in names
            if theirs.get(name) != ours.get(name)
        ]
        raise UsageError(
            f"{where} belongs to another training ({'; '.join(different)}): "
            "give this one an owner of its own, or delete that"
        )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


class CorruptCheckpoint(ArgosyError):
    """The bytes are not all of a checkpoint."""


class Position(NamedTuple):
    """How far a training is: the epoch under way, counted from 1, and how many of its batches are done."""

    epoch: int
    batches: int


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training at a position, and to which training and MLflow run it belongs."""

    identity: Identity
    run_id: str
    position: Position
    state: dict[str, Any]

    def encode(self) -> io.BytesIO:
        """The checkpoint as a file in memory, about as long as its tensors and never copied."""
        content = {
            "identity": self.identity.parts,
            "run_id": self.run_id,
            "position": tuple(self.position),
            "state": self.state,
        }
        file = io.BytesIO()
        file.write(_head(hashlib.sha256()))  # as long as the one that takes its place
        start = file.tell()
        torch.save(content, file)
        with file.getbuffer() as data:
            data[:start] = _head(hashlib.sha256(data[start:]))
        file.seek(0)
        return file

    @classmethod
    def decode(cls, data: bytes, where: str) -> Checkpoint:
        """The checkpoint that these bytes, read from `where`, are.

        Raises:
            CorruptCheckpoint: they are not complete, or not a checkpoint at all.
            UsageError: they are of another format, written by another version of this package.
        """
        head = _HEAD.match(data)
        if head is None:
            raise CorruptCheckpoint(f"{where} is not a checkpoint")
        if int(head["format"]) != FORMAT:
            raise UsageError(
                f"{where} has format {int(head['format'])}, and this version reads format {FORMAT}: "
                "go on with the version that wrote it, or delete it"
            )
        body = memoryview(data)[head.end() :]
        if hashlib.sha256(body).hexdigest().encode() != head["sha256"]:
            raise CorruptCheckpoint(f"{where} is truncated or damaged")
        try:
            content = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
            identity, position = Identity(dict(content["identity"])), Position(*content["position"])
            return cls(identity, str(content["run_id"]), position, dict(content["state"]))
        except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, ValueError, EOFError) as error:
            raise CorruptCheckpoint(f"{where} holds something else than a checkpoint") from error


def _head(digest: hashlib._Hash) -> bytes:
    return f"argosy checkpoint {FORMAT} {digest.hexdigest()}\n".encode()


class Best:
    """The weights at the highest score so far, copied out of the model; the earliest epoch wins a tie."""

    def __init__(self) -> None:
        self.score = -math.inf
        self.epoch = 0
        self._weights: dict[str, Tensor] = {}

    def offer(self, score: float, epoch: int, model: nn.Module) -> bool:
        """Copy the model's weights if `score` beats every earlier one; return whether it did."""
        if not score > self.score:
            return False
        self.score, self.epoch = score, epoch
        self._weights = {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}
        return True

    def restore(self, model: nn.Module) -> nn.Module:
        """The model on the CPU, in its plain layout, in evaluation mode, with the best weights.

        Raises:
            RuntimeError: nothing was offered, or the model is of another shape.
        """
        model.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        model.load_state_dict(self._weights)
        return model.eval()

    def state_dict(self) -> dict[str, Any]:
        """Score, epoch and weights; the weights are replaced later, never changed."""
        return {"score": self.score, "epoch": self.epoch, "weights": self._weights}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.score, self.epoch, self._weights = saved["score"], saved["epoch"], saved["weights"]


@dataclass
class TrainingState:
    """A training between two steps.

    Attributes:
        engine: model, optimiser, schedule and scaler.
        augmentation: the generator of the random changes of images.
        best: the best weights so far.
        epoch: the epoch under way, counted from 1.
        running: what this epoch has added up.
        history: the metrics of the epochs before it.
    """

    engine: Engine
    augmentation: torch.Generator
    best: Best = field(default_factory=Best)
    epoch: int = 1
    running: Running = field(default_factory=Running)
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def position(self) -> Position:
        """Where the training is."""
        return Position(self.epoch, self.running.batches)

    def end_epoch(self, metrics: dict[str, float]) -> None:
        """Note the metrics of the epoch under way, and begin the next one."""
        self.history.append(metrics)
        self.epoch += 1
        self.running = Running()

    def snapshot(self) -> dict[str, Any]:
        """A copy on the CPU, of tensors, numbers, text and containers only; later steps do not change it."""
        engine = self.engine
        return {
            "model": _copied(engine.model.state_dict()),
            "optimizer": _copied(engine.optimizer.state_dict()),
            "schedule": _copied(engine.schedule.state_dict()),
            "scaler": _copied(engine.scaler.state_dict()),
            "best": self.best.state_dict(),
            "epoch": self.epoch,
            "running": _copied(vars(self.running)),
            "history": _copied(self.history),
            "generators": {**_global_generators(), "augmentation": self.augmentation.get_state()},
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Become what `snapshot` copied.

        Raises:
            KeyError, RuntimeError, TypeError, ValueError: it is the snapshot of something else.
        """
        engine = self.engine
        engine.model.load_state_dict(saved["model"])
        engine.optimizer.load_state_dict(saved["optimizer"])
        engine.schedule.load_state_dict(saved["schedule"])
        engine.scaler.load_state_dict(saved["scaler"])
        self.best.load_state_dict(saved["best"])
        self.epoch, self.history = saved["epoch"], saved["history"]
        self.running = Running(**saved["running"])
        self.augmentation.set_state(saved["generators"]["augmentation"])
        _set_global_generators(saved["generators"])


def _global_generators() -> dict[str, Any]:
    """The states of Python's, NumPy's and PyTorch's generators."""
    numpy: dict[str, Any] = dict(np.random.get_state(legacy=False))
    key = torch.from_numpy(numpy["state"]["key"].astype(np.int64))
    return {
        "python": random.getstate(),
        "numpy": {**numpy, "state": {**numpy["state"], "key": key}},
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _set_global_generators(saved: dict[str, Any]) -> None:
    numpy = saved["numpy"]
    key = numpy["state"]["key"].numpy().astype(np.uint32)
    np.random.set_state({**numpy, "state": {**numpy["state"], "key": key}})
    random.setstate(saved["python"])
    torch.set_rng_state(saved["torch"])
    # A retry may land on a machine with another number of GPUs; theirs is the only state that is lost then.
    if saved["cuda"] and len(saved["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(saved["cuda"])


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copied(item) for item in value)
    return value
