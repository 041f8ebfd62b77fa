"""Which versions go into the archive: a deployment that succeeded looks, and moves them.

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
asked again what goes, and that alone leaves (see `archive`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from argosy.components.deployment.model.layout import MODEL_FILE, ModelKeys
from argosy.components.deployment.repository.archive import clear_folder, copy_aside, has_same
from argosy.components.deployment.repository.claims import IN_FLIGHT_SECONDS, is_in_flight, mark_archived
from argosy.components.deployment.repository.published import files_of_versions
from argosy.components.deployment.swap.sole import kept
from argosy.components.shared.s3 import Bucket
from argosy.errors import ArgosyError, StepError

log = logging.getLogger(__name__)

# Another step that loads or rolls back holds the lease for as long as that takes.
_PATIENCE = 120.0
# The first time there may be very many: what does not fit into this goes after the next deployment.
_COPYING_SECONDS = 600.0


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
        with kept(self.bucket, self.keys.lock("archiving"), owner, _PATIENCE) as alone:
            return self._move(owner, alone.renew)

    def _move(self, owner: str, renew: Callable[[], None]) -> list[int]:
        """Copy and let go what is still old, now that nobody else archives."""
        copied, errors = _each(self._in_time(self.plan()), lambda version: self._copy(version, renew))
        gone: list[int] = []
        if copied:
            with kept(self.bucket, self.keys.lock("serving"), owner, _PATIENCE) as held:
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
        if not has_same(self.bucket, source, target):
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
        return has_same(self.bucket, source, target)

    def _under_way(self, version: int, ages: Mapping[str, float]) -> bool:
        flying = is_in_flight(self.bucket, self.keys, version)
        return min(ages.values()) < IN_FLIGHT_SECONDS if flying is None else flying


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
