"""Old versions lie in an archive, because Triton fetches every version below a model's folder at each load.

A version moves there and back, and is at every instant whole in at least one of the two places:

| order | why |
| --- | --- |
| 1. its files are copied inside S3, model.onnx last | a place without model.onnx has no version |
| 2. the copies are compared with the files | nothing leaves a place before the other has it |
| 3. its claim says where it is, unless somebody took it up meanwhile | a deployment of this version wins |
| 4. model.onnx leaves the place of before, then the other files | whole, or no version at all |

Steps 2 to 4 happen under the serving lease: nothing is loaded, replaced, pruned or rolled back meanwhile.
The way to the archive is under the archiving lease from the first copy on: of two at once, each would clear
what the other copied.  A run that was killed anywhere is finished by the next.  Where a version is tells its
model.onnx and nothing else; one that is in both places counts as published.

A deployment that succeeded looks which versions go, and moves them:

| a version in the repository that | is |
| --- | --- |
| is behind `live` or `previous`, or named in config.pbtxt | kept |
| is among the newest `keep` of the complete ones | kept |
| was claimed less than an hour ago, and its deployment is not over | kept: it is under way |
| nobody claimed, and was put there less than an hour ago | kept |
| is older | archived |

Copies are made without the serving lease, because they may take long and disturb nobody but another
archiving: of those there is one at a time, by a lease of its own.  Two would clear and fill the same place in
the archive, and the slower take away what the faster has just moved there.  Under the serving lease it is
asked again what goes, and that alone leaves.

Archiving is the end of a deployment that succeeded: it may fail, and takes nothing with it.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

from argosy.components.deployment.model.layout import METADATA_FILE, MODEL_FILE, ModelKeys, version_number
from argosy.components.deployment.model.triton_config import named_versions
from argosy.components.deployment.repository.versions import (
    IN_FLIGHT_SECONDS,
    amend_record,
    files_of_versions,
    folder_of,
    is_in_flight,
    mark_archived,
    mark_restored,
    noted_sha256,
    published_versions,
    read_claim,
)
from argosy.components.deployment.swap.sole import kept
from argosy.components.shared import registry, s3
from argosy.components.shared.files import PART_BYTES, Fingerprint
from argosy.components.shared.s3 import Bucket
from argosy.errors import ArgosyError, StepError, UsageError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

_PATIENCE = 300.0
# Another step that loads or rolls back holds the lease for as long as that takes.
_ARCHIVING_PATIENCE = 120.0
# The first time there may be very many: what does not fit into this goes after the next deployment.
_COPYING_SECONDS = 600.0

_LONGEST_REASON = 1000
_ALIASES = ("live", "previous")
_TRITON_VERSION = "triton.version"


@dataclass(frozen=True)
class Ending:
    """The end of a deployment of a model.

    Attributes:
        keys: the model's keys.
        bucket: the bucket's name.
        mlflow: the MLflow server.
        owner: whose deployment; "" where somebody archives by hand, and wants to hear of a failure.
    """

    keys: ModelKeys
    bucket: str
    mlflow: str
    owner: str

    def archive(self, keep: int, dry_run: bool) -> Done:
        """Archive what may go; what happened is noted in the deployment's record, unless that is nothing.

        Raises:
            ArgosyError: something failed, and no deployment stands behind it.
        """
        try:
            if keep < 0:
                raise UsageError(f"keep {keep} is not a number of versions, or 0 for all")
            bucket = s3.connect(self.bucket)
            archiving = Archiving(bucket, self.keys, keep, lambda: self._standing(bucket))
            owner = self.owner or f"archive-{uuid.uuid4().hex}"
            versions = archiving.plan() if dry_run else archiving.run(owner)
        except ArgosyError as error:
            if not self.owner:
                raise
            log.warning("the deployment stands, and old versions are not archived: %s", error)
            self._note(result="not-archived", reason=str(error)[:_LONGEST_REASON])
            return Done([], "not-archived")
        if versions and self.owner and not dry_run:
            self._note(result="archived", versions=versions)
        return Done(versions, "archived" if versions else "nothing-to-do")

    def _standing(self, bucket: Bucket) -> Mapping[int, str]:
        return standing(registry.connect_lightly(self.mlflow), bucket, self.keys)

    def _note(self, **block: Any) -> None:
        """Put it into the record of the version that this deployment published, if that can be done."""
        try:
            bucket = s3.connect(self.bucket)
            version = self._own_version(bucket)
            if version is not None:
                at = datetime.now(timezone.utc).isoformat()
                amend_record(bucket, self.keys, version, archive={**block, "at": at, "workflow": self.owner})
        except ArgosyError as error:
            log.warning("the deployment's record does not tell of it: %s", error)

    def _own_version(self, bucket: Bucket) -> int | None:
        for version in sorted(published_versions(bucket, self.keys), reverse=True):
            claim = read_claim(bucket, self.keys, version)
            if claim is not None and claim.owner == self.owner:
                return version
        return None


@dataclass(frozen=True)
class Done:
    """The versions that went, or would; and how it ended."""

    versions: list[int]
    result: Literal["archived", "nothing-to-do", "not-archived"]


@dataclass(frozen=True)
class Archiving:
    """The versions that may be archived.

    Attributes:
        bucket: where the repository is.
        keys: the model's keys.
        keep: how many of the newest complete versions stay; 0: all of them.
        standing: asks which versions something stands on, and why; asked only where some are old.
    """

    bucket: Bucket
    keys: ModelKeys
    keep: int
    standing: Callable[[], Mapping[int, str]]

    def plan(self) -> list[int]:
        """The versions that may go now, lowest first.

        Raises:
            StepError: nobody can tell which version is live, or S3 failed.
        """
        files = files_of_versions(self.bucket, self.keys.root)
        complete = sorted(version for version, ages in files.items() if MODEL_FILE in ages)
        # What a killed run had begun to remove is no version any more, and whole in the archive.
        halves = [v for v in files if v not in complete and self._was_being_removed(v)]
        old = sorted([*complete[: -self.keep], *halves]) if self.keep else []
        if not old:
            return []
        stands = self.standing()
        return [v for v in old if v not in stands and not self._under_way(v, files[v])]

    def run(self, owner: str) -> list[int]:
        """Move what may go; the versions that went, lowest first.

        Args:
            owner: who does it, as the lease names it.

        Raises:
            StepError: nobody can tell which version is live, another step held a lease, or S3 failed; what
                did not go is where it was, and the others went.
        """
        if not self.plan():
            return []
        with kept(self.bucket, self.keys.lock("archiving"), owner, _ARCHIVING_PATIENCE) as alone:
            return self._move(owner, alone.renew)

    def _move(self, owner: str, renew: Callable[[], None]) -> list[int]:
        """Copy and let go what is still old, now that nobody else archives."""
        copied, errors = _each(self._in_time(self.plan()), lambda version: self._copy(version, renew))
        gone: list[int] = []
        if copied:
            with kept(self.bucket, self.keys.lock("serving"), owner, _ARCHIVING_PATIENCE) as held:
                still = set(self.plan())
                moved, more = _each(
                    (version for version in copied if version in still),
                    lambda version: self._leave(version, held.renew),
                )
                gone, errors = moved, [*errors, *more]
        if errors:
            told = "; ".join(dict.fromkeys(map(str, errors)))
            raise StepError(f"{gone or 'none'} of {self.keys.model!r} archived: {told}") from errors[0]
        return gone

    def _in_time(self, versions: Iterable[int]) -> Iterable[int]:
        until = time.monotonic() + _COPYING_SECONDS
        for version in versions:
            if time.monotonic() > until:
                log.warning("versions from %d on are archived after the next deployment", version)
                return
            yield version

    def _copy(self, version: int, renew: Callable[[], None]) -> bool:
        copy_aside(self.bucket, self.keys, version, renew)
        return True

    def _leave(self, version: int, renew: Callable[[], None]) -> bool:
        """Let a version that was copied leave the repository, unless it changed or is wanted again."""
        source, target = self.keys.version(version), self.keys.archived(version)
        if not _has_same(self.bucket, source, target):
            raise StepError(f"{source} changed while it was archived; it stays")
        renew()
        if not mark_archived(self.bucket, self.keys, version):
            log.info("version %d of %s stays: it is deployed again", version, self.keys.model)
            return False
        clear_folder(self.bucket, source)
        log.info("version %d of %s is archived in %s", version, self.keys.model, target)
        return True

    def _was_being_removed(self, version: int) -> bool:
        source, target = self.keys.version(version), self.keys.archived(version)
        if self.bucket.head(source + MODEL_FILE) is not None or self.bucket.head(target + MODEL_FILE) is None:
            return False
        return _has_same(self.bucket, source, target)

    def _under_way(self, version: int, ages: Mapping[str, float]) -> bool:
        flying = is_in_flight(self.bucket, self.keys, version)
        return min(ages.values()) < IN_FLIGHT_SECONDS if flying is None else flying


def is_archived(bucket: Bucket, keys: ModelKeys, version: int) -> bool:
    """Whether a version is in the archive, and not in Triton's repository."""
    return folder_of(bucket, keys, version) == keys.archived(version)


def copy_aside(bucket: Bucket, keys: ModelKeys, version: int, renew: Callable[[], None]) -> None:
    """Copy a published version into the archive, over what is there of other bytes; may be repeated.

    Only under the archiving lease: if another let the version leave the repository meanwhile, clearing the
    archive would lose its bytes.

    Args:
        bucket: where both are.
        keys: the model's keys.
        version: the version; nothing happens where it is not published.
        renew: raises where the lease was lost; called before anything is removed from the archive.

    Raises:
        StepError: it changed meanwhile, the lease was lost, or S3 failed.
    """
    source, target = keys.version(version), keys.archived(version)
    if _has_same(bucket, source, target):
        return
    renew()
    if bucket.head(source + MODEL_FILE) is None:
        return
    clear_folder(bucket, target)
    _copy(bucket, source, target, renew)


def restore(bucket: Bucket, keys: ModelKeys, version: int, renew: Callable[[], None]) -> None:
    """Bring a version back from the archive, unless it is published; only under the serving lease.

    Args:
        bucket: where both are.
        keys: the model's keys.
        version: the version; it need not be anywhere.
        renew: raises where the lease was lost; called before anything is removed.

    Raises:
        StepError: other bytes lie in its place, the lease was lost, or S3 failed.
    """
    if not is_archived(bucket, keys, version):
        return
    source, target = keys.archived(version), keys.version(version)
    _copy(bucket, source, target, renew)
    renew()
    mark_restored(bucket, keys, version)
    if not _has_same(bucket, source, target):
        raise StepError(f"{target} is not what lies in {source}: something else writes to the repository")
    clear_folder(bucket, source)
    log.info("version %d of %s is back from %s", version, keys.model, source)


def bring_back(bucket: Bucket, keys: ModelKeys, version: int, owner: str) -> None:
    """`restore`, for who does not hold the serving lease; nothing where the version is not archived.

    Raises:
        StepError: others held the lease all the time; or as `restore`.
    """
    if is_archived(bucket, keys, version):
        with kept(bucket, keys.lock("serving"), owner, _PATIENCE) as held:
            restore(bucket, keys, version, held.renew)


def _has_same(bucket: Bucket, source: str, target: str) -> bool:
    """Whether all files of one folder, of which there are some, lie in another, with the same bytes."""
    names = _names_in(bucket, source)
    return bool(names) and all(_same(bucket, source + name, target + name) for name in names)


def clear_folder(bucket: Bucket, folder: str) -> None:
    """Remove a version's files from one place, model.onnx first: with it gone, it is no version there."""
    names = _names_in(bucket, folder)
    for name in sorted(names, key=lambda name: (name != MODEL_FILE, name)):
        bucket.delete(folder + name)


def _names_in(bucket: Bucket, folder: str) -> set[str]:
    """The names of a version's files in one place."""
    return {key.removeprefix(folder) for key in bucket.keys(folder)}


def _copy(bucket: Bucket, source: str, target: str, renew: Callable[[], None]) -> None:
    last = [METADATA_FILE, MODEL_FILE]
    names = _names_in(bucket, source)
    for name in [*sorted(names.difference(last)), *(name for name in last if name in names)]:
        info = bucket.head(source + name)
        if info is None:
            raise StepError(f"{source}{name} vanished while it was copied: something else writes there")
        as_it_is = Fingerprint(info.size, noted_sha256(bucket, source + name), PART_BYTES, ())
        bucket.copy_if_absent(source + name, target + name, as_it_is)
        after = bucket.head(source + name)
        if after is None or after.etag != info.etag:
            renew()
            bucket.delete(target + name)
            raise StepError(f"{source}{name} changed while it was copied; it stays where it is")


def _same(bucket: Bucket, one: str, other: str) -> bool:
    first, second = bucket.head(one), bucket.head(other)
    if first is None or second is None or first.size != second.size:
        return False
    return noted_sha256(bucket, one) == noted_sha256(bucket, other)


def _each(versions: Iterable[int], call: Callable[[int], bool]) -> tuple[list[int], list[ArgosyError]]:
    """The versions for which the call says yes; one that fails does not keep the others from it."""
    done, errors = [], []
    for version in versions:
        try:
            if call(version):
                done.append(version)
        except ArgosyError as error:
            log.warning("version %d is not archived: %s", version, error)
            errors.append(error)
    return done, errors


def standing(client: MlflowClient, bucket: Bucket, keys: ModelKeys) -> dict[int, str]:
    """The versions that `live` and `previous` stand for, and those that config.pbtxt names: number -> why.

    Raises:
        StepError: MLflow or S3 failed, MLflow does not know the model, or an alias's version does not say
            which Triton version it is: then nobody can tell what is live.
    """
    config = bucket.read(keys.config)
    named = named_versions(config[0].decode("utf-8", "replace")) if config else None
    return dict.fromkeys(named or (), "named in config.pbtxt") | _behind_aliases(client, keys.model)


def _behind_aliases(client: MlflowClient, name: str) -> dict[int, str]:
    model = registry.find_model(client, name)
    if model is None:
        raise StepError(f"MLflow has no registered model {name!r}: nobody can tell which version is live")
    found = {}
    for alias in reversed(_ALIASES):
        if alias not in model.aliases:
            continue
        version = registry.get_version(client, name, model.aliases[alias])
        number = version_number(version.tags.get(_TRITON_VERSION, ""))
        if number is None:
            raise StepError(
                f"version {version.version} of {name!r} has alias {alias!r} and no tag {_TRITON_VERSION!r}: "
                "nobody can tell which version is live; deploy it again, or set the tag"
            )
        found[number] = alias
    return found
