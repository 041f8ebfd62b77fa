"""The state of a run's nodes: in memory while it goes on, told to a reporter, kept on disk and read back.

On disk it is a whole document, and behind it a journal of the changes since. The whole document, `run.json`,
is replaced atomically; each change is one line appended to the journal that it names. When the journal has
grown to the document's size, a new document takes its place. So a change costs its own length, not that of
all nodes, and a kill at any moment leaves the old or the new state: a line that was not written to its end is
no line. Nothing is synced before the end: the state has to survive the death of the runner, not of the
machine.

While a run goes on, a file without meaning keeps some room on the disk. At the end it is given up, so that
the last state can be written to a disk that is full by then: as a whole, or, where that needs more, as a last
line of the journal.

Its shape is checked when it is read: what else was written there is told by name, and read no further.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from argosy.errors import UsageError
from argosy.local.node import Attempt, Node, Phase, as_text, folder_name, in_order, now, parse_time
from argosy.step.files import write_text

if TYPE_CHECKING:
    from argosy.local.job import Reporter


STATE_FILE = "run.json"
FORMAT = 1
"""Version of the run's folder; a change that an older reader would misunderstand adds one."""

_SMALLEST = 256 * 1024  # bytes of a journal that are not worth a new document
_TRIES = 20
_ROOM = 16 * 1024  # bytes of the disk that are kept for the last state
_ROOM_FILE = ".room"
_JOURNAL = re.compile(r"run\.\d+\.jsonl")

Check = Callable[[Any], bool]


class RunState:
    """Nodes by name, in the order they appeared, kept on disk and told to a reporter.

    Where the folder cannot be written any more (a full disk), `on_lost` is called once with the reason; what
    changes after that is known to the reporter alone.
    """

    def __init__(self, run_dir: Path, identity: dict[str, Any], reporter: Reporter) -> None:
        self.run_dir = run_dir
        self.identity = identity
        self.nodes: dict[str, Node] = {}
        self.on_lost: Callable[[str], None] = lambda _: None
        self._lost = False
        self._reporter = reporter
        self._journal = Journal(run_dir)
        self._written: dict[str, str] = {}  # each node's JSON
        self._earlier: dict[str, tuple[Attempt, ...]] = {}  # what earlier sessions tried, by node
        self._changes: list[str] = []

    def begin(self) -> None:
        """Write the first state. Raises UsageError, with nothing begun, where that cannot be done."""
        try:
            self._journal.keep_room()
            self._journal.replace(self._head(Phase.RUNNING), self._written.values())
        except OSError as error:
            self._journal.free_room()
            raise UsageError(self._unwritable(error)) from None
        self._changes.clear()

    def put(self, node: Node) -> Node:
        """Record a node's new state; returns it."""
        node = self._remember(node)
        self.save()
        self._reporter.on_node(node)
        return node

    def expect(self, nodes: Iterable[Node]) -> None:
        """Record nodes that wait, where nothing is known of them yet."""
        added = [node for node in nodes if node.name not in self.nodes]
        for node in added:
            self._remember(node)
            self._reporter.on_node(node)
        self.save()

    def kept(self, name: str) -> Node | None:
        """The node, if an earlier session of this run finished it with success."""
        node = self.nodes.get(name)
        return node if node and node.phase is Phase.SUCCEEDED else None

    def discard(self, name: str) -> None:
        """Forget a node, its attempts and everything inside of it."""
        self.empty(name)
        self._forget([name])

    def empty(self, name: str) -> None:
        """Forget what is inside of a node that is about to run anew; it keeps its place in the order."""
        inside = (f"{name}.", f"{name}(")
        self._forget([key for key in self.nodes if key.startswith(inside)])

    def in_order(self) -> tuple[Node, ...]:
        """All nodes, each followed by what is inside of it."""
        return in_order(self.nodes.values())

    def restore(self, raw_nodes: list[dict[str, Any]]) -> None:
        """Take over an earlier session's nodes; those that did not succeed wait again, their logs kept."""
        for raw in raw_nodes:
            node = Node.from_dict(raw)
            if node.phase is not Phase.SUCCEEDED:
                if tries := tuple(laid_aside(self.run_dir, node)):
                    self._earlier[node.name] = tries
                node = Node(node.name, node.template, node.kind, parent=node.parent)
            self._remember(node)

    def close(self, phase: Phase, extra: Mapping[str, Any]) -> str:
        """Write the last state, synced; nodes of an earlier session that this one never met are dropped.

        Returns why that could not be done, or nothing.
        """
        self._forget([name for name, node in self.nodes.items() if not node.phase.is_final])
        self._journal.free_room()
        try:
            self._write_last({**self._head(phase), **extra})
        except OSError as error:
            return self._unwritable(error)
        finally:
            self._journal.close()
        return ""

    def save(self) -> None:
        """Put what changed on disk."""
        if self._lost:
            return
        try:
            if self._journal.is_full:
                self._journal.replace(self._head(Phase.RUNNING), self._written.values())
            elif self._changes:
                self._journal.add(self._changes)
        except OSError as error:
            self._lost = True
            self.on_lost(self._unwritable(error))
        else:
            self._changes.clear()

    def _head(self, phase: Phase) -> dict[str, Any]:
        return {**self.identity, "phase": phase.value, "savedAt": now()}

    def _write_last(self, head: Mapping[str, Any]) -> None:
        """Write the last state as a document or, with less room, as the journal's last lines, or as one."""
        try:
            self._journal.replace(head, self._written.values(), last=True)
        except OSError:
            if self._journal.is_closed:
                raise
            line = json.dumps({"head": head}, ensure_ascii=False)
            try:
                self._journal.add([*self._changes, line], sync=True)
            except OSError:
                self._journal.add([line], sync=True)

    def _unwritable(self, error: OSError) -> str:
        return f"the run's folder {self.run_dir} cannot be written: {error.strerror or error}"

    def _remember(self, node: Node) -> Node:
        if node.name in self._earlier:
            node = replace(node, attempts=(*self._earlier[node.name], *self._own_attempts(node)))
        self.nodes[node.name] = node
        text = self._written[node.name] = json.dumps(node.to_dict(), ensure_ascii=False)
        self._changes.append(f'{{"node": {text}}}')
        return node

    def _own_attempts(self, node: Node) -> tuple[Attempt, ...]:
        """This session's attempts at a node that an earlier one tried; without retries it is one itself."""
        own = tuple(a for a in node.attempts if a not in self._earlier[node.name])
        if own or not (node.phase.is_final and node.log and node.started_at and node.finished_at):
            return own
        return (_as_attempt(node, node.finished_at),)

    def _forget(self, names: list[str]) -> None:
        known = [name for name in names if self.nodes.pop(name, None)]
        for name in known:
            del self._written[name]
        if known:
            self._changes.append(json.dumps({"forget": known}))


def laid_aside(run_dir: Path, node: Node) -> Iterator[Attempt]:
    """The tries of a node, under names that no attempt to come has; its logs are moved to where these are.

    A log that cannot be moved stays where it is, until an attempt of the same name begins.
    """
    tries = list(node.attempts)
    files = [run_dir / "steps" / folder_name(one.name) / "main.log" for one in tries]
    current = run_dir / node.log if node.log else None
    if current is not None and current not in files and node.started_at and current.is_file():
        end = node.finished_at or as_text(datetime.fromtimestamp(current.stat().st_mtime, timezone.utc))
        tries.append(_as_attempt(node, end))
        files.append(current)
    for number, (one, file) in enumerate(zip(tries, files, strict=True)):
        name = f"{node.name}@{number}"
        aside = run_dir / "steps" / folder_name(name) / "main.log"
        if file != aside:
            with suppress(OSError):
                aside.parent.mkdir(parents=True, exist_ok=True)
                file.replace(aside)
        yield replace(one, name=name)


def _as_attempt(node: Node, ended: str) -> Attempt:
    """A node that is not retried, as its one attempt."""
    assert node.started_at is not None
    phase, message = (node.phase, node.message) if node.phase.is_final else (Phase.ERROR, "its runner died")
    return Attempt(node.name, phase, node.started_at, ended, node.exit_code, message)


def load(run_dir: Path) -> dict[str, Any]:
    """The state that an earlier session left. Raises UsageError if there is none, or it is not readable."""
    if not (run_dir / STATE_FILE).exists():
        raise UsageError(f"there is no run to resume in {run_dir}: it has no {STATE_FILE}")
    return read_state(run_dir)


def lock(run_dir: Path) -> int:
    """Take the folder until the returned descriptor is closed.

    Raises UsageError if another run has it, or if it cannot be written.
    """
    try:
        descriptor = os.open(run_dir / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise UsageError(f"the run's folder {run_dir} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UsageError(f"{run_dir} belongs to a run that is still going on") from error
    with suppress(OSError):  # a full disk: then nobody can be told who has it
        os.ftruncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())
    return descriptor


class Journal:
    """Writes one run's state."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._file: int | None = None
        self._number = 0
        self._size = self._limit = 0
        for left in run_dir.glob("run.*.jsonl"):  # of a session that was killed
            self._number = max(self._number, *(int(part) for part in left.name.split(".") if part.isdigit()))

    @property
    def is_full(self) -> bool:
        """Whether the next change is better written as a whole document."""
        return self._file is None or self._size >= self._limit

    @property
    def is_closed(self) -> bool:
        """Whether no change can be added."""
        return self._file is None

    def keep_room(self) -> None:
        """Take some room on the disk, to have it when there is no other. Raises OSError."""
        (self._run_dir / _ROOM_FILE).write_bytes(os.urandom(_ROOM))  # zeros might take none

    def free_room(self) -> None:
        """Give that room up."""
        with suppress(OSError):
            (self._run_dir / _ROOM_FILE).unlink(missing_ok=True)

    def add(self, changes: Iterable[str], *, sync: bool = False) -> None:
        """Append changes, each a JSON text: all of them or none. Raises OSError."""
        assert self._file is not None
        data = "".join(f"{change}\n" for change in changes).encode()
        size = self._size + len(data)
        try:
            while data:
                data = data[os.write(self._file, data) :]
            if sync:
                os.fsync(self._file)
        except OSError:
            with suppress(OSError):  # else what comes next would be the end of half a line
                os.ftruncate(self._file, self._size)
                os.lseek(self._file, self._size, os.SEEK_SET)
            raise
        self._size = size

    def replace(self, head: Mapping[str, Any], nodes: Iterable[str], *, last: bool = False) -> None:
        """Write the whole document; begin a new journal or, with `last`, sync. Raises OSError."""
        known = {"format": FORMAT, **head}
        fresh = None
        if not last:
            self._number += 1
            known["journal"] = f"run.{self._number}.jsonl"
            fresh = os.open(self._run_dir / known["journal"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        body = ",\n".join(nodes)
        text = f'{json.dumps(known, ensure_ascii=False)[:-1]}, "nodes": [\n{body}\n]}}\n'
        try:
            write_text(self._run_dir / STATE_FILE, text, sync=last)
        except OSError:
            if fresh is not None:
                os.close(fresh)
                (self._run_dir / known["journal"]).unlink(missing_ok=True)
            raise
        self.close()
        self._file, self._size, self._limit = fresh, 0, max(_SMALLEST, len(text))
        for old in self._run_dir.glob("run.*.jsonl"):
            if old.name != known.get("journal"):
                old.unlink(missing_ok=True)

    def close(self) -> None:
        """Write no more."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def read_state(run_dir: Path) -> dict[str, Any]:
    """The state of a run: of one that is over, of one that goes on, of one that was killed.

    Raises UsageError if there is none, if it is not readable, or if a newer Argosy wrote it.
    """
    path = run_dir / STATE_FILE
    state = _newest(run_dir, path)
    if wrong := damage(state):
        raise UsageError(f"{path} is damaged: {wrong}")
    return state


def _newest(run_dir: Path, path: Path) -> dict[str, Any]:
    for _ in range(_TRIES):  # between the two reads a new document may take the old one's place
        document = _document(path)
        if "journal" not in document:
            return document
        if not _JOURNAL.fullmatch(str(document["journal"])):
            raise UsageError(f"{path} is damaged: journal")
        try:
            lines = (run_dir / str(document["journal"])).read_bytes().split(b"\n")[:-1]
        except FileNotFoundError:
            continue
        except OSError as error:
            raise UsageError(f"the journal of {path} cannot be read: {error.strerror}") from error
        return _with_changes(document, lines, path)
    raise UsageError(f"{path} names a journal that is not there: {document['journal']}")


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"there is no run in {path.parent}: it has no {STATE_FILE}") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not the state of a run: {error}") from error
    needed = {"name", "uid", "startedAt", "phase", "parameters", "nodes"}
    if not isinstance(document, dict) or not needed <= document.keys():
        raise UsageError(f"{path} is not the state of a run")
    number = document.get("format") or 0
    if isinstance(number, int) and number > FORMAT:
        raise UsageError(f"{path} has format {number}, of a newer Argosy; this one reads up to {FORMAT}")
    return document


def _with_changes(document: dict[str, Any], lines: list[bytes], path: Path) -> dict[str, Any]:
    try:
        nodes = {node["name"]: node for node in document["nodes"]}
        for change in map(json.loads, lines):
            if "node" in change:
                nodes[change["node"]["name"]] = change["node"]
            for name in change.get("forget", ()):
                nodes.pop(name, None)
            document = {**document, **change.get("head", {})}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"the journal of {path} is damaged: {error}") from error
    return {**document, "nodes": list(nodes.values())}


def is_text(value: Any) -> bool:
    """Whether a value is a text."""
    return isinstance(value, str)


def _name(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def is_texts(value: Any) -> bool:
    """Whether a value is a mapping to texts."""
    return isinstance(value, dict) and all(map(is_text, value.values()))


def is_lines(value: Any) -> bool:
    """Whether a value is a list of texts."""
    return isinstance(value, list) and all(map(is_text, value))


def _moment(value: Any) -> bool:
    try:
        return is_text(value) and parse_time(value).tzinfo is not None
    except ValueError:
        return False


def _phase(value: Any) -> bool:
    return is_text(value) and value in {phase.value for phase in Phase}


def _code(value: Any) -> bool:
    return isinstance(value, int)


def _inside(value: Any) -> bool:
    """A path of the run's own folder."""
    return (
        is_text(value) and not PurePosixPath(value).is_absolute() and ".." not in PurePosixPath(value).parts
    )


def _values(value: Any) -> bool:
    return isinstance(value, dict) and not wrong_field(
        value,
        {"parameters": is_texts, "artifacts": is_texts},
        {"result": _or_none(is_text), "marks": _marks},  # the first had no marks
    )


def _marks(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(one, dict) and not wrong_field(one, _MARK, {}) for one in value.values()
    )


def _attempts(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict) and not wrong_field(one, _ATTEMPT, {}) for one in value
    )


def _nodes(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _or_none(check: Check) -> Check:
    return lambda value: value is None or check(value)


_HEAD: dict[str, Check] = {
    "name": _name, "uid": is_text, "startedAt": _moment, "phase": _phase, "parameters": is_texts,
    "nodes": _nodes,
}  # fmt: skip
_HEAD_MAY: dict[str, Check] = {
    "format": _code, "message": is_text, "finishedAt": _moment, "savedAt": _moment, "outputs": _values,
    "journal": is_text,
}  # fmt: skip
_MARK: dict[str, Check] = {"size": _code, "modified": _code, "sha256": _or_none(is_text)}
_ATTEMPT: dict[str, Check] = {
    "name": _name, "phase": _phase, "startedAt": _moment, "finishedAt": _moment, "exitCode": _or_none(_code),
    "message": is_text,
}  # fmt: skip
_NODE: dict[str, Check] = {
    "name": _name, "template": is_text, "type": is_text, "parent": is_text, "phase": _phase,
    "startedAt": _or_none(_moment), "finishedAt": _or_none(_moment), "inputs": _values, "outputs": _values,
    "exitCode": _or_none(_code), "message": is_text, "log": _or_none(_inside), "logTail": is_lines,
    "attempts": _attempts,
}  # fmt: skip
_NODE_MAY: dict[str, Check] = {
    "queuedAt": _or_none(_moment), "retryAt": _or_none(_moment), "reused": _or_none(is_text),
}  # fmt: skip


def damage(document: Mapping[str, Any]) -> str:
    """The field of a run's state that is none, such as `nodes[3].outputs`; empty where all are sound."""
    if wrong := wrong_field(document, _HEAD, _HEAD_MAY):
        return wrong
    parents: dict[str, str] = {}
    for number, node in enumerate(document["nodes"]):
        if wrong := wrong_field(node, _NODE, _NODE_MAY):
            return f"nodes[{number}].{wrong}"
        if node["name"] in parents:
            return f"nodes[{number}].name, which an earlier node has"
        parents[node["name"]] = node["parent"]
    return _circle(parents)


def wrong_field(found: Mapping[str, Any], fields: Mapping[str, Check], sometimes: Mapping[str, Check]) -> str:
    """The first of these fields that is missing, or of another kind; empty where all are sound."""
    for name, check in fields.items():
        if name not in found or not check(found[name]):
            return name
    for name, check in sometimes.items():
        if name in found and not check(found[name]):
            return name
    return ""


def _circle(parents: Mapping[str, str]) -> str:
    """A node that is inside of itself."""
    known: set[str] = set()
    for name in parents:
        way: set[str] = set()
        while name in parents and name not in known:
            if name in way:
                return f"the parent of '{name}', which is inside of itself"
            way.add(name)
            name = parents[name]
        known |= way
    return ""
