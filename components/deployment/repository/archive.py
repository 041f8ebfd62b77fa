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
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from argosy.components.deployment.model.layout import METADATA_FILE, MODEL_FILE, ModelKeys
from argosy.components.deployment.repository.claims import mark_restored
from argosy.components.deployment.repository.published import folder_of, noted_sha256
from argosy.components.deployment.swap.sole import kept
from argosy.components.shared.fingerprint import PART_BYTES, Fingerprint
from argosy.components.shared.s3 import Bucket
from argosy.errors import StepError

log = logging.getLogger(__name__)

_PATIENCE = 300.0


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
    if has_same(bucket, source, target):
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
    if not has_same(bucket, source, target):
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


def has_same(bucket: Bucket, source: str, target: str) -> bool:
    """Whether all files of one folder, of which there are some, lie in another, with the same bytes."""
    names = names_in(bucket, source)
    return bool(names) and all(_same(bucket, source + name, target + name) for name in names)


def clear_folder(bucket: Bucket, folder: str) -> None:
    """Remove a version's files from one place, model.onnx first: with it gone, it is no version there."""
    names = names_in(bucket, folder)
    for name in sorted(names, key=lambda name: (name != MODEL_FILE, name)):
        bucket.delete(folder + name)


def names_in(bucket: Bucket, folder: str) -> set[str]:
    """The names of a version's files in one place."""
    return {key.removeprefix(folder) for key in bucket.keys(folder)}


def _copy(bucket: Bucket, source: str, target: str, renew: Callable[[], None]) -> None:
    last = [METADATA_FILE, MODEL_FILE]
    names = names_in(bucket, source)
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
