"""An `http` template: one request, whose answer's body is the result.

As in Argo, an answer outside of 200 to 299 is a failure, unless a condition says which answer is fine; no
answer at all is an Error.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from argosy.errors import ManifestError
from argosy.local.errors import NodeError, language
from argosy.local.job import Outcome, Produced
from argosy.local.kept import SECRET, Kept, Source
from argosy.local.model import Request
from argosy.local.node import Phase
from argosy.local.scope import Scope
from argosy.local.shape import Raw, named
from argosy.manifest import expressions
from argosy.manifest.scalars import as_text, optional_text

_TIMEOUT = 30


@dataclass(frozen=True)
class _Answer:
    status: int
    body: str
    headers: Mapping[str, list[str]]


def parse_request(raw: Raw, where: str) -> Request:
    """The request of an http template. Raises ManifestError."""
    body, where = raw["http"], f"{where}.http"
    if not body.get("url"):
        raise ManifestError(f"{where}: a request needs a url")
    if any((raw.get("outputs") or {}).values()):
        raise ManifestError(f"{where}: outputs are not made of an answer; its body is outputs.result")
    text = optional_text(body.get("body"))
    coded = optional_text((body.get("bodyFrom") or {}).get("bytes"))
    try:
        content = base64.b64decode(coded, validate=True) if coded else None
    except binascii.Error:
        raise ManifestError(f"{where}.bodyFrom: bytes are written in base64") from None
    return Request(
        url=as_text(body["url"]),
        method=str(body.get("method") or "GET").upper(),
        headers=tuple(_header(item) for item in named(body.get("headers"), f"{where}.headers")),
        body=text,
        content=content,
        condition=optional_text(body.get("successCondition")),
        timeout=float(body.get("timeoutSeconds") or _TIMEOUT),
        verified=not body.get("insecureSkipVerify"),
    )


def _header(raw: Raw) -> tuple[str, str | Source]:
    reference = (raw.get("valueFrom") or {}).get("secretKeyRef")
    if reference:
        return raw["name"], Source.of(SECRET, reference)
    return raw["name"], optional_text(raw.get("value")) or ""


async def carry_out(request: Request, scope: Scope, kept: Kept, limit: float | None) -> Outcome:
    """Send it and judge the answer. Raises NodeError where there is no answer."""
    url = scope.render(request.url)
    headers = {name: _value(name, value, scope, kept) for name, value in request.headers}
    body: Any = scope.render(request.body).encode() if request.body else request.content
    seconds = request.timeout if limit is None else min(limit, request.timeout)
    answer = await asyncio.to_thread(_send, request, url, headers, body, seconds)
    produced = Produced(result=answer.body)
    if request.condition is None:
        if 200 <= answer.status <= 299:
            return Outcome(Phase.SUCCEEDED, produced=produced)
        return Outcome(Phase.FAILED, f"received non-2xx response code: {answer.status}", produced=produced)
    condition = scope.render(request.condition)
    known = {
        "request": {"method": request.method, "url": url, "body": request.body or ""},
        "response": {"statusCode": answer.status, "body": answer.body, "headers": dict(answer.headers)},
    }
    with language():
        holds = expressions.evaluate(condition, known)
    if not isinstance(holds, bool):
        raise NodeError(f"successCondition '{condition}' is {holds!r}, not true or false")
    if holds:
        return Outcome(Phase.SUCCEEDED, produced=produced)
    return Outcome(Phase.FAILED, f"successCondition '{condition}' evaluated false", produced=produced)


def _value(name: str, value: str | Source, scope: Scope, kept: Kept) -> str:
    if isinstance(value, str):
        return scope.render(value)
    found = kept.value(value)
    if found is None:
        raise NodeError(f"header '{name}' comes from the {value}: give its file with -f")
    return found


def _send(request: Request, url: str, headers: Mapping[str, str], body: Any, seconds: float) -> _Answer:
    try:
        import requests
    except ImportError:
        raise NodeError("an http template needs the package requests: pip install requests") from None
    try:
        got = requests.request(
            request.method, url, headers=dict(headers), data=body, timeout=seconds, verify=request.verified
        )
    except (requests.RequestException, ValueError) as error:
        raise NodeError(f"{request.method} {url}: {error}") from error
    values: dict[str, list[str]] = {}
    for name, value in got.headers.items():
        values.setdefault("-".join(part.capitalize() for part in name.split("-")), []).append(value)
    return _Answer(got.status_code, got.content.decode("utf-8", errors="replace"), values)
