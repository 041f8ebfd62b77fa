"""Where a training run reports to, MLflow or nowhere; and where it comes from: its data set and its tags."""

from __future__ import annotations

import json
import logging
import os
import platform
import re
import resource
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Protocol, TypeVar

import mlflow
import mlflow.pytorch
import numpy as np
import torch
from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from requests.exceptions import RequestException
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_exponential
from torch import nn

from argosy import __version__
from argosy.components.shared.registry import mlflow_errors
from argosy.components.shared.retries import before_next
from argosy.components.training.checkpoints.interruption import Interrupted
from argosy.components.training.data.images import MEAN, STD, CachedImages, ImageFolder, Size, StreamedImages
from argosy.components.training.recipe import Recipe
from argosy.components.training.tracking.report import Predictions, write_report, write_samples

log = logging.getLogger(__name__)

_MIB = 1 << 20
T = TypeVar("T")
PATIENCE = "ARGOSY_MLFLOW_PATIENCE"
_PATIENCE_SECONDS = 120.0
_TRAINING_TAG = "argosy.training"  # which training a run belongs to, wherever its process dies
MODEL = "model"  # the name of the network within its run
_FINGERPRINT_TAG = "dataset.fingerprint"
_FAILURE_TAG = "failure"
_REPORT = "evaluation"  # the folder of the run's artifacts that holds tables and pictures
_SHOWN = 300  # characters of an error
_DIGEST_LENGTH = 36  # the longest that MLflow takes
COMMIT = "ARGOSY_GIT_COMMIT"
IMAGE = "ARGOSY_IMAGE"
_HERE = Path(__file__).resolve().parent
_NODE = re.compile(r"(?P<workflow>.+?)(-[0-9]{5,})?")  # Argo appends a number to the workflow's name


def peak_memory_mib() -> float:
    """MiB: of the GPU's memory what tensors took at most, or without a GPU this process's largest size."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / _MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB


def patiently(call: Callable[[], T]) -> T:
    """The result of `call`, repeated while MLflow cannot be reached or is overloaded.

    MLflow's client repeats each request for a few seconds by itself. This goes on for PATIENCE_SECONDS, or as
    many as $ARGOSY_MLFLOW_PATIENCE says; then the last error is raised. An error of the request itself is
    raised at once.
    """
    for attempt in Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_delay(float(os.environ.get(PATIENCE) or _PATIENCE_SECONDS)),
        wait=wait_exponential(max=10),
        before_sleep=before_next(log),
        reraise=True,
    ):
        with attempt:
            return call()
    raise AssertionError("tenacity ends with a result or an error")


def is_transient(error: BaseException) -> bool:
    """Whether MLflow's client gave up on a connection, a timeout or a server's 5xx: a later try may do."""
    if isinstance(error, RequestException):
        return True
    return isinstance(error, MlflowException) and str(error).startswith("API request to")


def _open_run(name: str, tags: dict[str, str], training: str, run_id: str) -> mlflow.ActiveRun:
    """Start a run in the active experiment, or go on in the one that this training began.

    Args:
        name: of a new run.
        tags: written either way.
        training: what the run is found by if its process died before the first checkpoint; empty: never.
        run_id: the run that the checkpoint names; empty: there is none.

    Raises:
        StepError: MLflow failed, or has no such run.
    """
    run_id = run_id or (_unfinished(training) if training else "")
    action = f"go on in run {run_id}, which this training began" if run_id else f"start run {name!r}"
    with mlflow_errors(action):
        if run_id:
            return mlflow.start_run(run_id=run_id, tags=tags)
        return mlflow.start_run(run_name=name, tags={**tags, _TRAINING_TAG: training} if training else tags)


def _epochs_of(run_id: str) -> set[int]:
    """The epochs whose metrics the run has.

    Raises:
        StepError: MLflow failed.
    """
    with mlflow_errors(f"read the metrics of run {run_id}"):
        return {metric.step for metric in MlflowClient().get_metric_history(run_id, "epoch_time")}


def _unfinished(training: str) -> str:
    """The id of the newest run of this training that did not end well; empty where there is none."""
    condition = f"tags.`{_TRAINING_TAG}` = '{training}' and attributes.status != 'FINISHED'"
    with mlflow_errors("look for the run that this training began"):
        runs = mlflow.search_runs(filter_string=condition, max_results=1, output_format="list")
    return str(runs[0].info.run_id) if runs else ""


class Tracker(Protocol):
    """Tracking as the training loop sees it."""

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Record the metrics of epoch `number`, counted from 1."""


class NullTracker:
    """Records nothing."""

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Forget the metrics."""


class MlflowTracker:
    """Records into the active MLflow run `run_id`; what it has already, from before a restart, stays."""

    def __init__(self, run: mlflow.ActiveRun) -> None:
        self.run_id = str(run.info.run_id)
        self._params = set(run.data.params)
        self._epochs = _epochs_of(self.run_id) if self._params else set()
        self._history: dict[int, dict[str, float]] = {}

    def params(self, params: Mapping[str, object]) -> None:
        """Log parameters of the run.

        Raises:
            StepError: MLflow failed.
        """
        with mlflow_errors(f"record the parameters of run {self.run_id}"):
            mlflow.log_params({key: value for key, value in params.items() if key not in self._params})

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """Log all metrics of one epoch, and the peak of the memory, in one request.

        A server that is away for a while is waited for.

        Raises:
            StepError: MLflow failed.
        """
        self._history[number] = dict(metrics)
        if number in self._epochs:
            return
        values = {**metrics, "peak_memory_mib": peak_memory_mib()}
        now = int(time.time() * 1000)  # a repeated request brings nothing new, so that nothing is there twice
        with mlflow_errors(f"record epoch {number} of run {self.run_id}"):
            patiently(lambda: mlflow.log_metrics(values, step=number, timestamp=now))

    def data(self, dataset: str, data: ImageFolder, size: Size) -> None:
        """Log where the images come from, exactly which they are, their classes and how to prepare one.

        Raises:
            StepError: MLflow failed.
        """
        self.params(_data_params(dataset, data, size))
        with mlflow_errors(f"record the data set of run {self.run_id}"):
            mlflow.set_tags({_FINGERPRINT_TAG: data.fingerprint(), "dataset.source": dataset})
            mlflow.log_dict(list(data.classes), "labels.json")  # type: ignore[arg-type]
            mlflow.log_dict(preparation(size), "preprocessing.json")
            mlflow.log_dict(description(dataset, data), "dataset.json")
            MlflowClient().log_inputs(self.run_id, [_as_input(dataset, data)])

    def report(
        self, predictions: Predictions, images: CachedImages | StreamedImages, data: ImageFolder
    ) -> None:
        """Log what the network says about the validation images, as tables and pictures; keep some of them.

        Raises:
            StepError: MLflow failed.
        """
        with (
            tempfile.TemporaryDirectory(prefix="argosy-") as scratch,
            tempfile.TemporaryDirectory(prefix="argosy-") as samples,
            mlflow_errors(f"store the evaluation of run {self.run_id}"),
        ):
            write_samples(Path(samples), images, predictions.labels)
            patiently(lambda: mlflow.log_artifacts(samples))
            write_report(Path(scratch), predictions, data, images, self._history)
            patiently(lambda: mlflow.log_artifacts(scratch, _REPORT))

    def model(self, model: nn.Module, size: Size) -> None:
        """Log the network as the run's model, as an exported program: loading it runs no pickled code.

        `model` must be on the CPU and in evaluation mode, for it is traced as it is. The example holds two
        images: traced with one, the program would accept no other batch size.

        Raises:
            StepError: MLflow failed.
        """
        requirements = [f"{name}=={version(name).partition('+')[0]}" for name in ("torch", "numpy")]
        with mlflow_errors(f"store the model of run {self.run_id}"):
            mlflow.pytorch.log_model(
                model,
                name=MODEL,
                input_example=np.zeros((2, 3, *size), dtype=np.float32),
                pip_requirements=requirements,
                serialization_format="pt2",
            )


@contextmanager
def tracked_run(
    model_name: str, recipe: Recipe, *, training: str = "", run_id: str = "", owner: str = ""
) -> Iterator[MlflowTracker]:
    """A run in experiment `model_name`: Finished if the block ends well, Killed by a signal, else Failed.

    It is the run `run_id`, or the one that `training` began before it was cut off; else a new one. `owner` is
    the workflow's uid. A tag tells why a run failed.

    Raises:
        StepError: MLflow failed.
    """
    with mlflow_errors(f"open experiment {model_name!r}"):
        mlflow.set_experiment(model_name)
    tags = {
        "step": "train",
        "model_name": model_name,
        "approach": recipe.approach,
        "architecture": recipe.architecture,
        **origin(owner),
        **machine(),
    }
    run = _open_run(f"train-{model_name}", tags, training, run_id)
    try:
        if _FAILURE_TAG in run.data.tags:
            with mlflow_errors(f"go on in run {run.info.run_id}"):
                mlflow.delete_tag(_FAILURE_TAG)
        tracker = MlflowTracker(run)
        tracker.params(asdict(recipe))
        yield tracker
    except BaseException as error:
        _give_up(error)
        raise
    with mlflow_errors(f"close run {run.info.run_id}"):
        # `end_run` forgets the run before it tells the server, so that alone it could not be repeated.
        patiently(lambda: MlflowClient().set_terminated(run.info.run_id))
        mlflow.end_run()


def _give_up(error: BaseException) -> None:
    """Close the active run as it ended. Where MLflow cannot be told, the error itself matters more."""
    killed = isinstance(error, Interrupted | KeyboardInterrupt | SystemExit)
    reason = (str(error).strip() or type(error).__name__).splitlines()[0][:_SHOWN]
    try:
        try:
            mlflow.set_tag(_FAILURE_TAG, reason)
        finally:
            mlflow.end_run("KILLED" if killed else "FAILED")
    except (MlflowException, RequestException) as trouble:
        log.warning("MLflow could not be told that the run ended: %s", type(trouble).__name__)


def _data_params(dataset: str, data: ImageFolder, size: Size) -> dict[str, object]:
    """Parameters of a run in which two runs must agree to be compared."""
    return {
        "dataset": dataset,
        "dataset_fingerprint": data.fingerprint(),
        "train_images": len(data.train),
        "val_images": len(data.val),
        "skipped_images": len(data.skipped),
        "classes": len(data.classes),
        "image_size": f"{size[0]}x{size[1]}",
    }


def preparation(size: Size) -> dict[str, object]:
    """How an image becomes the network's input: what a client of the model has to do too."""
    return {"size": list(size), "resize": "cover, then centre crop", "mean": MEAN, "std": STD}


def description(dataset: str, data: ImageFolder) -> dict[str, object]:
    """Source, fingerprint, images of each class, and what was left out and why."""
    return {
        "source": dataset,
        "fingerprint": data.fingerprint(),
        "classes": data.counts(),
        "ignored_files": data.ignored,
        "skipped_images": [
            {"file": one.file.relative_to(data.root).as_posix(), "reason": one.reason} for one in data.skipped
        ],
    }


def _as_input(dataset: str, data: ImageFolder) -> DatasetInput:
    """The data set as MLflow lists it beside a run."""
    listed = Dataset(
        name=dataset.rstrip("/").rpartition("/")[2] or dataset,
        digest=data.fingerprint()[:_DIGEST_LENGTH],
        source_type="s3" if dataset.startswith("s3://") else "local",
        source=json.dumps({"uri": dataset}),
        profile=json.dumps(data.counts()),
    )
    return DatasetInput(listed, [InputTag("mlflow.data.context", "training")])


def origin(owner: str = "", environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Where the work was asked for; what is not known has no tag.

    Args:
        owner: the workflow's uid.
        environment: `ARGOSY_GIT_COMMIT` and `ARGOSY_IMAGE` are set in an image, the names of workflow and
            node by Argo.
    """
    known = {
        "argosy_version": __version__,
        "git_commit": environment.get(COMMIT) or _commit_of(_HERE),
        "image": environment.get(IMAGE, ""),
        "workflow": environment.get("ARGO_WORKFLOW_NAME")
        or _workflow_of(environment.get("ARGO_NODE_ID", "")),
        "workflow_uid": owner,
    }
    return {name: value for name, value in known.items() if value}


def machine() -> dict[str, str]:
    """The machine: two runs whose speed is compared should agree in these."""
    gpu = torch.cuda.is_available()
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name() if gpu else _processor(),
        "threads": str(torch.get_num_threads()),
    }


def _workflow_of(node: str) -> str:
    match = _NODE.fullmatch(node)
    return match["workflow"] if match else ""


def _commit_of(folder: Path) -> str:
    """The commit of the checkout that `folder` is in, `-dirty` where files differ from it; else empty."""
    command = ["git", "-C", str(folder), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
