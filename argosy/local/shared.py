"""The things that runs share on one machine: locks that are waited for, outputs that are remembered.

Mutexes and semaphores are of all runs on this machine, as a cluster's are of all its workflows. Each place is
a file that is locked while it is taken; the kernel frees it when the runner dies.

Of a template's `memoize`, as in Argo, the key is all that decides: whoever has the same key of the same cache
gets the outputs, whatever its template does. They lie in the state folder's cache (`runs/cache.py`), and are
found by all its runs.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from argosy.errors import ManifestError
from argosy.local.errors import NodeError
from argosy.local.kept import CONFIG_MAP, Kept, Source
from argosy.local.node import folder_name
from argosy.local.texts import duration
from argosy.manifest.scalars import as_text, optional_text

_PAUSE = 0.05  # seconds between two looks at a place that is taken

_MEMO_KEY = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")


@dataclass(frozen=True)
class Lock:
    """A mutex by its name, or a semaphore by the ConfigMap's key that says how many places it has."""

    name: str
    source: Source | None = None

    def __str__(self) -> str:
        return f"semaphore {self.name}" if self.source else f"mutex {self.name}"


def parse_locks(raw: Any, where: str) -> tuple[Lock, ...]:
    """The locks that a workflow or a template waits for. Raises ManifestError."""
    mutexes = [Lock(as_text(item.get("name"))) for item in (raw or {}).get("mutexes") or ()]
    return (*mutexes, *(_semaphore(item, where) for item in (raw or {}).get("semaphores") or ()))


def _semaphore(item: Mapping[str, Any], where: str) -> Lock:
    reference = item.get("configMapKeyRef")
    if not reference:
        raise ManifestError(
            f"{where}.synchronization: a semaphore has its places from a configMapKeyRef here"
        )
    source = Source.of(CONFIG_MAP, reference)
    return Lock(f"{source.name}/{source.key}", source)


@asynccontextmanager
async def held(
    locks: Sequence[Lock], kept: Kept, render: Callable[[str], str], waiting: Callable[[str], None]
) -> AsyncIterator[None]:
    """Hold all locks; `waiting` is told of each that is taken. Raises NodeError for one without places."""
    taken: list[int] = []
    try:
        for lock in locks:
            name = render(lock.name)
            files = list(_places(lock, name, kept))
            while (place := _take(files)) is None:
                waiting(f"waiting for the {lock}")
                await asyncio.sleep(_PAUSE)
            taken.append(place)
        yield
    finally:
        for descriptor in reversed(taken):
            os.close(descriptor)


def _places(lock: Lock, name: str, kept: Kept) -> Iterator[Path]:
    folder = Path(tempfile.gettempdir()) / f"argosy-locks-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    count = 1
    if lock.source is not None:
        text = kept.value(lock.source)
        if text is None or not text.strip().isdecimal() or int(text) < 1:
            raise NodeError(f"the {lock.source} has to say how many places the semaphore has, not {text!r}")
        count = int(text)
    kind = "semaphore" if lock.source else "mutex"
    yield from (folder / folder_name(f"{kind}-{name}-{number}") for number in range(count))


def _take(files: Sequence[Path]) -> int | None:
    for file in files:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        os.close(descriptor)
    return None


@dataclass(frozen=True)
class Memo:
    """The key, the name of the cache that it is one of, and the oldest that an entry may be."""

    key: str
    cache: str
    max_age: str | None = None

    def resolved(self, render: Callable[[str], str]) -> tuple[str, float | None]:
        """The key in the store, and seconds. Raises NodeError where Argo refuses the key or the age."""
        key, cache = render(self.key), render(self.cache)
        if not _MEMO_KEY.fullmatch(key):
            raise NodeError(f"memoize: {key!r} is no key: letters and digits are, and dashes after the first")
        digest = sha256(f"memoize\0{cache}\0{key}".encode()).hexdigest()
        if not self.max_age:
            return digest, None
        try:
            return digest, duration(render(self.max_age), "memoize.maxAge")
        except ManifestError as error:
            raise NodeError(str(error)) from error


def parse_memo(raw: Any, where: str) -> Memo | None:
    """The outputs that a template remembers. Raises ManifestError where key or cache is not written."""
    if not raw:
        return None
    config = (raw.get("cache") or {}).get("configMap") or {}
    key, cache = optional_text(raw.get("key")), optional_text(config.get("name"))
    if not key or not cache:
        raise ManifestError(
            f"{where}.memoize needs a key, and the name of a cache: cache: {{configMap: {{name: results}}}}"
        )
    return Memo(key, cache, optional_text(raw.get("maxAge")))
