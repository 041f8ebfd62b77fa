"""Which training a checkpoint belongs to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from argosy.components.training.data.dataset import ImageFolder
from argosy.components.training.data.images import Size
from argosy.components.training.recipe.config import Recipe
from argosy.errors import UsageError

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
