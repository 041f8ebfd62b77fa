"""The bytes of a checkpoint: what comes back, what is refused, and that nothing in them is run."""

import hashlib
import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from argosy.components.training.checkpoints.checkpoint import (
    FORMAT,
    Checkpoint,
    CorruptCheckpoint,
    Identity,
    Position,
)
from argosy.errors import UsageError

IDENTITY = Identity({"epochs": 3, "learning_rate": 0.1, "classes": "a, b"})


def _checkpoint() -> Checkpoint:
    state = {"weights": torch.arange(1000.0), "numbers": [1, 2.5, None, True], "pair": (1, "two")}
    return Checkpoint(IDENTITY, "run", Position(2, 7), state)


def _headed(body: bytes, number: int = FORMAT) -> bytes:
    """Bytes of any content under a first line that is right."""
    return f"argosy checkpoint {number} {hashlib.sha256(body).hexdigest()}\n".encode() + body


def test_everything_comes_back() -> None:
    saved = _checkpoint()
    read = Checkpoint.decode(saved.encode().getvalue(), "here")
    assert (read.identity, read.run_id, read.position) == (IDENTITY, "run", Position(2, 7))
    assert torch.equal(read.state.pop("weights"), saved.state["weights"])
    assert read.state == {"numbers": [1, 2.5, None, True], "pair": (1, "two")}


def test_the_layout_of_tensors_comes_back_too() -> None:
    images = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    saved = Checkpoint(IDENTITY, "", Position(1, 0), {"images": images})
    assert Checkpoint.decode(saved.encode().getvalue(), "here").state["images"].stride() == images.stride()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
def test_a_truncated_one_is_refused(share: float) -> None:
    data = _checkpoint().encode().getvalue()
    with pytest.raises(CorruptCheckpoint, match=r"^here is (not a checkpoint|truncated or damaged)$"):
        Checkpoint.decode(data[: int(len(data) * share)], "here")


def test_one_flipped_bit_anywhere_is_noticed() -> None:
    data = _checkpoint().encode().getvalue()
    for place in range(0, len(data), 97):
        broken = bytearray(data)
        broken[place] ^= 1
        with pytest.raises((CorruptCheckpoint, UsageError)):
            Checkpoint.decode(bytes(broken), "here")


def test_another_format_is_told_from_damage() -> None:
    with pytest.raises(UsageError, match="here has format 7, and this version reads format 1: go on with"):
        Checkpoint.decode(_headed(b"whatever it will be", 7), "here")


class _Bomb:
    """Makes a file when it is unpickled by somebody careless."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.touch, (self.path,))


def _torch_bytes(content: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def test_nothing_in_it_is_run(tmp_path: Path) -> None:
    path = tmp_path / "boom"
    bomb = _torch_bytes({"identity": {}, "run_id": "", "position": (1, 0), "state": _Bomb(path)})
    pickle.loads(pickle.dumps(_Bomb(path)))
    assert path.exists()
    path.unlink()
    with pytest.raises(CorruptCheckpoint, match="here holds something else than a checkpoint"):
        Checkpoint.decode(_headed(bomb), "here")
    assert not path.exists()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no archive of PyTorch's",
        _torch_bytes([1, 2]),
        _torch_bytes({"identity": {}, "run_id": ""}),
        _torch_bytes({"identity": {}, "run_id": "", "position": (1,), "state": {}}),
        _torch_bytes({"identity": 3, "run_id": "", "position": (1, 0), "state": {}}),
    ],
)
def test_other_content_under_a_right_checksum_is_refused(body: bytes) -> None:
    with pytest.raises(CorruptCheckpoint, match="here holds something else than a checkpoint"):
        Checkpoint.decode(_headed(body), "here")
