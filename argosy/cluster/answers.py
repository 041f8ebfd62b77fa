"""From a server's answer to one clear line."""

import json
from typing import Any

from argosy.cluster.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RejectedError,
    SubmitError,
    TransientError,
)

_BUSY = (429, 502, 503, 504)
_LONGEST = 1500


def read_object(where: str, data: bytes) -> dict[str, Any]:
    """The object in a good answer; raises SubmitError where the answer is of another kind."""
    try:
        content = json.loads(data)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise SubmitError(f"{where} does not answer as an API does; check the address")
    return content


def error_for(where: str, status: int, data: bytes, doing: str) -> SubmitError:
    """The error for an answer other than 2xx.

    Args:
        where: the server, for the message.
        status: of HTTP.
        data: the body: a Kubernetes `Status`, Argo Server's `{code, message}`, or anything.
        doing: what was tried: "create Workflow 'x' in namespace 'y'".
    """
    content = _content(data)
    reason = _one_line(content.get("message") or data.decode("utf-8", "replace")) or "no reason is given"
    if status == 401:
        return SubmitError(f"{where} does not accept the credentials (401); log in again or renew the token")
    if status == 403:
        return ForbiddenError(f"{where} does not allow to {doing}: {reason}")
    if status == 404:
        return _not_found(where, content, reason, doing)
    if status == 409:
        return ConflictError(f"cannot {doing}: {reason}")
    if status in (400, 413, 422):
        return RejectedError(f"{where} refuses to {doing}: {reason}")
    if status in _BUSY:
        return TransientError(f"{where} cannot {doing} now ({status}): {reason}")
    if 300 <= status < 400:
        return SubmitError(f"{where} sends elsewhere ({status}), as a login page does; check the address")
    return SubmitError(f"{where} failed to {doing} ({status}): {reason}")


def _content(data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _one_line(text: Any) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= _LONGEST else line[:_LONGEST] + " ..."


def _not_found(where: str, content: dict[str, Any], reason: str, doing: str) -> SubmitError:
    details = content.get("details")
    of_namespace = isinstance(details, dict) and details.get("kind") == "namespaces"
    if of_namespace or reason.startswith("namespaces "):
        return SubmitError(f"cannot {doing}: {where} has no such namespace")
    if content.get("code") == 5 or (isinstance(details, dict) and details.get("name")):
        return NotFoundError(f"cannot {doing}: {reason}")
    return SubmitError(f"cannot {doing}: {where} does not know this kind; is Argo Workflows installed there?")
