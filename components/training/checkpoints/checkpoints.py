"""The checkpoints of one training: written beside it, two kept, the last complete one taken up again.

A checkpoint that cannot be written costs a warning and not the training. When the training has ended, its
checkpoints give way to one small file that says so: the same command then answers at once. They lie in a
folder, or under a prefix of an S3 bucket, where a name holds all its bytes, or nothing.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Protocol

from argosy.components.shared.s3 import Bucket, connect
from argosy.components.training.checkpoints.checkpoint import (
    Checkpoint,
    CorruptCheckpoint,
    Identity,
    Position,
    TrainingState,
)
from argosy.errors import ArgosyError, StepError, UsageError
from argosy.step.files import PARTIAL, published

log = logging.getLogger(__name__)

Job = Callable[[], None]
KEPT = 2
FINISHED = "finished.json"
# Kubernetes kills 30 seconds after SIGTERM; MLflow is told within what is left.
LAST_SECONDS = 20.0
SETTLE_SECONDS = 60.0
_NAME = re.compile(r"epoch-[0-9]{5}-batch-[0-9]{8}\.checkpoint")
_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


@dataclass(frozen=True)
class Finished:
    """The result of a training that ended."""

    run_id: str
    best_val_accuracy: float


class NoCheckpoints:
    """Keeps nothing: an interrupted training starts anew."""

    run_id = ""
    training = ""
    finished: Finished | None = None

    def restore(self, state: TrainingState) -> None:
        """Leave the state as it is."""

    def save(self, state: TrainingState) -> None:
        """Keep nothing."""

    def save_last(self, state: TrainingState) -> str:
        """Keep nothing, and say so."""
        return "no checkpoint is kept (none was asked for), so the same command starts anew"

    def settle(self) -> None:
        """Nothing is under way."""

    def finish(self, result: Finished) -> None:
        """Note nothing."""


class Checkpoints(NoCheckpoints):
    """The checkpoints of the training `identity` in `store`.

    Attributes:
        run_id: the MLflow run that new checkpoints name; at first that of the checkpoint to go on from.
        training: 64 digits that stand for this training in this store.
        finished: the result, where the training has ended before.

    Raises:
        UsageError: what lies in the store belongs to another training, or has another format.
        StepError: the store failed, or none of the checkpoints in it is complete.
    """

    def __init__(self, store: Store, identity: Identity) -> None:
        self._store, self._identity = store, identity
        self._background = Background()
        self._damaged: set[str] = set()
        self._submitted: Position | None = None
        self._written: Position | None = None
        self._error: ArgosyError | MemoryError | RuntimeError | None = None
        self._failures = 0
        self.training = hashlib.sha256(f"{store}\n{identity.digest}".encode()).hexdigest()
        self.finished = self._read_finished()
        self._latest = None if self.finished else self._read_latest()
        self.run_id = self._latest.run_id if self._latest else ""

    def restore(self, state: TrainingState) -> None:
        """Bring `state` to where the last complete checkpoint was made, if there is one.

        Raises:
            StepError: the checkpoint was made by a training of another build.
        """
        if self._latest is None:
            return
        latest, self._latest = self._latest, None
        where = f"{self._store}/{_name(latest.position)}"
        try:
            state.restore(latest.state)
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise StepError(f"{where} fits no training of this version: delete {self._store}") from error
        self._submitted = self._written = latest.position
        log.info("going on from %s", where)

    def save(self, state: TrainingState) -> None:
        """Copy the state, to be written as soon as the one before is done, unless a newer one comes first."""
        checkpoint = Checkpoint(self._identity, self.run_id, state.position, state.snapshot())
        self._submitted = state.position
        self._background.submit(lambda: self._write(checkpoint))

    def save_last(self, state: TrainingState) -> str:
        """Write the state within LAST_SECONDS, the process is about to end; the outcome, as a clause."""
        if self._submitted != state.position:
            self.save(state)
        if not self._background.wait(LAST_SECONDS):
            self._error = StepError(f"{self._store} did not take it within {LAST_SECONDS:.0f} s")
        if self._written == state.position:
            return f"{self._store} holds all of it, and the same command goes on from there"
        before = "from the checkpoint before" if self._written else "from the start"
        return f"its checkpoint could not be written ({self._error}); the same command goes on {before}"

    def settle(self) -> None:
        """Wait for the write under way, but not for ever."""
        if not self._background.wait(SETTLE_SECONDS):
            log.warning("%s did not take a checkpoint within %.0f s", self._store, SETTLE_SECONDS)

    def finish(self, result: Finished) -> None:
        """Note that the training ended, and remove its checkpoints; a failure is only a warning."""
        self.settle()
        if self._failures:
            log.warning("%d checkpoints could not be written to %s", self._failures, self._store)
        note = {"identity": self._identity.parts, **vars(result)}
        try:
            self._store.write(FINISHED, BytesIO(json.dumps(note, indent=1).encode()))
        except StepError as error:
            log.warning("the end of the training could not be noted: %s", error)
            return
        self._remove_all()

    def _remove_all(self) -> None:
        try:
            for name in self._names():
                self._store.delete(name)
        except StepError as error:
            log.warning("superfluous checkpoints stay behind: %s", error)

    def _write(self, checkpoint: Checkpoint) -> None:
        """In the background: write a checkpoint, then remove those that it makes superfluous."""
        position, start = checkpoint.position, time.perf_counter()
        try:
            data = checkpoint.encode()
            self._store.write(_name(position), data)
            self._written = position
            self._damaged.discard(_name(position))
            whole = [name for name in self._names() if name not in self._damaged]
            for name in (*self._damaged, *whole[:-KEPT]):
                self._store.delete(name)
            self._damaged.clear()
        except (ArgosyError, MemoryError, RuntimeError) as error:
            self._error = error
            self._failures += 1
            log.warning("a checkpoint could not be written, and training goes on: %s", error)
            return
        seconds = time.perf_counter() - start
        log.info("checkpoint %s: %.0f MB in %.1f s", _name(position), data.getbuffer().nbytes / 1e6, seconds)

    def _names(self) -> list[str]:
        """All checkpoints, the oldest first."""
        return [name for name in self._store.names() if _NAME.fullmatch(name)]

    def _read_latest(self) -> Checkpoint | None:
        """The last complete checkpoint; None where there is none at all."""
        for name in reversed(self._names()):
            where = f"{self._store}/{name}"
            try:
                checkpoint = Checkpoint.decode(self._store.read(name) or b"", where)
            except CorruptCheckpoint as error:
                log.warning("%s; looking for the one before", error)
                self._damaged.add(name)
                continue
            self._identity.check(checkpoint.identity, where)
            return checkpoint
        if self._damaged:
            names = ", ".join(sorted(self._damaged))
            raise StepError(
                f"no checkpoint in {self._store} is complete ({names}): delete {self._store} to start anew"
            )
        return None

    def _read_finished(self) -> Finished | None:
        data = self._store.read(FINISHED)
        if data is None:
            return None
        where = f"{self._store}/{FINISHED}"
        try:
            note = json.loads(data)
            identity = Identity(note["identity"])
            result = Finished(str(note["run_id"]), float(note["best_val_accuracy"]))
        except (KeyError, TypeError, ValueError) as error:
            raise StepError(f"{where} is damaged: delete {self._store} to start anew") from error
        self._identity.check(identity, where)
        self._remove_all()  # whatever the end left behind
        log.info("%s: this training ended before; delete that, or name another owner, to train anew", where)
        return result


def open_checkpoints(place: str, owner: str, identity: Identity) -> NoCheckpoints:
    """The checkpoints of a training in `<place>/<owner>/`.

    Args:
        place: a folder or an `s3://` prefix; empty keeps no checkpoints.
        owner: whose training it is: the workflow's uid. Empty: whoever runs the very same training.
        identity: which training it is.

    Raises:
        UsageError: place or owner is malformed, or another training's checkpoints lie there.
        StepError: the place cannot be read, or holds no complete checkpoint beside damaged ones.
    """
    if not place.strip():
        return NoCheckpoints()
    if owner and not _OWNER.fullmatch(owner):
        raise UsageError(
            f"owner {owner!r} cannot name a folder: use letters, digits, dots, dashes and underscores"
        )
    return Checkpoints(open_store(place, owner or identity.digest[:32]), identity)


def _name(position: Position) -> str:
    return f"epoch-{position.epoch:05d}-batch-{position.batches:08d}.checkpoint"


class Background:
    """Runs one job at a time. One job may wait, and gives way to a newer one.

    Jobs report their own errors. One that hangs is left behind when the process ends.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: Job | None = None
        self._busy = False

    def submit(self, job: Job) -> None:
        """Run `job` as soon as the one under way has ended, unless a newer one is submitted before."""
        with self._changed:
            self._waiting = job
            if not self._busy:
                self._busy = True
                threading.Thread(target=self._run, name="background", daemon=True).start()

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is under way and nothing waits; whether that came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._busy, seconds)

    def _run(self) -> None:
        while (job := self._next()) is not None:
            job()

    def _next(self) -> Job | None:
        """The job that waits; where none does, the thread's work is over."""
        with self._changed:
            job, self._waiting = self._waiting, None
            if job is None:
                self._busy = False
                self._changed.notify_all()
            return job


class Store(Protocol):
    """A flat place for a few named blobs; its text is its address. Methods raise StepError on failure."""

    def names(self) -> list[str]:
        """The names, sorted."""

    def read(self, name: str) -> bytes | None:
        """All bytes of a name; None where it does not exist."""

    def write(self, name: str, data: BytesIO) -> None:
        """Write or replace a name: afterwards it has all of `data`, or what it had before."""

    def delete(self, name: str) -> None:
        """Remove a name, if it exists."""


@dataclass(frozen=True)
class FolderStore:
    """A folder. A file is written beside its place, forced onto the disk, and renamed."""

    folder: Path

    def __str__(self) -> str:
        return str(self.folder)

    def names(self) -> list[str]:
        """The names, sorted; remains of writes that were killed are removed on the way."""
        with self._errors("be read"):
            for partial in self.folder.glob(f"{PARTIAL}*"):
                partial.unlink(missing_ok=True)
            return sorted(path.name for path in self.folder.glob("[!.]*") if path.is_file())

    def read(self, name: str) -> bytes | None:
        """All bytes of a file; None where it does not exist."""
        with self._errors("be read"):
            try:
                return (self.folder / name).read_bytes()
            except FileNotFoundError:
                return None

    def write(self, name: str, data: BytesIO) -> None:
        """Write or replace a file: after a crash it is there as a whole, or as it was before."""
        with self._errors("be written"):
            with published(self.folder / name, sync=True) as beside:
                beside.write_bytes(data.getbuffer())
            self._sync_folder()

    def delete(self, name: str) -> None:
        """Remove a file, if it exists."""
        with self._errors("be written"):
            (self.folder / name).unlink(missing_ok=True)

    def _sync_folder(self) -> None:
        """Force the new name itself onto the disk."""
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StepError(f"folder {self.folder} cannot {what}: {error.strerror or error}") from error


@dataclass(frozen=True)
class S3Store:
    """A prefix (with its slash) of a bucket. A name appears with the one request that puts all of it."""

    bucket: Bucket
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket.name}/{self.prefix.rstrip('/')}"

    def names(self) -> list[str]:
        """The names, sorted."""
        names = (key.removeprefix(self.prefix) for key in self.bucket.keys(self.prefix))
        return sorted(name for name in names if name and "/" not in name)

    def read(self, name: str) -> bytes | None:
        """All bytes of an object; None where it does not exist."""
        found = self.bucket.read(self.prefix + name)
        return found[0] if found else None

    def write(self, name: str, data: BytesIO) -> None:
        """Put an object; S3 checks that all of it arrived."""
        with self.bucket.errors(f"write {self.prefix}{name}"):
            self.bucket.client.put_object(
                Bucket=self.bucket.name, Key=self.prefix + name, Body=data, ChecksumAlgorithm="SHA256"
            )

    def delete(self, name: str) -> None:
        """Remove an object, if it exists."""
        with self.bucket.errors(f"delete {self.prefix}{name}"):
            self.bucket.client.delete_object(Bucket=self.bucket.name, Key=self.prefix + name)


def open_store(place: str, folder: str) -> Store:
    """`folder` below `place`, which is a folder of this machine or an `s3://bucket/prefix`.

    Raises:
        UsageError: `place` is malformed, or no folder can be made there.
        StepError: the bucket does not exist or does not answer.
    """
    if place.startswith("s3://"):
        name, _, prefix = place.removeprefix("s3://").partition("/")
        return S3Store(connect(name), "/".join(part for part in (prefix.strip("/"), folder) if part) + "/")
    if "://" in place:
        raise UsageError(f"checkpoint {place!r} is neither an s3:// prefix nor a folder")
    path = Path(place) / folder
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"checkpoint {place!r}: {path} cannot be made ({error.strerror})") from error
    return FolderStore(path)
