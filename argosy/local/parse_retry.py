"""A retryStrategy, from its dict to the model."""

from __future__ import annotations

from typing import Any

from argosy.errors import LanguageError, ManifestError
from argosy.local import duration
from argosy.local.model import Retry
from argosy.local.retry import bare
from argosy.local.values import optional_text, text_of
from argosy.manifest import expressions
from argosy.manifest.tags import parse


def parse_retry(raw: Any, where: str) -> Retry | None:
    """A retryStrategy, with Argo's default policy."""
    if raw is None:
        return None
    backoff = raw.get("backoff") or {}
    where = f"{where} retryStrategy"
    policy = raw.get("retryPolicy") or ("Always" if raw.get("expression") else "OnFailure")
    if policy not in ("Always", "OnFailure", "OnError", "OnTransientError"):
        raise ManifestError(
            f"{where}: {policy!r} is no retryPolicy; Always, OnFailure, OnError or OnTransientError"
        )
    expression = optional_text(raw.get("expression"), f"{where}.expression")
    try:
        if expression is not None:
            expressions.check(parse(bare(expression)).filled("1"))
    except LanguageError as error:
        raise ManifestError(f"{where}: {error}") from error

    def length(field: str) -> float | None:
        return (
            duration.seconds(backoff[field], f"{where}.{field}") if backoff.get(field) is not None else None
        )

    return Retry(
        limit=optional_text(raw.get("limit"), f"{where}.limit"),
        policy=policy,
        expression=expression,
        duration=length("duration") if backoff else 0.0,
        factor=float(text_of(backoff.get("factor", 1) or 1, f"{where}.factor")),
        max_duration=length("maxDuration"),
        cap=length("cap"),
    )
