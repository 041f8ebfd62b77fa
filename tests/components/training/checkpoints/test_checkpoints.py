"""Which checkpoint a training goes on from, which are kept, and what happens where none can be written."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR

from argosy.components.training.checkpoints import checkpoints as module
from argosy.components.training.checkpoints.checkpoint import Identity, TrainingState
from argosy.components.training.checkpoints.checkpoints import (
    FINISHED,
    Checkpoints,
    Finished,
    FolderStore,
    NoCheckpoints,
    open_checkpoints,
)
from argosy.components.training.network.engine import Engine, Precision, Running
from argosy.errors import StepError, UsageError

IDENTITY = Identity({"epochs": 3, "learning_rate": 0.1})
OTHER = Identity({"epochs": 3, "learning_rate": 0.2})
CPU = Precision(torch.device("cpu"), torch.float32, channels_last=False)


def _state(epoch: int = 1, batches: int = 0) -> TrainingState:
    """A training at this position, whose weights tell the position."""
    model = nn.Linear(2, 2)
    nn.init.constant_(model.weight, epoch + batches / 100)
    optimizer = SGD(model.parameters(), lr=0.1)
    schedule = LambdaLR(optimizer, lambda _: 1.0)
    engine = Engine(model, model, nn.CrossEntropyLoss(), optimizer, schedule, CPU.scaler(), CPU)
    running = Running(batches=batches, samples=batches, loss=torch.tensor(float(batches)))
    return TrainingState(engine, torch.Generator().manual_seed(7), epoch=epoch, running=running)


def _open(folder: Path, identity: Identity = IDENTITY) -> Checkpoints:
    return Checkpoints(FolderStore(folder), identity)


def _saved(folder: Path, *positions: tuple[int, int]) -> list[str]:
    """Save a training at these positions, one after the other; the files that are there then."""
    checkpoints = _open(folder)
    checkpoints.run_id = "the-run"
    for position in positions:
        checkpoints.save(_state(*position))
        checkpoints.settle()
    return sorted(path.name for path in folder.iterdir())


def _restored(folder: Path) -> TrainingState:
    state = _state()
    _open(folder).restore(state)
    return state


def test_without_any_training_starts_at_the_start(tmp_path: Path) -> None:
    checkpoints = _open(tmp_path)
    assert (checkpoints.run_id, checkpoints.finished) == ("", None)
    state = _state()
    checkpoints.restore(state)
    assert state.position == (1, 0)


def test_the_last_two_are_kept_and_the_last_is_taken_up(tmp_path: Path) -> None:
    names = _saved(tmp_path, (2, 0), (3, 0), (3, 12), (10, 0))
    assert names == [
        "epoch-00003-batch-00000012.checkpoint",
        "epoch-00010-batch-00000000.checkpoint",
    ]
    assert _open(tmp_path).run_id == "the-run"
    assert _restored(tmp_path).position == (10, 0)


def test_all_of_the_state_comes_back(tmp_path: Path) -> None:
    state = _state(2, 5)
    state.history = [{"loss": 0.1 + 0.2}]
    state.best.offer(0.5, 1, state.engine.model)
    torch.randperm(5, generator=state.augmentation)
    checkpoints = _open(tmp_path)
    checkpoints.save(state)
    checkpoints.settle()
    expected = [torch.rand(1), torch.rand(1, generator=state.augmentation)]
    torch.manual_seed(99)
    back = _restored(tmp_path)
    assert [torch.rand(1), torch.rand(1, generator=back.augmentation)] == expected
    assert torch.equal(back.engine.model.weight, state.engine.model.weight)  # type: ignore[arg-type]
    assert (back.history, back.best.score, back.best.epoch) == ([{"loss": 0.1 + 0.2}], 0.5, 1)
    assert (back.running.batches, float(back.running.loss)) == (5, 5.0)


def test_what_is_saved_is_the_state_of_that_moment(tmp_path: Path) -> None:
    state = _state(2, 5)
    checkpoints = _open(tmp_path)
    checkpoints.save(state)
    nn.init.zeros_(state.engine.model.weight)  # type: ignore[arg-type]
    checkpoints.settle()
    assert _restored(tmp_path).engine.model.weight.mean().item() == pytest.approx(2.05)  # type: ignore[operator]


@pytest.mark.parametrize("damage", [b"", b"argosy", None])
def test_a_damaged_one_is_skipped_with_a_warning_and_removed_later(
    damage: bytes | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    _, last = _saved(tmp_path, (2, 0), (3, 0))
    data = (tmp_path / last).read_bytes()
    (tmp_path / last).write_bytes(data[:-100] if damage is None else damage)
    checkpoints = _open(tmp_path)
    assert f"{last} is " in caplog.text
    assert "looking for the one before" in caplog.text
    state = _state()
    checkpoints.restore(state)
    assert state.position == (2, 0)
    checkpoints.save(_state(2, 5))
    checkpoints.settle()
    assert [path.name[6:26] for path in sorted(tmp_path.iterdir())] == [
        "00002-batch-00000000",
        "00002-batch-00000005",
    ]


def test_where_all_are_damaged_nothing_starts_anew_in_silence(tmp_path: Path) -> None:
    for name in _saved(tmp_path, (2, 0), (3, 0)):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(StepError, match=r"no checkpoint in .* is complete \(epoch-00002-.*: delete .* anew$"):
        _open(tmp_path)


def test_one_of_another_training_is_refused(tmp_path: Path) -> None:
    _saved(tmp_path, (2, 0))
    with pytest.raises(UsageError, match=r"belongs to another training \(learning_rate 0.1, now 0.2\)"):
        _open(tmp_path, OTHER)


def test_one_of_another_build_is_refused(tmp_path: Path) -> None:
    _saved(tmp_path, (2, 0))
    state = _state()
    state.engine.model.register_buffer("new", torch.zeros(1))
    with pytest.raises(StepError, match=r"epoch-00002-.* fits no training of this version: delete"):
        _open(tmp_path).restore(state)


def test_a_finished_training_leaves_its_result_alone(tmp_path: Path) -> None:
    _saved(tmp_path, (2, 0), (3, 0))
    checkpoints = _open(tmp_path)
    checkpoints.finish(Finished("the-run", 0.1 + 0.2))
    assert [path.name for path in tmp_path.iterdir()] == [FINISHED]
    assert _open(tmp_path).finished == Finished("the-run", 0.1 + 0.2)
    with pytest.raises(UsageError, match=r"finished.json belongs to another training"):
        _open(tmp_path, OTHER)


def test_what_a_killed_end_left_behind_is_removed(tmp_path: Path) -> None:
    _saved(tmp_path, (2, 0))
    note = {"identity": IDENTITY.parts, "run_id": "r", "best_val_accuracy": 1.0}
    (tmp_path / FINISHED).write_text(json.dumps(note))
    assert _open(tmp_path).finished == Finished("r", 1.0)
    assert [path.name for path in tmp_path.iterdir()] == [FINISHED]


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"identity": {}, "run_id": "r", "best_val_accuracy": "-"}'][:4]
)
def test_a_damaged_result_is_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / FINISHED).write_text(text)
    with pytest.raises(StepError, match=r"finished.json is damaged: delete .* to start anew"):
        _open(tmp_path)


@dataclass(frozen=True)
class _Full(FolderStore):
    """A folder that takes nothing, and takes its time to say so."""

    seconds: float = 0.0

    def write(self, name: str, data: BytesIO) -> None:
        """Fail, as on a disk that is full."""
        time.sleep(self.seconds)
        raise StepError("the disk is full")


def test_one_that_cannot_be_written_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    checkpoints = Checkpoints(_Full(tmp_path), IDENTITY)
    for epoch in (2, 3):
        checkpoints.save(_state(epoch))
        checkpoints.settle()
    assert caplog.text.count("could not be written, and training goes on: the disk is full") == 2
    checkpoints.finish(Finished("r", 1.0))
    assert "2 checkpoints could not be written" in caplog.text
    assert "the end of the training could not be noted: the disk is full" in caplog.text


def test_the_last_words_tell_what_a_retry_will_find(tmp_path: Path) -> None:
    checkpoints = _open(tmp_path)
    assert checkpoints.save_last(_state(2, 5)) == (
        f"{tmp_path} holds all of it, and the same command goes on from there"
    )
    full = Checkpoints(_Full(tmp_path), IDENTITY)
    full.restore(_state())
    assert full.save_last(_state(2, 7)) == (
        "its checkpoint could not be written (the disk is full); "
        "the same command goes on from the checkpoint before"
    )
    full = Checkpoints(_Full(tmp_path / "other"), IDENTITY)
    assert full.save_last(_state()).endswith("(the disk is full); the same command goes on from the start")


def test_a_store_that_hangs_keeps_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAST_SECONDS", 0.2)
    hanging = Checkpoints(_Full(tmp_path, 5.0), IDENTITY)
    hanging.save(_state(2))
    hanging.save(_state(3))  # left out: the one before is not done
    assert "did not take it within 0 s" in hanging.save_last(_state(3, 1))


@pytest.mark.parametrize("place", ["", "  "])
def test_no_place_keeps_nothing(place: str) -> None:
    checkpoints = open_checkpoints(place, "owner", IDENTITY)
    assert type(checkpoints) is NoCheckpoints
    assert "no checkpoint is kept" in checkpoints.save_last(_state())


def test_every_owner_has_a_folder(tmp_path: Path) -> None:
    open_checkpoints(str(tmp_path), "b6b8-11", IDENTITY)
    open_checkpoints(str(tmp_path), "", IDENTITY)
    assert {path.name for path in tmp_path.iterdir()} == {"b6b8-11", IDENTITY.digest[:32]}


@pytest.mark.parametrize("owner", ["../x", "a/b", ".", "a b", "é", "-x", "x" * 201])
def test_an_owner_that_names_no_folder_is_refused(owner: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot name a folder"):
        open_checkpoints(str(tmp_path), owner, IDENTITY)
