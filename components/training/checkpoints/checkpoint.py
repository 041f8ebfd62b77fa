"""A checkpoint as bytes: one line of text, then what `torch.save` makes of plain data.

The line holds the format's number and the SHA-256 of all that follows, so that a truncated or damaged file is
told from a whole one before any of it is interpreted. Reading builds tensors, numbers, text and containers,
and never runs code from the file (`weights_only`).
"""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import re
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch

from argosy.components.training.data.dataset import ImageFolder
from argosy.components.training.data.images import Size
from argosy.components.training.recipe import Recipe
from argosy.errors import ArgosyError, UsageError

# How a machine does the work, not what comes out of it: a retry on another machine may change these.
_WITHOUT_EFFECT = frozenset({"workers", "cache_gib"})
_SHOWN = 60  # characters of a value in a message


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


FORMAT = 1
_HEAD = re.compile(rb"argosy checkpoint (?P<format>[0-9]{1,6}) (?P<sha256>[0-9a-f]{64})\n")


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
