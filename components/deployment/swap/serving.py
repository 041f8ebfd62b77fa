"""Triton's versions of a model are named, one by one, served alike by each replica, and no other is loaded.

| order | why |
| --- | --- |
| 0. a version that lies in the archive comes back | Triton reads the repository alone |
| 1. config.pbtxt loses the versions that are to go | a restart from here on does not bring them back |
| 2. Triton loads the versions by name | what it refuses never gets into the file |
| 3. each version is ready, and nothing else is | a load that answers is no proof |
| 4. config.pbtxt names the versions | a load by hand, or a restart of Triton, comes to the same |

The load carries the text of config.pbtxt, with the versions named.  Triton loads a version beside those it
serves, switches when the new one is ready, and leaves versions that did not change alone: no request fails,
and a load that fails leaves everything as it was.  Killed anywhere in between, the file names versions that
were ready once, and a second run finishes.

Where several replicas serve the model, steps 2 and 3 happen at each of them side by side, all or none: one
that fails has the others put back to what they served before.  A single replica is called as if it were
alone.  Readiness is that of the versions, each one itself, not that of the server as a whole.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from tritonclient.utils import triton_to_np_dtype

from argosy.components.deployment.model.triton_config import load_config, named_versions, naming
from argosy.components.deployment.repository.archive import restore
from argosy.components.deployment.repository.versions import folder_of
from argosy.components.deployment.swap.sole import Hold, Place
from argosy.components.shared.triton import Tensor, Triton, TritonError, TritonRefused, VersionState
from argosy.components.shared.triton_deadline import Deadline, patiently
from argosy.errors import ArgosyError, StepError

log = logging.getLogger(__name__)

_BROKEN = re.compile(r"version (\d+) is at UNAVAILABLE state")
_WRITE_ATTEMPTS = 5
# What was loaded at some replicas is taken back even if the load has used up its time at another.
_BACK_SECONDS = 60.0

T = TypeVar("T")
_AT_ONCE = 16
_POLL_SECONDS = 0.1
# A load answers when it is over; a version that is unknown to the server this long after is not coming.
_GRACE_SECONDS = 5.0
_READY, _UNKNOWN = "READY", VersionState("unknown to the server", "")


def serve_exactly(hold: Hold, versions: Collection[int], deadline: Deadline) -> None:
    """Make every replica serve these versions and no other, over restarts too; none: unload all.

    Args:
        hold: the serving lease of the model.
        versions: published versions; those in the archive are brought back.
        deadline: until when all must be done; S3's own retries come on top of it.

    Raises:
        StepError: a version is not in the repository (nothing is changed then), Triton refused the load or
            was not done in time (what it served it goes on serving), or S3 failed.
    """
    wanted = frozenset(versions)
    place = hold.place
    _bring_back(hold, wanted)
    text = _read_config(place)[0]
    staying = wanted & _named(place, text, deadline)
    if staying or not wanted:
        _note(hold, staying)
    on_each(place, lambda triton: patiently(deadline, lambda: _serve(place, triton, text, wanted, deadline)))
    _note(hold, wanted)
    log.info("Triton serves %s of %s", sorted(wanted) or "no version", place.model)


def bring_into_service(
    hold: Hold, version: int, beside: Collection[int], deadline: Deadline
) -> frozenset[int]:
    """Serve a published version beside others at every replica, or at none, and run one inference on it.

    A neighbour that Triton cannot load, and did not serve either, is left out.

    Args:
        hold: the serving lease of the model.
        version: the version that must be in service at the end.
        beside: the versions that stay, or come back, beside it.
        deadline: until when; what is loaded and has to be taken back at some replicas has a minute more.

    Returns:
        The versions that serve beside it.

    Raises:
        StepError: Triton refused it (with Triton's reason), or it was not in service in time; the message
            tells what still serves.
    """
    place = hold.place
    before = _before(place, deadline)
    try:
        beside = _serve_beside(hold, version, frozenset(beside) - {version}, deadline)
        on_each(place, lambda triton: smoke_test(triton.within(deadline.left), place.model, version))
    except ArgosyError as error:
        still = _put_back(hold, version, before, deadline)
        raise StepError(
            f"version {version} of {place.model!r} is not in service ({still}): {error}"
        ) from error
    log.info("version %d of %s is in service beside %s", version, place.model, sorted(beside) or "no other")
    if max(beside, default=0) > version:
        log.warning("requests to %s that name no version go to %d, the highest", place.model, max(beside))
    return frozenset(beside)


def bring_each_into_service(hold: Hold, version: int, beside: Collection[int], deadline: Deadline) -> None:
    """`bring_into_service` at each replica by itself: one that fails does not keep the others from it.

    Raises:
        StepError: it failed at one or more, which the message names.
    """
    place = hold.place
    if not place.others:
        bring_into_service(hold, version, beside, deadline)
        return
    outcomes = try_each(place, lambda one: bring_into_service(hold.at([one]), version, beside, deadline))
    served = [one.result for one in outcomes if one.result is not None]
    errors = [one.error for one in outcomes if one.error is not None]
    if served:
        # One that failed has noted what it went back to.
        _note(hold, frozenset({version}).union(*served))
    if errors:
        raise joined(errors) from errors[0]


def published(place: Place, version: int) -> bool:
    """Whether a version is in the repository, or in the archive, from which its load brings it back."""
    return folder_of(place.bucket, place.keys, version) is not None


def serving_now(place: Place, deadline: Deadline) -> frozenset[int]:
    """The versions that answer now, at any replica.

    Raises:
        StepError: Triton does not tell; the message says what it should serve.
    """
    return frozenset().union(*_before(place, deadline))


def config_names(place: Place) -> frozenset[int]:
    """The versions that the model's config.pbtxt names; none where there is no file or another policy."""
    found = place.bucket.read(place.keys.config)
    return (named_versions(found[0].decode()) if found else None) or frozenset()


def _before(place: Place, deadline: Deadline) -> list[frozenset[int]]:
    """The versions that answer now, at each replica; raises as `serving_now`."""
    try:
        return ready_each(place, deadline)
    except TritonError as error:
        should = _listed(config_names(place))
        raise StepError(f"{error}; nothing was changed: it should serve {should}") from error


def _serve(place: Place, triton: Triton, text: str, wanted: frozenset[int], deadline: Deadline) -> None:
    if wanted:
        triton.load(place.model, deadline.left, load_config(text, wanted))
    else:
        triton.unload(place.model, deadline.left)
    wait_settled(triton, place.model, wanted, deadline)


def _serve_beside(hold: Hold, version: int, beside: frozenset[int], deadline: Deadline) -> frozenset[int]:
    """Serve all; once more without those that Triton names as broken and that nobody is using."""
    try:
        serve_exactly(hold, beside | {version}, deadline)
        return beside
    except TritonRefused as error:
        place = hold.place
        broken = {int(number) for number in _BROKEN.findall(error.reason)} & beside
        serving = ready_somewhere(place, deadline)
        if not broken or broken & serving:
            raise
        log.warning("Triton cannot load %s of %s: left out: %s", sorted(broken), place.model, error.reason)
    serve_exactly(hold, beside - broken | {version}, deadline)
    return beside - broken


def _put_back(hold: Hold, version: int, before: Sequence[frozenset[int]], deadline: Deadline) -> str:
    """Serve again what was served before, unless it still is; what serves now, for a message."""
    place, had = hold.place, frozenset().union(*before)
    try:
        if place.others:
            return _put_each_back(hold, version, before, Deadline.after(_BACK_SECONDS))
        now = ready_versions(place.triton.within(deadline.left), place.model)
        if version in now - had:
            now = frozenset(v for v in had if published(place, v))
            serve_exactly(hold, now, deadline)
    except ArgosyError as error:
        log.warning("what was served before is not put back: %s", error)
        return f"before it served: {_listed(had)}; Triton does not tell what serves now"
    return f"still serving: {_listed(now)}"


def _put_each_back(hold: Hold, version: int, before: Sequence[frozenset[int]], deadline: Deadline) -> str:
    """The same at several replicas; what one of them still loads is taken back as well."""
    place, text = hold.place, _read_config(hold.place)[0]
    wanted = {
        triton.url: frozenset(v for v in had if published(place, v))
        for triton, had in zip(place.replicas, before, strict=True)
    }
    _bring_back(hold, frozenset().union(*wanted.values()))

    def back(triton: Triton) -> frozenset[int]:
        if version not in wanted[triton.url] and _has_or_loads(triton, place.model, version, deadline):
            _serve(place, triton, text, wanted[triton.url], deadline)
        return ready_versions(triton.within(deadline.left), place.model)

    outcomes = try_each(place, back)
    _note(hold, frozenset().union(*wanted.values()))
    told = []
    for one in outcomes:
        if one.error is not None:
            log.warning("what was served before is not put back: %s", one.error)
        said = "does not tell" if one.result is None else _listed(one.result)
        told.append(f"{one.triton.url}: {said}")
    return f"still serving: {'; '.join(told)}"


def _has_or_loads(triton: Triton, model: str, version: int, deadline: Deadline) -> bool:
    """Whether a version is ready, or on its way, which the index alone tells."""
    asked = triton.within(deadline.left)
    if version in asked.ready_versions(model):
        return True
    return asked.index(model).get(version, _UNKNOWN).state == "LOADING"


def _bring_back(hold: Hold, versions: Collection[int]) -> None:
    """Have all of them in the repository; raises StepError, and changes nothing, where one is nowhere."""
    bucket, keys = hold.place.bucket, hold.place.keys
    folders = {version: folder_of(bucket, keys, version) for version in sorted(versions)}
    for version, folder in folders.items():
        if folder is None:
            raise StepError(f"version {version} of {keys.model!r} is not in {bucket}: publish it again")
    for version, folder in folders.items():
        if folder == keys.archived(version):
            restore(bucket, keys, version, hold.renew)


def _listed(versions: Collection[int]) -> str:
    return "version " + ", ".join(str(v) for v in sorted(versions)) if versions else "no version"


def _named(place: Place, text: str, deadline: Deadline) -> frozenset[int]:
    """The versions that a restart would bring up now, as far as it is known."""
    named = named_versions(text)
    if named is not None:
        return named
    return serving_now(place, deadline)


def _read_config(place: Place) -> tuple[str, str]:
    found = place.bucket.read(place.keys.config)
    if found is None:
        raise StepError(f"{place.keys.config} is not in {place.bucket}: run upload-to-s3 first")
    try:
        return found[0].decode(), found[1]
    except UnicodeDecodeError as error:
        raise StepError(f"{place.keys.config} is not text ({error}); correct it or delete it") from error


def _note(hold: Hold, versions: frozenset[int]) -> None:
    """Name the versions in config.pbtxt, over whatever else was changed in it meanwhile."""
    place = hold.place
    for _ in range(_WRITE_ATTEMPTS):
        text, tag = _read_config(place)
        named = naming(text, versions)
        if named == text:
            return
        hold.renew()
        if place.bucket.write_if_unchanged(place.keys.config, named.encode(), tag):
            return
        time.sleep(0.1)
    raise StepError(f"{place.keys.config} keeps being changed by others; run the step again")


@dataclass(frozen=True)
class Tried(Generic[T]):
    """The outcome of a call at one replica: its result, or the error that names the replica."""

    triton: Triton
    result: T | None
    error: ArgosyError | None


def try_each(place: Place, call: Callable[[Triton], T]) -> list[Tried[T]]:
    """Call for every replica; returns when all calls have ended, however each of them did."""

    def tried(triton: Triton) -> Tried[T]:
        try:
            return Tried(triton, call(triton), None)
        except ArgosyError as error:
            return Tried(triton, None, error if len(place.replicas) == 1 else _with_address(triton, error))

    if len(place.replicas) == 1:
        return [tried(place.triton)]
    with ThreadPoolExecutor(min(_AT_ONCE, len(place.replicas)), thread_name_prefix="replica") as pool:
        return list(pool.map(tried, place.replicas))


def on_each(place: Place, call: Callable[[Triton], T]) -> list[T]:
    """The results of the call for every replica, in their order.

    Raises:
        StepError: it failed for one or more, which the message names; all calls have ended then.
    """
    outcomes = try_each(place, call)
    errors = [one.error for one in outcomes if one.error is not None]
    if errors:
        raise joined(errors) from errors[0]
    return [one.result for one in outcomes]  # type: ignore[misc]


def joined(errors: Sequence[ArgosyError]) -> ArgosyError:
    """One error for several; refusals stay refusals, for whoever looks at their reasons."""
    if len(errors) == 1:
        return errors[0]
    refused = [error for error in errors if isinstance(error, TritonRefused)]
    if len(refused) == len(errors):
        return TritonRefused(refused[0].action, "; ".join(dict.fromkeys(error.reason for error in refused)))
    kind = TritonError if all(isinstance(error, TritonError) for error in errors) else StepError
    return kind("; ".join(map(str, errors)))


def ready_each(place: Place, deadline: Deadline) -> list[frozenset[int]]:
    """The versions that answer now, at each replica.

    Raises:
        StepError: one does not tell.
    """
    return on_each(place, lambda triton: _ready(place, triton, deadline))


def ready_somewhere(place: Place, deadline: Deadline) -> frozenset[int]:
    """The versions that answer now at any replica; raises as `ready_each`."""
    return frozenset().union(*ready_each(place, deadline))


def ready_everywhere(place: Place, deadline: Deadline) -> frozenset[int]:
    """The versions that answer now at every replica; raises as `ready_each`."""
    first, *others = ready_each(place, deadline)
    return first.intersection(*others)


def answering(place: Place, deadline: Deadline) -> tuple[Place, list[ArgosyError]]:
    """The place with those replicas alone that answer, and what is wrong with the others.

    Several are asked for half of the time at most: the other half belongs to those that answer.

    Raises:
        StepError: none answers.
    """
    asking = deadline if len(place.replicas) == 1 else Deadline.after(deadline.left / 2)
    outcomes = try_each(place, lambda triton: _ready(place, triton, asking))
    errors = [one.error for one in outcomes if one.error is not None]
    alive = [one.triton for one in outcomes if one.error is None]
    if not alive:
        raise joined(errors) from errors[0]
    for error in errors:
        log.warning("one replica is left out: %s", error)
    return place.at(alive), errors


def _ready(place: Place, triton: Triton, deadline: Deadline) -> frozenset[int]:
    return patiently(deadline, lambda: ready_versions(triton.within(deadline.left), place.model))


def _with_address(triton: Triton, error: ArgosyError) -> ArgosyError:
    """The error, with the replica's address where its message has none."""
    if isinstance(error, TritonRefused):
        return TritonRefused(f"{error.action} at {triton.url}", error.reason)
    if triton.url in str(error):
        return error
    kind = type(error) if isinstance(error, TritonError) else StepError
    return kind(f"{triton.url}: {error}")


def ready_versions(triton: Triton, model: str) -> frozenset[int]:
    """The versions of a model that answer now.

    Raises:
        StepError: the server does not tell.
    """
    return triton.ready_versions(model)


def wait_settled(triton: Triton, model: str, versions: Collection[int], deadline: Deadline) -> None:
    """Wait until each of these versions is ready, and no other.

    Raises:
        StepError: Triton gave one up, does not know it, or the deadline passed; with Triton's own reason.
    """
    grace = Deadline.after(min(_GRACE_SECONDS, deadline.left))
    while triton.within(deadline.left).ready_versions(model) != frozenset(versions):
        if grace.passed or deadline.passed:
            _refuse_given_up(triton, model, versions, deadline)
        time.sleep(_POLL_SECONDS)


def _refuse_given_up(triton: Triton, model: str, versions: Collection[int], deadline: Deadline) -> None:
    """Raise StepError unless these versions may still get ready, and the others go."""
    states = triton.within(deadline.left).index(model)
    missing = {v: states.get(v, _UNKNOWN) for v in versions if not _is_ready(states.get(v, _UNKNOWN))}
    surplus = [v for v, known in states.items() if _is_ready(known) and v not in versions]
    if not missing and not surplus:
        return
    if deadline.passed or any(known.state != "LOADING" for known in missing.values()):
        raise StepError(_complaint(missing, surplus, deadline))


def smoke_test(triton: Triton, model: str, version: int) -> None:
    """One inference on zeros: a version may be ready and still fail on its first request.

    A model whose inputs have sizes that only its users know, or are text, is left to verify-deployment.

    Raises:
        StepError: the inference failed.
    """
    inputs = triton.describe(model, version).inputs
    zeros = {tensor.name: _zeros(tensor) for tensor in inputs}
    known = {name: array for name, array in zeros.items() if array is not None}
    if len(known) < len(inputs):
        log.info("no smoke inference: the sizes of %s are for its users to choose", model)
        return
    triton.infer(model, version, known)


def _is_ready(known: VersionState) -> bool:
    return known.state == _READY


def _complaint(missing: dict[int, VersionState], surplus: list[int], deadline: Deadline) -> str:
    if not missing:
        return f"version {min(surplus)} was not unloaded within {deadline.seconds:.0f} s"
    version, known = min(missing.items())
    return (
        f"version {version} did not get ready within {deadline.seconds:.0f} s: it is "
        f"{f'{known.state} {known.reason}'.strip()}; does Triton read the bucket and prefix that it was "
        "published to?"
    )


def _zeros(tensor: Tensor) -> np.ndarray | None:
    dtype = triton_to_np_dtype(tensor.datatype)
    # Only the first dimension, the batch, may be chosen freely.
    if dtype is None or dtype is np.object_ or any(size < 0 for size in tensor.shape[1:]):
        return None
    return np.zeros([max(size, 1) for size in tensor.shape], dtype)
