"""Several processes train together, as one would alone."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil
import pytest
import torch

from argosy.components.training import fitting as module
from argosy.components.training.checkpoints.checkpoint import Identity
from argosy.components.training.checkpoints.checkpoints import NoCheckpoints, open_checkpoints
from argosy.components.training.checkpoints.interruption import interruption
from argosy.components.training.data.images import ImageFolder, open_folder
from argosy.components.training.fitting import ALONE, fit, how_many, team, together
from argosy.components.training.network.model import build_model
from argosy.components.training.recipe import Recipe, load
from argosy.components.training.tracking.metrics import NullTracker
from argosy.errors import StepError, UsageError
from tests.components.training.small import small_network

# So small that images are not shifted, and every process sees what a single one would.
SIZE = (8, 8)


class _Notes:
    """Keeps what the loop reports."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        self.epochs.append(dict(metrics))


def _fitted_small(
    recipe: Recipe, data: ImageFolder
) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    """The same with a network whose gradients travel quickly, in a process of its own."""
    module.starting_model = small_network  # type: ignore[attr-defined]
    return _fitted(recipe, data)


def _fitted(recipe: Recipe, data: ImageFolder) -> tuple[list[dict[str, float]], dict[str, torch.Tensor]]:
    notes = _Notes()
    model = fit(recipe, data, SIZE, notes, team=team()).model
    return notes.epochs, model.state_dict()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(5)
    model = build_model("resnet18", 10)
    for _ in range(20):
        model(torch.rand(8, 3, *SIZE))
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(model.state_dict(), path)
    return path


@pytest.mark.usefixtures("forked")
def test_two_processes_train_what_one_does(digits: ImageFolder, recipe: Recipe, weights: Path) -> None:
    # With a frozen backbone batch norm does not look at a process's share of the batch, and results agree.
    recipe = recipe.override(approach="feature_extraction", weights=str(weights), epochs=2, batch_size=40)
    alone, one = _fitted(recipe, digits)
    both, two = together(2, _fitted, recipe, digits)
    for name, value in one.items():
        assert torch.allclose(value.float(), two[name].float(), atol=1e-4), name
    for ours, theirs in zip(both, alone, strict=True):
        for metric in ("train_loss", "val_loss", "val_accuracy"):
            assert ours[metric] == pytest.approx(theirs[metric], rel=1e-3), metric


@pytest.mark.usefixtures("forked")
def test_two_processes_learn_with_batch_norm_too(digits: ImageFolder, recipe: Recipe) -> None:
    metrics, state = together(
        2, _fitted_small, recipe.override(epochs=4, batch_size=20, learning_rate=0.02), digits
    )
    assert metrics[-1]["train_loss"] < 0.8 * metrics[0]["train_loss"]
    assert metrics[-1]["best_val_accuracy"] > 0.3  # chance is 0.1
    assert all(torch.isfinite(value.float()).all() for value in state.values())


def _first_words(folder: Path) -> tuple[int, int, int]:
    """What each process finds of what the leader wrote, and what the leader says to all."""
    members = team()
    with members.leader_first():
        found = len(list(folder.iterdir()))
        (folder / f"{members.rank}").touch()
    seen = found if members.leads else -found
    return int(members.total(seen)[0]), members.told(members.rank + 7), members.size


@pytest.mark.usefixtures("forked")
def test_the_leader_goes_first_and_speaks_for_all(tmp_path: Path) -> None:
    assert together(2, _first_words, tmp_path) == (-1, 7, 2)


def test_one_process_is_just_called() -> None:
    assert together(1, os.getpid) == os.getpid()
    assert team() is ALONE
    assert ALONE.total(1, 2.5) == [1, 2.5]


def _refuse() -> None:
    if team().rank == 1:
        raise UsageError("dataset: no")
    time.sleep(60)


def _break() -> None:
    if team().rank == 1:
        raise ZeroDivisionError("something unforeseen")
    time.sleep(60)


def _killed() -> None:
    if team().rank == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (_refuse, UsageError, "^dataset: no$"),
        (_break, StepError, "process 1 of the training ended with exit code 1: .*something unforeseen"),
        (_killed, StepError, "process 1 of the training ended with exit code -9"),
    ],
)
def test_one_that_fails_ends_all(function: object, kind: type[Exception], message: str) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with pytest.raises(kind, match=message) as caught:
        together(2, function)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


class _Stopping(_Notes):
    """Tells the launcher to end, once the second epoch is done."""

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        super().epoch(number, metrics)
        if number == 2:
            os.kill(os.getppid(), signal.SIGTERM)


def train_with_checkpoints(recipe: Recipe, data: Path, place: str, stop: bool) -> int:
    """What a step does, with checkpoints and a small network; how many epochs were told."""
    module.starting_model = small_network  # type: ignore[attr-defined]
    members, notes = team(), _Stopping() if stop else _Notes()
    with interruption() as signals:
        images = open_folder(data)
        identity = Identity.of("model", recipe, images, SIZE)
        kept = open_checkpoints(place, "me", identity) if members.leads else NoCheckpoints()
        fit(recipe, images, SIZE, notes if members.leads else NullTracker(), kept, signals, members)
    return len(notes.epochs)


PROGRAM = """
import sys
from pathlib import Path
from argosy.components.training.recipe import load
from argosy.components.training.fitting import together
from argosy.components.training.tracking.metrics import NullTracker
from argosy.errors import ArgosyError
from tests.components.training.fitting.test_parallel import train_with_checkpoints
if __name__ == "__main__":
    recipe = load().override(epochs=8, batch_size=20, workers=1)
    data, place = sys.argv[1:]
    try:
        together(2, train_with_checkpoints, recipe, Path(data), place, True)
    except ArgosyError as error:
        print(error)
        sys.exit(error.exit_code)
"""


@pytest.mark.usefixtures("forked")
def test_a_signal_ends_all_and_the_same_training_goes_on(
    digits: ImageFolder, tmp_path: Path, repository: Path
) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    command = [sys.executable, tmp_path / "program.py", digits.root, tmp_path / "kept"]
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    done = subprocess.run(
        command, cwd=repository, env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    assert done.returncode == 143
    words = done.stdout.strip()
    assert words.startswith("interrupted by SIGTERM in epoch 3, after ")
    assert words.endswith("and the same command goes on from there")
    recipe = load().override(epochs=8, batch_size=20, workers=1)
    assert together(2, train_with_checkpoints, recipe, digits.root, str(tmp_path / "kept"), False) == 8
    for process in psutil.process_iter(["cmdline"]):
        assert str(tmp_path) not in " ".join(process.info["cmdline"] or [])  # nobody is left


@pytest.mark.parametrize(
    ("setting", "batch_size", "message"),
    [
        (3, 64, "batch_size is 64; 3 processes share it evenly if it is a multiple of 3, from 6 up"),
        (2, 2, "batch_size is 2; 2 processes share it"),
    ],
)
def test_a_batch_that_cannot_be_shared_is_refused(setting: int, batch_size: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        how_many(setting, batch_size)


def test_one_process_for_each_gpu() -> None:
    assert how_many("auto", 64 * max(1, torch.cuda.device_count())) == max(1, torch.cuda.device_count())
