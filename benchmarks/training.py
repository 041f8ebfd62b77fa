"""How much sooner the training recipe is done than a plain one, on the same data, network and threads."""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from argosy.components.training.data.cache import VARIABLE
from argosy.components.training.data.dataset import open_folder
from argosy.components.training.data.preparation import prepare
from argosy.components.training.fitting.fit import fit
from argosy.components.training.recipe.config import Recipe, load
from argosy.stack import dataset
from benchmarks.harness import Result
from benchmarks.plain_training import PlainTraining

ACCURACY = 0.90
SIDE, EPOCHS, SEEDS = 32, 6, (0, 1, 2)  # the size and the epochs of the pipeline on one machine
SOONER = 1 / 3

GPU_SIDE, GPU_IMAGES, GPU_BATCH = 224, 8192, 256
GPU_FASTER = 5.0


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
    with _one_thread(), tempfile.TemporaryDirectory(prefix="argosy-bench-") as folder:
        root = Path(folder) / "digits"
        _write(root)
        _warm_up(root)
        recipe = load().override(epochs=EPOCHS, workers=1)
        pairs = [(_ours(root, recipe.override(seed=seed)), _plain(root, seed)) for seed in SEEDS]
    value, baseline = (statistics.median(side) for side in zip(*pairs, strict=True))
    note = f"to {ACCURACY:.2f} on digits at {SIDE} px, one thread, processor time, {len(SEEDS)} seeds"
    return Result("train_to_090_vs_plain", value, "s", baseline, value / baseline, SOONER, note)


def _ours(root: Path, recipe: Recipe) -> float:
    with _empty_cache():
        start = time.process_time()
        data = prepare(open_folder(root), (SIDE, SIDE), recipe.workers)
        try:
            fit(recipe, data, (SIDE, SIDE), _Watch())
        except _Reached:
            return time.process_time() - start
    raise RuntimeError(f"{recipe.epochs} epochs did not reach {ACCURACY}")


def _plain(root: Path, seed: int) -> float:
    start = time.process_time()
    # Without worker processes: they would be further threads.
    training = PlainTraining(root, SIDE, batch_size=load().batch_size, workers=0, seed=seed)
    next(accuracy for accuracy in training.epochs() if accuracy >= ACCURACY)
    return time.process_time() - start


def _warm_up(root: Path) -> None:
    """Let both sides' kernels be made before the clock starts."""
    few = root.with_name("few")
    for path in sorted(root.glob("*/*/*.png")):
        target = few / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        if len(list(target.parent.iterdir())) < 8:
            target.write_bytes(path.read_bytes())
    PlainTraining(few, SIDE, batch_size=load().batch_size, workers=0, seed=0).train_epoch()
    with _empty_cache():
        recipe = load().override(epochs=1, workers=1)
        fit(recipe, prepare(open_folder(few), (SIDE, SIDE), 1), (SIDE, SIDE), _Silent())


class _Silent:
    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Note nothing."""


def gpu_images() -> Result:
    """Images a second in a training on the GPU, in the last of three epochs, against the plain loop.

    The images are JPEG files of photographic size, made up; the plain loop decodes them with a process on
    every core. Without a GPU there is nothing to measure, and the value is 0.
    """
    name = "train_gpu_images_vs_plain"
    if not torch.cuda.is_available():
        return Result(name, 0.0, "images/s", note="skipped: no GPU")
    with tempfile.TemporaryDirectory(prefix="argosy-bench-") as folder, _empty_cache():
        root = Path(folder) / "photographs"
        _write_photographs(root)
        cores = os.cpu_count() or 1
        plain = PlainTraining(root, GPU_SIDE, batch_size=GPU_BATCH, workers=cores, seed=0)
        theirs = [_rate(plain) for _ in range(3)][-1]
        rates = _Rates()
        recipe = load().override(epochs=3, batch_size=GPU_BATCH, workers=cores)
        data = prepare(open_folder(root), (GPU_SIDE, GPU_SIDE), cores)
        fit(recipe, data, (GPU_SIDE, GPU_SIDE), rates)
    note = f"{GPU_SIDE} px, {torch.cuda.get_device_name()}, limit is the least"
    return Result(name, rates.last, "images/s", theirs, rates.last / theirs, GPU_FASTER, note)


def _rate(training: PlainTraining) -> float:
    start = time.perf_counter()
    samples = training.train_epoch()
    torch.cuda.synchronize()
    return samples / (time.perf_counter() - start)


class _Rates:
    last = 0.0

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Keep the rate of the epoch."""
        self.last = metrics["images_per_second"]


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _empty_cache() -> Iterator[None]:
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


def _write_photographs(root: Path) -> None:
    """Smooth coloured noise of 400 x 320 pixels, ten classes that differ in nothing: this is about speed."""
    chance = np.random.default_rng(0)
    for number in range(GPU_IMAGES + 320):
        half = "val" if number >= GPU_IMAGES else "train"
        path = root / half / f"class-{number % 10}" / f"{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(chance.integers(0, 256, (40, 50, 3), dtype=np.uint8))
        coarse.resize((400, 320), Image.Resampling.BICUBIC).save(path, quality=90)
