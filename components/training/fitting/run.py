"""One tracked training: from the images to the network in MLflow, through any number of interruptions."""

from __future__ import annotations

import json
import logging
import signal
import sys
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from argosy.components.training.checkpoints.checkpoint import Identity
from argosy.components.training.checkpoints.checkpoints import Finished, NoCheckpoints, open_checkpoints
from argosy.components.training.checkpoints.interruption import Interrupted, interruption
from argosy.components.training.data.dataset import open_folder
from argosy.components.training.data.decoded import prepare
from argosy.components.training.data.download import local_folder
from argosy.components.training.data.images import Size
from argosy.components.training.fitting import parallel
from argosy.components.training.fitting.fit import fit
from argosy.components.training.fitting.parallel import how_many, team
from argosy.components.training.network.model import starting_model
from argosy.components.training.recipe import Recipe
from argosy.components.training.tracking.metrics import NullTracker, tracked_run
from argosy.components.training.tracking.report import judge
from argosy.errors import ArgosyError, StepError, UsageError

log = logging.getLogger(__name__)

T = TypeVar("T")

_TAKEN_OVER = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)

# What the launcher has to say is long; failures are told in our own words.
for _name in ("torch.distributed.elastic", "torchelastic-events-null"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)


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
    with parallel.joined() as team:
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
