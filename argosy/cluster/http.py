"""Requests to one server, with its failures told apart."""

import json
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import urllib3
from urllib3.exceptions import HTTPError, LocationValueError, NewConnectionError, SSLError

from argosy.cluster.api import encoded
from argosy.cluster.failures import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    RejectedError,
    SubmitError,
    TransientError,
)
from argosy.errors import UsageError

_BUSY = (429, 502, 503, 504)
_LONGEST = 1500


def read_object(where: str, data: bytes) -> dict[str, Any]:
    """The object in a good answer; raises SubmitError where the answer is of another kind."""
    try:
        content = json.loads(data)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise _no_api(where)
    return content


def _no_api(where: str) -> SubmitError:
    return SubmitError(f"{where} does not answer as an API does; check the address")


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


_LOGGER = logging.getLogger(__name__)
_CONNECT, _READ = 10.0, 60.0
JSON, EVENT_STREAM, ANYTHING = "application/json", "text/event-stream", "*/*"
_PATCH = "application/merge-patch+json"
STREAM_SECONDS = 300
"""How long the server is asked to keep a stream open."""


def shown(url: str) -> str:
    """An address without the user and password that may stand in it."""
    scheme = "".join(re.findall(r"^\w*://", url))
    address = url.removeprefix(scheme).rpartition("@")[2]
    return scheme + re.split(r"[?#]", address)[0].rstrip("/")


class Http:
    """One server. A call is one attempt: nothing is repeated, no redirection is followed.

    Args:
        name: what it is, for messages: "the Kubernetes API".
        url: its base address.
        pool: the connections, with TLS and proxies set up.
        credentials: the `Authorization` header, asked for on each request because tokens are renewed.
    """

    def __init__(
        self, name: str, url: str, pool: urllib3.PoolManager, credentials: Callable[[], str | None]
    ) -> None:
        self.where = f"{name} at {shown(url)}"
        self._url = url.rstrip("/")
        self._pool = pool
        self._credentials = credentials

    def call(
        self,
        method: str,
        path: str,
        doing: str,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """The object that the server answers with; `doing` says what this is for.

        A PATCH is a merge patch.

        Raises:
            SubmitError: in the form that fits the failure.
        """
        with self._response(method, path, doing, body, query or {}, _READ) as response:
            data = response.data
        _LOGGER.debug("%s %s: %s", method, path, response.status)
        return read_object(self.where, data)

    def resource(
        self, method: str, path: str, doing: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The Kubernetes object that the server answers with: it has a name, whatever else it has.

        Raises:
            SubmitError: as `call`, and where the answer is another object.
        """
        found = self.call(method, path, doing, body)
        metadata = found.get("metadata")
        if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
            raise _no_api(self.where)
        return found

    def text(self, path: str, doing: str) -> str:
        """The answer to a GET as text."""
        with self._response("GET", path, doing, None, {}, _READ, ANYTHING) as response:
            return response.data.decode("utf-8", "replace")

    def lines(
        self,
        path: str,
        doing: str,
        query: Mapping[str, str],
        accept: str = JSON,
        seconds: float = STREAM_SECONDS + 30.0,
    ) -> Iterator[bytes]:
        """The lines of an answer as they come, until the server ends it.

        Args:
            path, query: of the request.
            doing: for messages.
            accept: the media type that is asked for.
            seconds: how long the server may be silent.
        """
        with self._response("GET", path, doing, None, query, seconds, accept) as response:
            rest = b""
            for chunk in response.stream(1 << 16):
                *complete, rest = (rest + chunk).split(b"\n")
                yield from complete
            if rest:  # a log may end without a newline
                yield rest

    @contextmanager
    def _response(
        self,
        method: str,
        path: str,
        doing: str,
        body: Mapping[str, Any] | None,
        query: Mapping[str, str],
        seconds: float,
        accept: str = JSON,
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        with self._explained(doing):
            response = self._pool.request(
                method,
                self._url + path,
                body=None if body is None else encoded(body),
                fields=dict(query) or None,
                headers=self._headers(accept, _PATCH if method == "PATCH" else JSON),
                timeout=urllib3.Timeout(connect=_CONNECT, read=seconds),
                retries=False,
                preload_content=False,
            )
            try:
                if not 200 <= response.status < 300:
                    raise error_for(self.where, response.status, response.data, doing)
                yield response
            finally:
                response.close()

    def _headers(self, accept: str, content: str) -> dict[str, str]:
        headers = {"Accept": accept, "Content-Type": content, "User-Agent": "argosy"}
        if credentials := self._credentials():
            if not (credentials.isascii() and credentials.isprintable()):
                raise UsageError(f"the token for {self.where} holds characters that no token has")
            headers["Authorization"] = credentials
        return headers

    @contextmanager
    def _explained(self, doing: str) -> Iterator[None]:
        try:
            yield
        except LocationValueError as error:
            raise SubmitError(f"'{shown(self._url)}' is not an address: {error}") from None
        except SSLError as error:
            raise SubmitError(
                f"{self.where}: TLS failed: {_reason(error)}; check the address and the certificate authority"
            ) from None
        except NewConnectionError as error:
            raise TransientError(f"{self.where} cannot be reached: {_reason(error)}") from error
        except (HTTPError, OSError) as error:
            raise TransientError(f"{self.where} gave no answer to: {doing} ({_reason(error)})") from error


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.rpartition("Failed to establish a new connection: ")[2].rpartition("Failed to resolve: ")[2]


def segment(name: str) -> str:
    """A name as one part of a path."""
    return quote(name, safe="")
