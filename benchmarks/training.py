"""How much sooner the training recipe is done than a plain one, on the same data, network and threads."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch

from argosy.components.training.data.decoded import prepare
from argosy.components.training.data.images import open_folder
from argosy.components.training.data.many_files import VARIABLE
from argosy.components.training.fitting import fit
from argosy.components.training.recipe import Recipe, load
from argosy.stack import dataset
from benchmarks.harness import Result
from benchmarks.plain_training import PlainTraining

ACCURACY = 0.90
SIDE, EPOCHS, SEEDS = 32, 6, (0, 1, 2)  # the size and the epochs of the pipeline on one machine
SOONER = 1 / 3


class _Reached(Exception):
    """The accuracy is high enough; no more needs to be trained."""


class _Watch:
    """A tracker that ends the training where the accuracy is reached."""

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Look at the accuracy."""
        if metrics["val_accuracy"] >= ACCURACY:
            raise _Reached


def train_to_090() -> Result:
    """Seconds from the files to a validation accuracy of 0.90 on the embedded digits, medians over seeds.

    Decoding, training and evaluations count on both sides, imports and the network's very first step on
    neither. Each side computes with one thread, and what is counted is processor time: on a quiet machine
    that is the time that passes, and on a busy one it is still the work that was done.
    """
    with _one_thread(), digits() as root:
        recipe = load().override(epochs=EPOCHS, workers=1)
        pairs = [(ours(root, recipe.override(seed=seed)), plain(root, seed)) for seed in SEEDS]
    value, baseline = (statistics.median(side) for side in zip(*pairs, strict=True))
    note = f"to {ACCURACY:.2f} on digits at {SIDE} px, one thread, processor time, {len(SEEDS)} seeds"
    return Result("train_to_090_vs_plain", value, "s", baseline, value / baseline, SOONER, note)


@contextmanager
def digits() -> Iterator[Path]:
    """The folder of the embedded digits; what both sides make at their very first step is made."""
    with tempfile.TemporaryDirectory(prefix="argosy-bench-") as folder:
        root = Path(folder) / "digits"
        _write(root)
        _warm_up(root)
        yield root


def ours(root: Path, recipe: Recipe, clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of `clock` until our training reaches the accuracy."""
    with empty_cache():
        start = clock()
        data = prepare(open_folder(root), (SIDE, SIDE), recipe.workers)
        try:
            fit(recipe, data, (SIDE, SIDE), _Watch())
        except _Reached:
            return clock() - start
    raise RuntimeError(f"{recipe.epochs} epochs did not reach {ACCURACY}")


def plain(root: Path, seed: int, clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of `clock` until the plain training reaches the accuracy."""
    start = clock()
    # Without worker processes: they would be further threads.
    training = PlainTraining(root, SIDE, batch_size=load().batch_size, workers=0, seed=seed)
    next(accuracy for accuracy in training.epochs() if accuracy >= ACCURACY)
    return clock() - start


def _warm_up(root: Path) -> None:
    """Let both sides' kernels be made before the clock starts."""
    few = root.with_name("few")
    for path in sorted(root.glob("*/*/*.png")):
        target = few / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        if len(list(target.parent.iterdir())) < 8:
            target.write_bytes(path.read_bytes())
    PlainTraining(few, SIDE, batch_size=load().batch_size, workers=0, seed=0).train_epoch()
    with empty_cache():
        recipe = load().override(epochs=1, workers=1)
        fit(recipe, prepare(open_folder(few), (SIDE, SIDE), 1), (SIDE, SIDE), _Silent())


class _Silent:
    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Note nothing."""


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def empty_cache() -> Iterator[None]:
    """Nothing is decoded yet."""
    before = os.environ.get(VARIABLE)
    with tempfile.TemporaryDirectory(prefix="argosy-bench-cache-") as folder:
        os.environ[VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[VARIABLE]
            if before is not None:
                os.environ[VARIABLE] = before


def _write(root: Path) -> None:
    for image in dataset.images():
        path = root / image.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image.png)
