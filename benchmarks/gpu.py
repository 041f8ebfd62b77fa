"""What a GPU does in a training: each figure is 0 and says so where there is none."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from argosy.components.training.data.batches import load_batches
from argosy.components.training.data.decoded import prepare
from argosy.components.training.data.images import Augmentation, open_folder
from argosy.components.training.fitting import fit
from argosy.components.training.network.engine import choose_algorithms, choose_precision
from argosy.components.training.recipe import Recipe, load
from benchmarks import training
from benchmarks.feeding import Loop
from benchmarks.harness import Result, compare, seconds
from benchmarks.plain_training import PlainTraining

SIZE, IMAGES, VALIDATION, BATCH = (224, 224), 8192, 320, 256
FASTER = 5.0  # images a second, ours over the plain loop's
LOOP = 1 / 0.95  # the loop must reach 0.95 of the images a second


def _on_a_gpu(name: str) -> Callable[[Callable[[], Result]], Callable[[], Result]]:
    def decorate(figure: Callable[[], Result]) -> Callable[[], Result]:
        @wraps(figure)
        def measure() -> Result:
            if torch.cuda.is_available():
                return figure()
            return Result(name, 0.0, "s", note="skipped: no GPU")

        return measure

    return decorate


@_on_a_gpu("train_gpu_images_vs_plain")
def images() -> Result:
    """Images a second in the last of three epochs of a training, against the plain loop.

    The images are JPEG files of photographic size, made up; the plain loop decodes them with a process on
    every core.
    """
    with _photographs() as root:
        plain = PlainTraining(root, SIZE[0], batch_size=BATCH, workers=_cores(), seed=0)
        theirs = [_rate(plain) for _ in range(3)][-1]
        rates = _Rates()
        fit(_recipe(epochs=3), prepare(open_folder(root), SIZE, _cores()), SIZE, rates)
    note = f"{SIZE[0]} px, {torch.cuda.get_device_name()}, limit is the least"
    return Result(
        "train_gpu_images_vs_plain", rates.last, "images/s", theirs, rates.last / theirs, FASTER, note
    )


@_on_a_gpu("train_gpu_loop_vs_memory")
def loop_vs_memory() -> Result:
    """An epoch of a training, against the same steps with batches that lie ready on the GPU."""
    with _photographs() as root:
        precision = choose_precision("auto", SIZE)
        choose_algorithms(precision.device, deterministic=False)
        data = prepare(open_folder(root), SIZE, _cores())
        batches, _ = load_batches(_recipe(epochs=1), data, SIZE, precision.device)
        loop = Loop(precision, Augmentation(SIZE, 0.35, True, torch.Generator().manual_seed(0)))
        ready = list(batches.epoch(1))
        return compare(
            "train_gpu_loop_vs_memory",
            lambda: seconds(lambda: loop.epoch(batches.epoch(1))),
            lambda: seconds(lambda: loop.epoch(ready)),
            LOOP,
            f"an epoch of {len(ready) * BATCH} images at {SIZE[0]} pixels, {precision}",
        )


@_on_a_gpu("train_gpu_to_090_vs_plain")
def to_090() -> Result:
    """Seconds from the files to a validation accuracy of 0.90 on the embedded digits, medians over seeds.

    Decoding, training and evaluations count on both sides, imports and the first kernels on neither.
    """
    with training.digits() as root:
        recipe = load().override(epochs=training.EPOCHS, workers=_cores())
        pairs = [
            (
                training.ours(root, recipe.override(seed=seed), time.perf_counter),
                training.plain(root, seed, time.perf_counter),
            )
            for seed in training.SEEDS
        ]
    value, baseline = (statistics.median(side) for side in zip(*pairs, strict=True))
    note = f"to {training.ACCURACY:.2f} on digits at {training.SIDE} px, {torch.cuda.get_device_name()}"
    return Result("train_gpu_to_090_vs_plain", value, "s", baseline, value / baseline, note=note)


def _cores() -> int:
    return os.cpu_count() or 1


def _recipe(epochs: int) -> Recipe:
    return load().override(epochs=epochs, batch_size=BATCH, workers=_cores())


def _rate(plain: PlainTraining) -> float:
    start = time.perf_counter()
    samples = plain.train_epoch()
    torch.cuda.synchronize()
    return samples / (time.perf_counter() - start)


class _Rates:
    last = 0.0

    def epoch(self, number: int, metrics: dict[str, float]) -> None:
        """Keep the rate of the epoch."""
        self.last = metrics["images_per_second"]


@contextmanager
def _photographs() -> Iterator[Path]:
    """Smooth coloured noise of 400 x 320 pixels, ten classes that differ in nothing: this is about speed."""
    with tempfile.TemporaryDirectory(prefix="argosy-bench-") as folder, training.empty_cache():
        root = Path(folder) / "photographs"
        with ThreadPoolExecutor(_cores()) as pool:
            list(pool.map(lambda number: _photograph(root, number), range(IMAGES + VALIDATION)))
        yield root


def _photograph(root: Path, number: int) -> None:
    chance = np.random.default_rng(number)
    path = root / ("val" if number >= IMAGES else "train") / f"class-{number % 10}" / f"{number:05}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = Image.fromarray(chance.integers(0, 256, (40, 50, 3), dtype=np.uint8))
    coarse.resize((400, 320), Image.Resampling.BICUBIC).save(path, quality=90)
