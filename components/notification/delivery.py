"""A message to a webhook, which may fail in any way without anybody's harm."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import urlsplit

import requests
from tenacity import Retrying, retry_if_exception_type, stop_before_delay, wait_random_exponential

log = logging.getLogger(__name__)

_TRY = 5.0  # seconds for one try to connect, and then for an answer
_LATER = (408, 425, 429, 500, 502, 503, 504)


class _Refused(Exception):
    """The webhook answered with an error that another try would not change."""


class _Busy(Exception):
    """The webhook may take the message later."""


def deliver(url: str, body: Mapping[str, Any], patience: float) -> Literal["sent", "not-sent", "no-webhook"]:
    """Post `body` as JSON; try again what may pass, and give up after `patience` seconds with a warning.

    Args:
        url: the webhook, a secret: no message or log shows it.
        body: what is sent.
        patience: seconds for all tries.
    """
    if not url:
        log.warning("no webhook: ARGOSY_WEBHOOK_URL is empty; put the address into its Secret")
        return "no-webhook"
    failures: list[str] = []
    if not within(patience, lambda: _send(url, body, patience, failures)):
        failures = [f"it did not answer within {patience:g} s"]
    if failures:
        log.warning("the webhook at %s did not take the message: %s", _host(url), failures[0])
        return "not-sent"
    log.info("told %s", _host(url))
    return "sent"


def within(seconds: float, action: Callable[[], None]) -> bool:
    """Carry out `action`, and tell whether it ended in time; it goes on where it did not.

    In a thread that nobody waits for at the end of the process: a server that sends a byte now and then
    outlasts any time limit of a request's.
    """
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()


def _send(url: str, body: Mapping[str, Any], patience: float, failures: list[str]) -> None:
    tries = Retrying(
        retry=retry_if_exception_type((_Busy, requests.ConnectionError, requests.Timeout)),
        stop=stop_before_delay(patience * 0.9),
        wait=wait_random_exponential(multiplier=0.2, max=2),
        reraise=True,
    )
    try:
        tries(_post, url, body)
    except (_Busy, _Refused) as error:
        failures.append(str(error))
    except Exception as error:  # its own text may hold the address
        failures.append(type(error).__name__)


def _post(url: str, body: Mapping[str, Any]) -> None:
    # Slack answers redirected requests as if nothing had been sent.
    with requests.post(url, json=body, timeout=_TRY, allow_redirects=False, stream=True) as answer:
        if answer.status_code in _LATER:
            raise _Busy(f"it answered {answer.status_code} {answer.reason}")
        if answer.status_code >= 300:
            raise _Refused(f"it answered {answer.status_code} {answer.reason}")


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "an address without a host"
    except ValueError:
        return "an address that cannot be read"
