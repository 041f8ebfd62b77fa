"""One server of the stack, as data: how it is started, where it answers, how to see that it is well."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from argosy.errors import StackError
from argosy.stack import process

_POLL = 0.05  # seconds between two looks at a server that starts

# A proxy from the environment must never come between us and loopback.
_direct = build_opener(ProxyHandler({}))


class Unwell(Exception):
    """A server does not answer as it should; the message says how. For health checks and their callers."""


class Cancelled(StackError):
    """The work was called off because something else failed, or by Ctrl-C."""


@dataclass(frozen=True)
class Service:
    """How to run one server."""

    name: str
    address: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    folder: Path
    log: Path
    check: Callable[[], None]
    """Returns if the server is well, raises Unwell if not; takes a few seconds at most."""
    sweep: Callable[[], None] = lambda: None
    """Removes what a killed server leaves outside of its folder; only called while it does not run."""
    start_within: float = 60.0
    stop_within: float = 15.0

    def digest(self) -> str:
        """Return a fingerprint of the command and its settings: another one means that a restart is due."""
        text = json.dumps([self.command, sorted(self.environment.items())])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def start(self) -> subprocess.Popen[bytes]:
        """Start the server; it inherits our environment, but for what would lead it elsewhere."""
        environment = {**inherited(), **self.environment}
        try:
            return process.start(self.command, environment, self.log, self.folder)
        except OSError as error:
            hint = "its parts come with `pip install 'argosy[local]'`"
            raise StackError(f"{self.name} cannot be started: {error}; {hint}") from error

    def wait_until_well(self, child: subprocess.Popen[bytes], cancel: threading.Event) -> None:
        """Return once the server answers.

        Raises:
            StackError: it ended, or did not answer in time; the message has the last lines of its log.
            Cancelled: `cancel` was set meanwhile.
        """
        deadline = time.monotonic() + self.start_within
        while True:
            code = child.poll()
            if code is not None:
                raise StackError(self.obituary(f"ended with exit code {code} while it started"))
            try:
                return self.check()
            except Unwell as error:
                if time.monotonic() > deadline:
                    raise StackError(
                        self.obituary(f"was not ready in {self.start_within:.0f} s ({error})")
                    ) from error
            if cancel.wait(_POLL):
                raise Cancelled(f"{self.name}: the start was called off")

    def obituary(self, what: str) -> str:
        """Return an error message: who, what happened, the last words, where the rest is."""
        return f"{self.name} {what}; the last lines of {self.log}:\n{process.tail(self.log)}"


def inherited() -> dict[str, str]:
    """Return our environment without other people's MLflow and AWS settings, which would mislead a server."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "AWS_"))}


def http(url: str, timeout: float = 3.0, body: bytes | None = None) -> bytes:
    """GET a loopback URL (POST if there is a body); raises Unwell unless the answer is a success."""
    try:
        with _direct.open(url, data=body, timeout=timeout) as answer:
            content: bytes = answer.read()
            return content
    except URLError as error:  # an HTTPError is one too, and its text has the status
        raise Unwell(f"{url}: {error}") from error
    except (OSError, ValueError) as error:
        raise Unwell(f"{url}: {type(error).__name__} {error}") from error
