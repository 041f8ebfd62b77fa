"""The training run itself, in the order in which it happens."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from argosy.components.training.checkpoints.checkpoint import TrainingState
from argosy.components.training.checkpoints.checkpoints import NoCheckpoints
from argosy.components.training.checkpoints.interruption import Interrupted, Interruption
from argosy.components.training.data.batches import Feed, augmentation, load_batches
from argosy.components.training.data.dataset import ImageFolder
from argosy.components.training.data.images import Size
from argosy.components.training.fitting.parallel import ALONE, Team
from argosy.components.training.network.engine import Engine, compiled, settle, statistics
from argosy.components.training.network.model import build_optimizer, build_schedule, starting_model
from argosy.components.training.network.precision import Precision, choose_algorithms, choose_precision
from argosy.components.training.recipe import Recipe
from argosy.components.training.tracking.metrics import Tracker
from argosy.errors import StepError

# PyTorch's allocator for the CPU raises a plain RuntimeError; these are the words of its platforms.
_CPU_WORDS = ("can't allocate memory", "not enough memory", "Cannot allocate memory", "std::bad_alloc")


@contextmanager
def memory_errors(work: str, remedy: str) -> Iterator[None]:
    """Turn every way to run out of memory within the block into a `StepError`.

    Args:
        work: what needed the memory, as "training resnet18 with batch_size 64".
        remedy: what the user may do, as "lower batch_size".
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise StepError(f"the GPU's memory is too small for {work}: {remedy}") from error
    except MemoryError as error:
        raise StepError(f"the memory is too small for {work}: {remedy}") from error
    except RuntimeError as error:
        if not any(words in str(error) for words in _CPU_WORDS):
            raise
        raise StepError(f"the memory is too small for {work}: {remedy}") from error


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fitted:
    """A trained network with the weights of its best epoch, on the CPU, in evaluation mode."""

    model: nn.Module
    best_val_accuracy: float
    best_epoch: int


def fit(
    recipe: Recipe,
    data: ImageFolder,
    size: Size,
    tracker: Tracker,
    checkpoints: NoCheckpoints | None = None,
    interruption: Interruption | None = None,
    team: Team = ALONE,
) -> Fitted:
    """Train `recipe` on `data` at `size` (height, width in pixels), and tell `tracker` about each epoch.

    A training that was cut off goes on from the last of its `checkpoints`, and on a CPU ends with the very
    numbers of one that was not. All processes of a `team` call this, and only the leader with a real tracker
    and real checkpoints.

    Raises:
        UsageError: the recipe asks for what this machine cannot do.
        StepError: an image cannot be decoded, the loss is not finite, or the memory is too small.
        Interrupted: a signal asked for the end; the checkpoints hold all steps that were made.
    """
    checkpoints, interruption = checkpoints or NoCheckpoints(), interruption or Interruption()
    work = f"{recipe.architecture} at {size[0]}x{size[1]} with batch_size {recipe.batch_size}"
    with memory_errors(work, "lower batch_size, cache_gib or the size in input_shape"):
        seed_everything(recipe.seed)
        precision = choose_precision(recipe.precision, size)
        choose_algorithms(precision.device, deterministic=recipe.deterministic)
        train, val = load_batches(recipe, data, size, precision.device, (team.rank, team.size))
        engine = _engine(recipe, precision, len(data.classes), len(train), team)
        state = TrainingState(engine, torch.Generator().manual_seed(recipe.seed + 1))
        augment = augmentation(
            recipe, data, size, state.augmentation, lambda: engine.steps / (recipe.epochs * len(train))
        )
        feed = Feed(train, val, size, augment, recipe.batch_norm_images)
        log.info("training %s on %d images, %s", recipe.architecture, train.samples, precision)

        checkpoints.restore(state)
        team.catch_up(state, recipe.seed)
        for number, metrics in enumerate(state.history, start=1):
            tracker.epoch(number, metrics)  # what was told before is not told twice
        with _settled(checkpoints), _saved_when_interrupted(state, checkpoints, interruption):
            while (epoch := state.epoch) <= recipe.epochs:
                metrics = _run_epoch(state, feed, team, interruption.check)
                state.end_epoch(metrics)
                checkpoints.save(state)
                tracker.epoch(epoch, metrics)
                log.info("%s", _progress(epoch, recipe.epochs, metrics))
        return Fitted(state.best.restore(engine.model), state.best.score, state.best.epoch)


def seed_everything(seed: int) -> None:
    """Start all global random number generators from `seed`."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def _run_epoch(state: TrainingState, feed: Feed, team: Team, between: Callable[[], None]) -> dict[str, float]:
    """The rest of the epoch under way, then an evaluation; the epoch's metrics.

    `between` is called after each step and each batch of the evaluation. Where it raises, `state` is as after
    that step.
    """
    engine, epoch, running = state.engine, state.epoch, state.running
    with running.clock():
        batches = feed.training(epoch, running.batches)
        train_loss = engine.train_epoch(batches, feed.augment, running, between)
    start = time.perf_counter()
    if feed.settling_images:
        settle(engine, feed.settling(epoch), feed.at_rest, between)
    team.average(statistics(engine.model))
    result = engine.evaluate(feed.validation(), feed.as_is, between)
    state.best.offer(result.accuracy, epoch, engine.model)
    return {
        "best_val_accuracy": state.best.score,
        "val_accuracy": result.accuracy,
        "val_loss": result.loss,
        "train_loss": train_loss,
        "epoch_time": running.seconds + time.perf_counter() - start,
        "learning_rate": engine.learning_rate,
        "images_per_second": running.samples * team.size / running.seconds,
    }


@contextmanager
def _settled(checkpoints: NoCheckpoints) -> Iterator[None]:
    """No write of a checkpoint is under way when the block has ended, or it was given up with a warning.

    An interruption does not wait: its last save has, and a pod that is told to go has no time to wait twice.
    """
    try:
        yield
    except Interrupted:
        raise
    except Exception:
        checkpoints.settle()
        raise
    checkpoints.settle()


@contextmanager
def _saved_when_interrupted(
    state: TrainingState, checkpoints: NoCheckpoints, interruption: Interruption
) -> Iterator[None]:
    """Signals within the block come to `interruption.check`; what that raises saves the state first."""
    try:
        with interruption.held():
            yield
    except Interrupted as signal:
        if state.running.samples:
            state.running.mean_loss()  # raises where the loss is not finite: no state to go on from
        where = f"in epoch {state.epoch}, after {state.running.batches} of its batches"
        raise Interrupted(signal.number, f"{where}; {checkpoints.save_last(state)}") from None


def _engine(recipe: Recipe, precision: Precision, classes: int, steps_per_epoch: int, team: Team) -> Engine:
    model = precision.place(starting_model(recipe, classes))
    optimizer = build_optimizer(model, recipe)
    return Engine(
        model=model,
        forward=compiled(team.spread(model), wanted=recipe.compile),
        criterion=nn.CrossEntropyLoss(label_smoothing=recipe.label_smoothing),
        optimizer=optimizer,
        schedule=build_schedule(optimizer, recipe, steps_per_epoch),
        scaler=precision.scaler(),
        precision=precision,
        total=team.total,
    )


def _progress(epoch: int, epochs: int, metrics: dict[str, float]) -> str:
    return (
        f"progress: epoch {epoch}/{epochs}  train_loss {metrics['train_loss']:.3f}  "
        f"val_loss {metrics['val_loss']:.3f}  val_accuracy {metrics['val_accuracy']:.4f}  "
        f"best {metrics['best_val_accuracy']:.4f}  "
        f"{metrics['images_per_second']:.0f} images/s  {metrics['epoch_time']:.1f} s"
    )
