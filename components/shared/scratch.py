"""A step's working folder on disk: there when the step succeeds, gone when it fails."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from argosy.errors import StepError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def scratch() -> Iterator[Path]:
    """A new folder for the block's results; whatever makes the block fail, nothing half-written is left.

    Raises:
        StepError: the disk is full, or another error of the file system.
    """
    folder = Path(tempfile.mkdtemp(prefix="argosy-"))
    try:
        yield folder
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        # Libraries wrap an error of the disk in one of their own, as that of a failed download.
        found = _disk_error(error)
        if found is not None:
            raise StepError(
                f"{folder.parent}: {found}; give the step more disk or memory-backed space"
            ) from error
        if isinstance(error, OSError):
            raise StepError(f"could not write below {folder.parent}: {error}") from error
        raise


def _disk_error(error: BaseException | None) -> str | None:
    """The file system's own words, if an error comes from it."""
    texts = []
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return os.strerror(error.errno)
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    said = (os.strerror(number) for number in _FULL)
    return next((words for words in said if any(words in text for text in texts)), None)
