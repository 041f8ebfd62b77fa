"""Files that are there whole or not at all; copies that change nothing but their own place.

A file that a step returns may be anybody's: the user's own data, what another step still reads, a file that
is still written.  So it is copied, never moved, and never linked: a link would show later changes.
"""

from __future__ import annotations

import errno
import gc
import io
import os
import shutil
import stat
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Iterator  # noqa: UP035 - Python 3.9

PARTIAL = ".partial-"
"""Begins the names of files that are being made; a killed process leaves them."""


def refuse_occupied(target: Path) -> None:
    """Raises OSError if `target` is a folder with something in it, which may be anybody's."""
    if target.is_dir() and any(target.iterdir()):
        raise OSError(errno.ENOTEMPTY, "there is something in that folder; name a new one", str(target))


def write_text(target: Path, text: str, *, sync: bool = False) -> None:
    """Write a file as `published` does. Raises OSError."""
    with published(target, sync=sync) as beside:
        beside.write_bytes(text.encode())


@contextmanager
def published(target: Path, *, sync: bool = False) -> Iterator[Path]:
    """A free path beside `target`: the file or folder made there takes the place of `target` in the end.

    A reader sees the old one or the new one, whole. If the block fails, nothing has changed. With `sync` a
    file is on the disk before it takes the name, so that a crash of the machine leaves one of the two.
    A stream, such as a terminal, a pipe or /dev/null, is written to and stays.

    Raises:
        OSError: the place cannot be written to.
    """
    if target.exists() and not (target.is_file() or target.is_dir()):
        with _poured(target) as apart:
            yield apart
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.parent / f"{PARTIAL}{os.urandom(8).hex()}"
    try:
        yield beside
        if sync:
            with beside.open("rb") as file:
                os.fsync(file.fileno())
        _replace(beside, target)
    except OSError as error:  # of a full disk Python names no file, and nobody knows the one beside
        if error.errno is not None and str(error.filename or beside) == str(beside):
            raise OSError(error.errno, error.strerror, str(target)) from error
        raise
    finally:
        _remove(beside)


@contextmanager
def _poured(target: Path) -> Iterator[Path]:
    """A free path: what is made there is written to `target`, a stream; /dev/null takes folders, too."""
    kind = target.stat().st_mode
    if not (stat.S_ISCHR(kind) or stat.S_ISFIFO(kind)):
        raise OSError(errno.EINVAL, "it is neither a file, a folder nor a stream", str(target))
    import tempfile  # a step rarely needs it

    with tempfile.TemporaryDirectory(prefix="argosy-") as folder:
        apart = Path(folder) / "content"
        yield apart
        if target.stat().st_rdev == Path(os.devnull).stat().st_rdev:
            return
        if apart.is_dir():
            raise OSError(errno.EINVAL, "a folder cannot be written to a stream", str(target))
        with apart.open("rb") as content, target.open("wb", buffering=0) as stream:
            shutil.copyfileobj(content, stream)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def copy_to(source: Path, target: Path) -> None:
    """Copy a file or a folder to `target`, complete or not at all; a file there is replaced.

    The copy holds what this program has written to files that are still open. A link in the place of
    `source` is followed. In a folder, links to its own inside stay links; others become copies of what they
    lead to.

    Raises:
        OSError: it cannot be read or written, holds a socket or a device, or leads back to itself.
    """
    _flush_writers_below(source)
    if target.exists() and source.samefile(target):
        return
    if source.is_dir():
        refuse_occupied(target)
        _copy_folder_to(source.resolve(), target)
        return
    with published(target) as beside:
        _copy_file(source, beside)


def _flush_writers_below(source: Path) -> None:
    """Put on the disk what this program has written to open files there; the copy would lack it."""
    real = source.resolve()
    writers = [w for w in gc.get_objects() if issubclass(type(w), _WRITERS)] if _may_be_open(real) else []
    for writer in writers:
        with suppress(OSError, ValueError):  # closed by now, or without a place to write to
            if not writer.closed and writer.writable() and _is_below(writer.fileno(), real):
                writer.flush()


_WRITERS = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
_TELLS_FILES = Path("/proc/self/fd").is_dir()


def _may_be_open(real: Path) -> bool:
    """Whether a file there is open; where the system does not tell, it may be."""
    if not _TELLS_FILES:
        return True
    with os.scandir("/proc/self/fd") as entries:
        return any(_is_below(int(entry.name), real) for entry in entries)


def _is_below(descriptor: int, real: Path) -> bool:
    try:
        place = Path(os.readlink(f"/proc/self/fd/{descriptor}"))  # noqa: PTH115 - of what may be no path
    except OSError:
        return not _TELLS_FILES
    return place == real or real in place.parents


def _copy_folder_to(source: Path, target: Path) -> None:
    if source == source.parent:
        raise OSError(errno.EINVAL, "it is the whole file system", str(source))
    if target.is_dir():  # given empty, perhaps a mounted volume: it cannot be replaced
        _copy_entries(source, target, (source,), target.resolve())
        return
    with published(target) as beside:
        beside.mkdir()
        _copy_entries(source, beside, (source,), beside.resolve())
        _copy_mode(source, beside)


def _replace(beside: Path, target: Path) -> None:
    try:
        beside.replace(target)
    except OSError as error:
        if error.errno != errno.EBUSY:  # a file that is a mount point is filled instead
            raise
        shutil.copyfile(beside, target)


def _copy_entries(source: Path, target: Path, followed: tuple[Path, ...], own: Path) -> None:
    """Copy what is in a folder. `followed`: the folder's root, and those that led here; `own` is left out."""
    with os.scandir(source) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        path, copy = source / name, target / name
        if path == own:
            continue
        if path.is_symlink():
            _copy_link(path, copy, followed, own)
        elif path.is_dir():
            copy.mkdir()
            _copy_entries(path, copy, followed, own)
            _copy_mode(path, copy)
        elif path.is_file():
            _copy_file(path, copy)
        else:
            raise OSError(errno.EINVAL, "it is neither file nor folder", str(path))


def _copy_link(link: Path, copy: Path, followed: tuple[Path, ...], own: Path) -> None:
    try:
        real = link.resolve(strict=True)
    except (OSError, RuntimeError):  # leads nowhere, as it did before
        copy.symlink_to(os.readlink(link))  # noqa: PTH115 - Path.readlink fails on what is no path here
        return
    if real.is_relative_to(followed[-1]):
        copy.symlink_to(os.path.relpath(real, link.parent))
    elif any(root.is_relative_to(real) for root in followed):
        raise OSError(errno.ELOOP, "the link leads back to a folder that it is in", str(link))
    elif real.is_dir():
        copy.mkdir()
        _copy_entries(real, copy, (*followed, real), own)
        _copy_mode(real, copy)
    else:
        _copy_file(real, copy)


def _copy_file(source: Path, target: Path) -> None:
    with source.open("rb") as reader, target.open("xb") as writer:
        # The kernel copies, and shares the blocks where the file system can (a later change is not shared).
        with suppress(OSError, AttributeError):
            while os.copy_file_range(reader.fileno(), writer.fileno(), 1 << 30):
                pass
        shutil.copyfileobj(reader, writer, 1 << 20)  # the rest, or all of it
    shutil.copystat(source, target)


def _copy_mode(source: Path, target: Path) -> None:
    """A folder's copy is as its original, except that its owner may fill, move and remove it."""
    shutil.copystat(source, target)
    target.chmod(target.stat().st_mode | 0o700)
