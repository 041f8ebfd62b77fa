"""The state folder of one stack: what is written there, and how.

state.json         ports and processes (replaced as a whole, never half written)
credentials.json   the S3 key pair, readable by its owner alone
lock               held by `up` and `down`
logs/SERVICE.log   what each server said since it was last started (SERVICE.previous.log: the time before)
data/SERVICE/      what each server keeps
backends/          the folder that Triton loads its backends from
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from argosy.errors import StackError
from argosy.stack.process import ProcessId
from argosy.step.files import published

Report = Callable[[str], None]
_FORMAT = 1


@dataclass(frozen=True)
class Credentials:
    """The S3 key pair of one stack."""

    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class Launched:
    """A server that was started: its process, and a digest of the command that started it."""

    process: ProcessId
    command: str


@dataclass(frozen=True)
class State:
    """The state to be remembered between two commands."""

    ports: dict[str, int] = field(default_factory=dict)
    services: dict[str, Launched] = field(default_factory=dict)
    stored: bool = False
    """Whether the S3 server that runs was seen to hold what an `up` puts there."""

    def to_json(self) -> str:
        """Return the text of state.json."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> State:
        """Read the text of state.json; raises ValueError, KeyError or TypeError where it is not one."""
        data = json.loads(text)
        if data["format"] != _FORMAT:
            raise ValueError(f"format {data['format']} is not {_FORMAT}")
        services = {
            name: Launched(ProcessId(**launched["process"]), launched["command"])
            for name, launched in data["services"].items()
        }
        ports = {name: int(port) for name, port in data["ports"].items()}
        return cls(ports, services, bool(data.get("stored")))


def default_state_dir() -> Path:
    """Return the state folder if none is named: $ARGOSY_STATE_DIR, or .argosy in the current directory."""
    return Path(os.environ.get("ARGOSY_STATE_DIR") or ".argosy")


class StateFolder:
    """The folder on disk; creates what it needs when it is first written to."""

    def __init__(self, path: Path) -> None:
        """Use the folder at `path`, which need not exist."""
        self.path = path.absolute()

    @property
    def backends(self) -> Path:
        """The folder that Triton loads its backends from."""
        return self.path / "backends"

    def log(self, service: str) -> Path:
        """Return the path of a server's log."""
        return self.path / "logs" / f"{service}.log"

    def data(self, service: str) -> Path:
        """Return the folder of a server's own data, which exists afterwards."""
        folder = self.path / "data" / service
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def load(self) -> State:
        """Return what was remembered; an empty state if there is none.

        Raises:
            StackError: the file is damaged, or written by another version.
        """
        path = self.path / "state.json"
        try:
            return State.from_json(path.read_text())
        except FileNotFoundError:
            return State()
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StackError(
                f"{path} cannot be read ({error}); stop its servers by hand, delete the folder, start anew"
            ) from error

    def save(self, state: State) -> None:
        """Replace what is remembered, in one move."""
        _publish(self.path / "state.json", state.to_json())

    def credentials(self) -> Credentials | None:
        """Return the S3 key pair, or None if this stack has never been up."""
        try:
            return Credentials(**json.loads((self.path / "credentials.json").read_text()))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError) as error:
            raise StackError(
                f"{self.path / 'credentials.json'} cannot be read; delete it, run `argosy up`"
            ) from error

    def ensure_credentials(self) -> Credentials:
        """Return the S3 key pair; make a random one the first time."""
        there = self.credentials()
        if there is not None:
            return there
        made = Credentials("ARGOSY" + secrets.token_hex(7).upper(), secrets.token_urlsafe(30))
        _publish(self.path / "credentials.json", json.dumps(asdict(made)))
        return made

    @contextmanager
    def locked(self, report: Report) -> Iterator[None]:
        """Keep every other `up` and `down` of this folder waiting; the kernel lets go if we die."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("w") as handle:
            take_lock(
                handle.fileno(), lambda: report(f"waiting for another command that works on {self.path}")
            )
            yield


def take_lock(descriptor: int, on_wait: Callable[[], None]) -> None:
    """Lock an open file for this process alone; call `on_wait` once if somebody else holds it now."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        on_wait()
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def _publish(path: Path, text: str) -> None:
    """Write beside, then rename: a reader sees the old text or the new one; the mode is 0600."""
    with published(path, sync=True) as beside:
        beside.touch(mode=0o600)
        beside.write_text(text)
