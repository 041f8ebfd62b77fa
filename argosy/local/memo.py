"""A template's `memoize`: the key under which its outputs are remembered, and how long they are good for.

As in Argo, the key is all that decides: whoever has the same key of the same cache gets the outputs, whatever
its template does. They lie in the state folder's cache (`runs/cache.py`), and are found by all its runs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from argosy.errors import ManifestError
from argosy.local.errors import NodeError
from argosy.local.shape import duration, expect_mapping, optional_text

_KEY = re.compile(r"[a-zA-Z0-9][-a-zA-Z0-9]*")


@dataclass(frozen=True)
class Memo:
    """The key, the name of the cache that it is one of, and the oldest that an entry may be."""

    key: str
    cache: str
    max_age: str | None = None

    def resolved(self, render: Callable[[str], str]) -> tuple[str, float | None]:
        """The key in the store, and seconds. Raises NodeError where Argo refuses the key or the age."""
        key, cache = render(self.key), render(self.cache)
        if not _KEY.fullmatch(key):
            raise NodeError(f"memoize: {key!r} is no key: letters and digits are, and dashes after the first")
        digest = hashlib.sha256(f"memoize\0{cache}\0{key}".encode()).hexdigest()
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
    where = f"{where}.memoize"
    body = expect_mapping(raw, where)
    config = expect_mapping(expect_mapping(body.get("cache") or {}, where).get("configMap") or {}, where)
    key, cache = optional_text(body.get("key"), where), optional_text(config.get("name"), where)
    if not key or not cache:
        raise ManifestError(
            f"{where} needs a key, and the name of a cache: cache: {{configMap: {{name: results}}}}"
        )
    return Memo(key, cache, optional_text(body.get("maxAge"), f"{where}.maxAge"))
