"""A whole training: from the images to the network in MLflow, in one process or several, interrupted or not.

Several processes train one network together, each on its share of every batch. `together` lets torchrun's
launcher start them, watch them and end all when one fails. In each of them `team` says which one it is.
Process 0 leads: it alone tracks and keeps checkpoints. On GPUs each has one of its own; without GPUs they
share the CPU.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from torch.nn.parallel import DistributedDataParallel

from argosy.components.training.checkpoints.checkpoint import Identity, TrainingState
from argosy.components.training.checkpoints.checkpoints import Finished, NoCheckpoints, open_checkpoints
from argosy.components.training.checkpoints.interruption import Interrupted, Interruption, interruption
from argosy.components.training.data.batches import Feed, augmentation, load_batches
from argosy.components.training.data.decoded import prepare
from argosy.components.training.data.download import local_folder
from argosy.components.training.data.images import ImageFolder, Size, open_folder
from argosy.components.training.network.engine import (
    Engine,
    Precision,
    choose_algorithms,
    choose_precision,
    compiled,
    settle,
    statistics,
)
from argosy.components.training.network.model import build_optimizer, build_schedule, starting_model
from argosy.components.training.recipe import Recipe
from argosy.components.training.tracking.metrics import NullTracker, Tracker, tracked_run
from argosy.components.training.tracking.report import judge
from argosy.errors import ArgosyError, StepError, UsageError

log = logging.getLogger(__name__)

T = TypeVar("T")

_TAKEN_OVER = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
# PyTorch's allocator for the CPU raises a plain RuntimeError; these are the words of its platforms.
_CPU_WORDS = ("can't allocate memory", "not enough memory", "Cannot allocate memory", "std::bad_alloc")
# The leader may download and decode for long while the others wait; the launcher notices when it ends.
_PATIENCE = timedelta(hours=24)

# What the launcher has to say is long; failures are told in our own words.
for _name in ("torch.distributed.elastic", "torchelastic-events-null"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


@dataclass(frozen=True)
class Team:
    """This process among those that train together; alone, nothing needs to be agreed on."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process tracks and keeps checkpoints."""
        return self.rank == 0

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """The block runs in the leader, and then in the others: they find what it has prepared."""
        if not self.leads:
            dist.barrier()
        yield
        if self.leads and self.size > 1:
            dist.barrier()

    def told(self, value: T) -> T:
        """The leader's value."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def total(self, *numbers: float) -> list[float]:
        """Each number, added up over all processes; float64."""
        if self.size == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64, device=_device())
        dist.all_reduce(sums)
        return sums.tolist()

    def average(self, tensors: list[Tensor]) -> None:
        """Replace each tensor, in place, by its mean over all processes."""
        if self.size == 1:
            return
        for tensor in tensors:
            dist.all_reduce(tensor)
            tensor /= self.size

    def spread(self, model: nn.Module) -> nn.Module:
        """The model, with gradients that become their means over all processes.

        Batch norm looks at each process's share of a batch alone; `average` its statistics afterwards.
        """
        return model if self.size == 1 else DistributedDataParallel(model, forward_sync_buffers=False)

    def catch_up(self, state: TrainingState, seed: int) -> None:
        """Every process goes on from the leader's state, with random changes of images of its own."""
        if self.size == 1:
            return
        saved = self.told(state.snapshot() if self.leads else {})
        if not self.leads:
            state.restore(saved)
            state.augmentation.manual_seed(seed + self.rank * 1_000_003 + state.epoch)


ALONE = Team()


def run_training(
    recipe: Recipe, dataset: str, size: Size, *, model_name: str, checkpoint: str, owner: str
) -> Finished:
    """Train `recipe` on `dataset` at `size` (height, width) in experiment `model_name`, or finish it.

    With a `checkpoint` place the same call goes on where an earlier one of the same `owner` was cut off, in
    the same MLflow run; after one that came to its end it returns that one's result. Where the recipe wants
    several processes, they train together.

    Raises:
        UsageError: the data set, the place or a value of the recipe is wrong, or the checkpoints there belong
            to another training.
        StepError: the training, S3 or MLflow failed.
        Interrupted: a signal asked for the end.
    """
    count = how_many(recipe.processes, recipe.batch_size)
    done = together(count, _train, recipe, dataset, size, model_name, checkpoint, owner)
    assert done is not None  # the leader's
    return done


def _train(
    recipe: Recipe, dataset: str, size: Size, model_name: str, checkpoint: str, owner: str
) -> Finished | None:
    """The same, in each of the processes that train together; the leader's result, for the others none."""
    members = team()
    with interruption() as signals:
        with members.leader_first():
            folder = open_folder(local_folder(dataset, workers=recipe.workers))
            data = prepare(folder, size, recipe.workers)
            if recipe.pretrained:
                # Weights that do not fit are refused before there is a run.
                starting_model(recipe, len(data.classes))
        checkpoints = NoCheckpoints()
        if members.leads:
            checkpoints = open_checkpoints(checkpoint, owner, Identity.of(model_name, recipe, data, size))
        finished = members.told(checkpoints.finished)
        if finished is not None:
            return finished
        if not members.leads:
            fit(recipe, data, size, NullTracker(), checkpoints, signals, members)
            return None
        training, run_id = checkpoints.training, checkpoints.run_id
        with tracked_run(model_name, recipe, training=training, run_id=run_id, owner=owner) as run:
            checkpoints.run_id = run.run_id
            run.data(dataset, data, size)
            fitted = fit(recipe, data, size, run, checkpoints, signals, members)
            run.model(fitted.model, size)
            run.report(*judge(fitted.model, recipe, data, size), data)
            signals.check()  # a library may have swallowed a signal, and stored but half of this
        result = Finished(run.run_id, fitted.best_val_accuracy)
        checkpoints.finish(result)
        return result


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


def seed_everything(seed: int) -> None:
    """Start all global random number generators from `seed`."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


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


def how_many(setting: int | Literal["auto"], batch_size: int) -> int:
    """How many processes a recipe's `processes` means here: auto is one for each GPU, at least one.

    Raises:
        UsageError: there are fewer GPUs, or a batch cannot be shared evenly.
    """
    gpus = torch.cuda.device_count()
    count = max(1, gpus) if setting == "auto" else setting
    if gpus and count > gpus:
        raise UsageError(f"processes is {count}, and this machine has {gpus} GPUs, one for each at most")
    if batch_size % count or batch_size < 2 * count:
        raise UsageError(
            f"batch_size is {batch_size}; {count} processes share it evenly if it is a multiple of {count}, "
            f"from {2 * count} up"
        )
    return count


def together(count: int, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """The result of `function` in the leader of `count` processes that all call it; one just calls it.

    Function, arguments and result travel between processes, so they must be picklable. When one process
    fails, or this one is told to end, all end.

    Raises:
        UsageError, StepError: as `function` raised it in the process that failed first.
        StepError: a process crashed or was killed.
        Interrupted: a signal asked for the end.
    """
    if count == 1:
        return function(*args, **kwargs)
    with tempfile.TemporaryDirectory(prefix="argosy-team-") as folder, _handlers_put_back():
        launch = elastic_launch(_settings(count), _member)
        log.info("training in %d processes", count)
        try:
            results = launch(Path(folder), logging.getLogger().level, function, args, kwargs)
        except ChildFailedError as error:
            raise _first_error(Path(folder)) or _crash(error) from error
        except SignalException as error:
            told = _first_error(Path(folder), leader=True)
            if isinstance(told, Interrupted):
                raise told from None
            raise Interrupted(error.sigval, "while several processes trained") from None
    result: T = results[0]
    return result


@contextmanager
def _handlers_put_back() -> Iterator[None]:
    """The launcher takes over signals, and leaves them so."""
    handlers = {number: signal.getsignal(number) for number in _TAKEN_OVER}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _settings(count: int) -> LaunchConfig:
    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="127.0.0.1:0",  # a free port of this machine
        local_addr="127.0.0.1",
        max_restarts=0,
        monitor_interval=0.5,
    )


def _member(
    folder: Path, level: int, function: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> T:
    """One of the processes: join the others, call the function, leave a note of what goes wrong."""
    with joined() as team:
        # The leader speaks for all.
        logging.basicConfig(level=level if team.leads else logging.WARNING)
        try:
            return function(*args, **kwargs)
        except ArgosyError as error:
            note = {"text": str(error), "code": error.exit_code, "signal": getattr(error, "number", 0)}
            (folder / f"{team.rank}.json").write_text(json.dumps(note), encoding="utf-8")
            sys.exit(error.exit_code)


def _first_error(folder: Path, *, leader: bool = False) -> ArgosyError | None:
    """The error that the process that failed first, or the leader, left a note of."""
    notes = sorted(folder.glob("0.json" if leader else "*.json"), key=lambda path: path.stat().st_mtime_ns)
    if not notes:
        return None
    note = json.loads(notes[0].read_text(encoding="utf-8"))
    if note["signal"]:
        return Interrupted(
            note["signal"], note["text"].partition(f"{signal.Signals(note['signal']).name} ")[2]
        )
    return (UsageError if note["code"] == UsageError.exit_code else StepError)(note["text"])


def _crash(error: ChildFailedError) -> StepError:
    rank, failure = error.get_first_failure()
    words = failure.message  # plain, or within what the launcher notes about an exception
    text = str(words["message"] if isinstance(words, dict) else words).strip()
    last = text.splitlines()[-1] if text else "it left no word"
    return StepError(f"process {rank} of the training ended with exit code {failure.exitcode}: {last}")


def team() -> Team:
    """This process's place among those that train together; `ALONE` outside of `together`."""
    return Team(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else ALONE


@contextmanager
def joined() -> Iterator[Team]:
    """Within the block this process belongs to the team that its launcher's environment names."""
    rank, local = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    on_gpus = torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(local)
    else:
        torch.set_num_threads(max(1, torch.get_num_threads() // int(os.environ["WORLD_SIZE"])))
    dist.init_process_group("nccl" if on_gpus else "gloo", rank=rank, timeout=_PATIENCE)
    try:
        yield team()
    finally:
        dist.destroy_process_group()


def _device() -> torch.device:
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
