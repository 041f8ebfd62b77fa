"""MLflow's REST interface, as far as a page asks it: no client is imported."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import urllib3

from argosy.local.runs.record import Record

TRACKING = "mlflow-tracking-uri"
PROBLEMS = (urllib3.exceptions.HTTPError, ValueError, KeyError, TypeError)
"""What an answer that is none may raise."""

_TIMEOUT = urllib3.Timeout(connect=1.0, read=5.0)


@dataclass(frozen=True)
class Server:
    """One MLflow."""

    address: str
    _pool: urllib3.PoolManager

    def api(self, method: str, **query: str | int) -> Any:
        """The answer of a method as plain data. Raises one of `PROBLEMS`."""
        return json.loads(self.content(f"api/2.0/mlflow/{method}", **query))

    def content(self, place: str, **query: str | int) -> bytes:
        """The content at an address. Raises one of `PROBLEMS`."""
        answer = self._pool.request("GET", f"{self.address}/{place}?{urlencode(query)}")
        if answer.status != 200:
            raise ValueError(f"{place} answered {answer.status}")
        return answer.data

    def silent(self, error: Exception) -> str:
        """The line about a server that did not answer as it should."""
        return f"MLflow at {self.address} did not tell: {type(error).__name__}: {error}"[:300]


@contextmanager
def mlflow_of(record: Record, given: Mapping[str, str] | None = None) -> Iterator[Server | None]:
    """While inside: the MLflow of a run, or of a step by its inputs; None where none is named."""
    named = (given or {}).get(TRACKING) or record.head.get("parameters", {}).get(TRACKING, "")
    address = str(named).rstrip("/")
    if not address.startswith(("http://", "https://")):
        yield None
        return
    with urllib3.PoolManager(timeout=_TIMEOUT, retries=False) as pool:
        yield Server(address, pool)
