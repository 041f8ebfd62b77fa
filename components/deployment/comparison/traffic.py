"""The same requests to both versions at the same time, and a look at each pair of answers at once.

The requests are validation images of the training, and recorded ones of clients.

Every client sends a request to one version and then to the other, by turns which of them first: both meet the
same load of the machine, so their latencies can be compared however busy it is.
"""

from __future__ import annotations

import itertools
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import requests
from tritonclient.utils import triton_to_np_dtype

from argosy.components.shared import registry, s3
from argosy.components.shared.run_files import read_real_samples
from argosy.components.shared.triton import ServedModel, Tensor, Triton, TritonRefused
from argosy.errors import StepError, UsageError

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

MOST_RECORDED = 1000
MOST_REQUEST_BYTES = 16 * 2**20
TRAINING_RUN = "pytorch.run_id"  # the tag that Gate 2 puts on a version

WARM_UP = 4
# A percentile of fewer timings says little: few requests are sent several times.
FEWEST_TIMINGS = 100

Inputs = Mapping[str, np.ndarray]
Answer = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Request:
    """One request; `label` is the index of the class that is right, None where nobody knows."""

    inputs: Inputs
    label: int | None = None


@dataclass(frozen=True)
class Served:
    """One version of a model on the server."""

    model: str
    version: int


@dataclass(frozen=True)
class Pair:
    """The outcome of two answers to one request.

    Attributes:
        live_error, candidate_error: why an answer does not count; "" where it does.
        live_seconds, candidate_seconds: how long each took.
        live_right, candidate_right: whether it names the labelled class; None without a label.
        agreement: share of rows that name the same class; None where the output names none.
        difference: the largest absolute difference of an output.
    """

    live_error: str
    candidate_error: str
    live_seconds: float
    candidate_seconds: float
    live_right: bool | None = None
    candidate_right: bool | None = None
    agreement: float | None = None
    difference: float | None = None

    @property
    def both_answered(self) -> bool:
        """Whether both answers count."""
        return not self.live_error and not self.candidate_error


@dataclass(frozen=True)
class Sent:
    """The requests, and how many of each kind.

    Attributes:
        left_out: keys below the prefix that were not sent: no .json, or beyond the first thousand.
    """

    requests: tuple[Request, ...]
    images: int
    recorded: int
    left_out: int


def check_prefix(recorded: str) -> None:
    """Raises UsageError where it is neither empty nor s3://BUCKET/PREFIX."""
    bucket, _, prefix = recorded.removeprefix("s3://").partition("/")
    if recorded and not (recorded.startswith("s3://") and bucket and prefix.strip("/")):
        raise UsageError(f"recorded_requests {recorded[:200]!r} is not s3://BUCKET/PREFIX")


def gather(
    client: MlflowClient, version: ModelVersion, served: ServedModel, images: int, recorded: str, folder: Path
) -> Sent:
    """All requests that both versions get.

    Args:
        client: MLflow's own client, which can read artifacts.
        version: the candidate in MLflow, whose tags lead to its training run.
        served: the live version's inputs.
        images: how many validation images at most; 0: none.
        recorded: s3://BUCKET/PREFIX of recorded requests; empty: none.
        folder: for downloads.

    Raises:
        StepError: there is nothing to send, a recorded request cannot be read, or MLflow or S3 failed.
    """
    samples = _images(client, version, served, images, folder) if images else []
    found, left_out = _recorded(recorded) if recorded else ([], 0)
    if not samples and not found:
        raise StepError(
            f"nothing to compare on: the training of version {version.version} of {version.name!r} left no "
            "validation images; give recorded_requests"
        )
    return Sent((*samples, *found), len(samples), len(found), left_out)


def _images(
    client: MlflowClient, version: ModelVersion, served: ServedModel, count: int, folder: Path
) -> list[Request]:
    run_id = version.tags.get(TRAINING_RUN, "")
    if not run_id:
        log.warning("version %s of %s names no training run: no images", version.version, version.name)
        return []
    run = registry.get_run(client, run_id)
    source = served.inputs[0]
    sample = tuple(source.shape[1:])
    if len(served.inputs) != 1 or source.datatype != "FP32" or min(sample, default=0) < 1:
        log.warning("the model does not take one float32 image: the validation images are not sent")
        return []
    real = read_real_samples(client, run.info.run_id, sample, folder)
    if real is None:
        return []
    chosen = np.linspace(0, len(real) - 1, min(count, len(real))).round().astype(np.int64)
    labels = [None] * len(real) if real.labels is None else [int(label) for label in real.labels]
    return [Request({source.name: np.array(real.inputs[at : at + 1])}, labels[at]) for at in chosen]


def _recorded(prefix: str) -> tuple[list[Request], int]:
    """The requests below a prefix, in the order of their keys, and how many keys were left out."""
    name, _, folder = prefix.removeprefix("s3://").partition("/")
    bucket = s3.connect(name)
    keys = [key for key in bucket.keys(folder.rstrip("/") + "/") if not key.endswith("/")]
    bodies = [key for key in keys if key.endswith(".json")]
    chosen = bodies[:MOST_RECORDED]
    if len(chosen) < len(keys):
        log.warning("%s: %d of %d keys are not sent: no .json, or beyond the first %d",
                    prefix, len(keys) - len(chosen), len(keys), MOST_RECORDED)  # fmt: skip
    if not chosen:
        raise StepError(f"recorded_requests: no .json lies below {prefix}")
    return [_read(bucket, key) for key in chosen], len(keys) - len(chosen)


def _read(bucket: s3.Bucket, key: str) -> Request:
    info = bucket.head(key)
    if info is not None and info.size > MOST_REQUEST_BYTES:
        raise StepError(f"{key} in {bucket} has {info.size} bytes, over {MOST_REQUEST_BYTES}")
    found = bucket.read(key)
    if found is None:
        raise StepError(f"{key} vanished from {bucket} while it was read")
    try:
        tensors = json.loads(found[0])["inputs"]
        return Request({str(tensor["name"]): _array(tensor) for tensor in tensors})
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise StepError(
            f"{key} in {bucket} is not the JSON of an inference request ({type(error).__name__}: {error}): "
            'it looks like {"inputs": [{"name": ..., "shape": ..., "datatype": ..., "data": [...]}]}'
        ) from error


def _array(tensor: dict[str, Any]) -> np.ndarray:
    dtype = triton_to_np_dtype(tensor["datatype"])
    if dtype is None or dtype is np.object_:
        raise ValueError(f"datatype {tensor['datatype']!r}: only numbers can be sent")
    shape = [int(size) for size in tensor["shape"]]
    return np.asarray(tensor["data"], dtype=dtype).reshape(shape)


def send_both(
    triton: Triton, live: Served, candidate: Served, sent: Sequence[Request], concurrency: int
) -> list[Pair]:
    """Send every request to both versions with `concurrency` clients; several times where they are few.

    Raises:
        StepError: the server stopped answering.
    """
    outputs = triton.describe(live.model, live.version).outputs
    rounds = -(-FEWEST_TIMINGS // len(sent))
    clients = [replace(triton, session=requests.Session()) for _ in range(concurrency)]
    work = list(sent) * rounds

    def client(number: int) -> list[Pair]:
        exchange = Exchange(clients[number], live, candidate, outputs)
        for request in itertools.islice(itertools.cycle(sent), WARM_UP):
            exchange(request, candidate_first=False)
        # Its own turns alternate, whatever the number of clients.
        mine = enumerate(work[number::concurrency])
        return [exchange(request, candidate_first=turn % 2 == 1) for turn, request in mine]

    with ThreadPoolExecutor(concurrency) as pool:
        shares = list(pool.map(client, range(concurrency)))
    log.info("%d requests to each version, %d at a time", len(work), concurrency)
    return [pair for share in shares for pair in share]


@dataclass(frozen=True)
class Exchange:
    """One client's way to ask both versions."""

    triton: Triton
    live: Served
    candidate: Served
    outputs: Sequence[Tensor]

    def __call__(self, request: Request, candidate_first: bool) -> Pair:
        """Ask both, and compare.

        Raises:
            TritonUnreachable, TritonTimeout: the server does not answer; that is no answer of a model.
        """
        asked: dict[Served, tuple[Answer | str, float]] = {}
        order = (self.candidate, self.live) if candidate_first else (self.live, self.candidate)
        for served in order:
            asked[served] = self._ask(served, request.inputs)
        (live, live_seconds), (new, seconds) = asked[self.live], asked[self.candidate]
        live_error = live if isinstance(live, str) else self._fault(live)
        new_error = new if isinstance(new, str) else self._fault(new) or _misfit(live, new, live_error)
        if isinstance(live, str) or isinstance(new, str) or live_error or new_error:
            return Pair(live_error, new_error, live_seconds, seconds)
        classes = [_classes(answer[self.outputs[0].name]) for answer in (live, new)]
        right, new_right = (_right(named, request.label) for named in classes)
        agreement, difference = _agreement(*classes), _difference(live, new)
        return Pair("", "", live_seconds, seconds, right, new_right, agreement, difference)

    def _ask(self, served: Served, inputs: Inputs) -> tuple[Answer | str, float]:
        begun = time.perf_counter()
        try:
            answer: Answer | str = self.triton.infer(served.model, served.version, inputs)
        except TritonRefused as error:
            answer = error.reason
        return answer, time.perf_counter() - begun

    def _fault(self, answer: Answer) -> str:
        """Why an answer is none."""
        for output in self.outputs:
            found = answer.get(output.name)
            if found is None:
                return f"the answer has no output {output.name!r}"
            if not np.isfinite(found).all():
                return f"output {output.name!r} has numbers that are not finite"
        return ""


def _misfit(live: Answer | str, new: Answer, live_error: str) -> str:
    """How the form of an answer differs from the live one's, where there is one."""
    if isinstance(live, str) or live_error:
        return ""
    for name, wanted in live.items():
        found = new.get(name)
        if found is None or found.shape != wanted.shape or found.dtype != wanted.dtype:
            is_what = "missing" if found is None else f"{found.dtype} {list(found.shape)}"
            return f"output {name!r} is {is_what}, live answers {wanted.dtype} {list(wanted.shape)}"
    return ""


def _classes(output: np.ndarray) -> np.ndarray | None:
    """The class that each row names; None where a row has no two numbers to choose between."""
    return output.argmax(axis=-1) if output.ndim and output.shape[-1] > 1 and output.size else None


def _right(named: np.ndarray | None, label: int | None) -> bool | None:
    return None if named is None or label is None or named.size != 1 else int(named.ravel()[0]) == label


def _agreement(live: np.ndarray | None, new: np.ndarray | None) -> float | None:
    return None if live is None or new is None else float((live == new).mean())


def _difference(live: Answer, new: Answer) -> float:
    return max(
        (
            float(np.abs(new[name].astype(np.float64) - wanted.astype(np.float64)).max(initial=0.0))
            for name, wanted in live.items()
        ),
        default=0.0,
    )


def percentile(seconds: Sequence[float], percent: int) -> float | None:
    """In milliseconds; None of nothing."""
    return round(float(np.percentile(seconds, percent)) * 1000, 4) if seconds else None


def check_answers(pairs: Sequence[Pair], still_there: Callable[[], bool]) -> None:
    """Make sure that errors are the models' own.

    Raises:
        StepError: the server lost a version meanwhile, or the live version answered nothing at all.
    """
    failed = [pair for pair in pairs if not pair.both_answered]
    if failed and not still_there():
        raise StepError(
            "Triton does not serve both versions any more: it was restarted, or another deployment changed "
            f"what serves ({failed[0].live_error or failed[0].candidate_error}); run the step again"
        )
    if all(pair.live_error for pair in pairs):
        raise StepError(
            f"the live version answered none of {len(pairs)} requests ({pairs[0].live_error}): "
            "there is nothing to compare with"
        )
