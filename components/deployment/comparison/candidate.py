"""The candidate in Triton, beside the live version, under a name of its own.

Clients that name no version get the highest that serves, so a candidate that is loaded as the next version of
the model takes their requests at once.  It is therefore loaded as another model:

| what | where |
| --- | --- |
| its files, copied inside S3 and verified | models/<model>.candidate-<version>/<version>/ |
| its configuration | the model's own config.pbtxt, given with the load: no file is written |

Where several replicas serve the model, the first one is compared with itself: they serve the same bytes.

The model's own folder, its served versions and their requests are not touched.  Whatever happens, the
candidate is unloaded and its copy deleted; what a killed step left is cleared by its next run, by the
rollback of its workflow, or by prune-versions after a day.

A version that lost the comparison leaves what Triton reads; its record stays, and says why.  Triton fetches
every version of a model at each load, so a version that nobody will serve costs each later deployment its
time.  The number is never given again; whoever wants the model deployed all the same deploys it as a new
version.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from argosy.components.deployment.model.layout import MODEL_FILE, ModelKeys
from argosy.components.deployment.model.triton_config import load_config
from argosy.components.deployment.repository.archive import standing
from argosy.components.deployment.repository.pruning import remove_version
from argosy.components.deployment.repository.versions import folder_of, mark_pruned, model_files, read_record
from argosy.components.deployment.swap.serving import on_each, ready_versions, smoke_test, wait_settled
from argosy.components.deployment.swap.sole import Place, kept
from argosy.components.shared.files import PART_BYTES, Fingerprint
from argosy.components.shared.triton import Triton
from argosy.components.shared.triton_deadline import Deadline, patiently
from argosy.errors import ArgosyError, StepError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

_CLEAR_SECONDS = 60.0
# After an error, which is more often than not Triton's own: its workflow's rollback has more patience.
_QUIET_SECONDS = 10.0
_PATIENCE = 300.0


def _candidate_keys(keys: ModelKeys, version: int) -> ModelKeys:
    """The keys of the copy of a version that is compared: a model of its own to Triton.

    Raises:
        UsageError: the model's name is so long that no more fits behind it.
    """
    return ModelKeys(keys.prefix, f"{keys.model}.candidate-{version}")


@contextmanager
def loaded_beside(place: Place, version: int, owner: str, deadline: Deadline) -> Iterator[str]:
    """Load the candidate for the length of the block; its name in Triton.

    One comparison of a model runs at a time: two would measure each other.

    Args:
        place: the model and its server.
        version: the candidate, published.
        owner: who compares; its own lease, left by a step that was killed, is taken over at once.
        deadline: until when the candidate must answer; clearing up has a minute of its own.

    Raises:
        StepError: the version is not published, Triton refused it or was not done in time, it could not be
            unloaded, or S3 failed.
    """
    aside = replace(place, keys=_candidate_keys(place.keys, version))
    with kept(place.bucket, place.keys.lock("comparison"), owner, deadline.left):
        _clear(aside, version)
        try:
            _copy(place, aside, version)
            _load(place, aside, version, deadline)
            yield aside.model
        except BaseException:
            _clear_quietly(aside, version)
            raise
        _clear(aside, version)


def clear_candidate(place: Place, version: int) -> None:
    """Unload a candidate and delete its copy, where a killed comparison left one.

    Raises:
        StepError: Triton or S3 failed.
    """
    aside = replace(place, keys=_candidate_keys(place.keys, version))
    if next(iter(place.bucket.keys(aside.keys.root)), None) is not None:
        _clear(aside, version)


def _copy(place: Place, aside: Place, version: int) -> None:
    """Copy the version's files inside S3, model.onnx last: before it there is no version to Triton."""
    source, target = folder_of(place.bucket, place.keys, version), aside.keys.version(version)
    if source is None:
        raise StepError(
            f"version {version} of {place.model!r} is not in {place.bucket}: run upload-to-s3 first"
        )
    for name in sorted(model_files(place.bucket, source), key=lambda name: name == MODEL_FILE):
        info = place.bucket.head(source + name)
        if info is None:
            raise StepError(f"{source}{name} vanished while it was copied: something else writes there")
        as_it_is = Fingerprint(info.size, info.sha256, PART_BYTES, ())
        place.bucket.copy_if_absent(source + name, target + name, as_it_is)


def _load(place: Place, aside: Place, version: int, deadline: Deadline) -> None:
    found = place.bucket.read(place.keys.config)
    if found is None:
        raise StepError(f"{place.keys.config} is not in {place.bucket}: run upload-to-s3 first")
    config = {**load_config(found[0].decode("utf-8", "replace"), [version]), "name": aside.model}
    patiently(deadline, lambda: aside.triton.load(aside.model, deadline.left, config))
    wait_settled(aside.triton, aside.model, [version], deadline)
    smoke_test(aside.triton.within(deadline.left), aside.model, version)
    log.info("version %d of %s is loaded as %s, for the comparison alone", version, place.model, aside.model)


def _clear(aside: Place, version: int, seconds: float = _CLEAR_SECONDS) -> None:
    deadline = Deadline.after(seconds)
    # At each replica: the one that comes first now need not be the one that a killed step spoke to.
    on_each(aside, lambda triton: patiently(deadline, lambda: _unload(triton, aside.model, deadline)))
    folder = aside.keys.version(version)
    # model.onnx first: what remains if this is cut off is no version to Triton.
    for key in sorted(aside.bucket.keys(folder), key=lambda key: key != folder + MODEL_FILE):
        aside.bucket.delete(key)


def _unload(triton: Triton, model: str, deadline: Deadline) -> None:
    triton = triton.within(deadline.left)
    if triton.knows(model):  # also one that a killed step's load is still bringing up
        triton.unload(model, deadline.left)
        wait_settled(triton, model, (), deadline)
        log.info("%s is unloaded", model)


def _clear_quietly(aside: Place, version: int) -> None:
    """A failure to clear must not hide why the comparison ended."""
    try:
        _clear(aside, version, _QUIET_SECONDS)
    except ArgosyError as error:
        log.warning("%s is not cleared, the step's next run does it: %s", aside.model, error)


def still_served(place: Place, model: str, version: int) -> bool:
    """Whether a version of `model`, the place's own or the candidate's, answers now.

    Raises:
        StepError: Triton does not tell.
    """
    return version in ready_versions(place.triton, model)


def withdraw(client: MlflowClient, place: Place, version: int, owner: str) -> str:
    """Remove the version whose comparison failed; a second run finishes the first.

    Returns:
        Why it stays; "" where it is gone.

    Raises:
        StepError: its record tells of no failed comparison, or S3, MLflow or Triton failed.
    """
    _check_failed(place, version)
    clear_candidate(place, version)
    with kept(place.bucket, place.keys.lock("serving"), owner, _PATIENCE):
        why = standing(client, place.bucket, place.keys).get(version, "")
        if not why and not mark_pruned(place.bucket, place.keys, version, min_age=0):
            why = "claimed by another deployment meanwhile"
        if why:
            log.warning("version %d of %s stays: it is %s", version, place.model, why)
            return why
        remove_version(place.bucket, place.keys, version)
    return ""


def _check_failed(place: Place, version: int) -> None:
    found = read_record(place.bucket, place.keys, version).get("comparison")
    result = found.get("result") if isinstance(found, dict) else None
    if result != "failed":
        raise StepError(
            f"version {version} of {place.model!r} is not withdrawn: {place.keys.record(version)} tells of "
            f"{'no comparison' if result is None else f'a comparison that {result}'}"
        )
