"""A run repeated: from a step on, with what came before taken over, or one step on its recorded inputs."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from argosy.errors import UsageError
from argosy.local.context import EXIT_HANDLER, Only
from argosy.local.job import Inputs
from argosy.local.marks import Mark, difference
from argosy.local.node import Node, Phase, folder_name, now
from argosy.local.program import PYTHONS
from argosy.local.runs.logs import inside
from argosy.local.runs.record import Record
from argosy.local.state import FORMAT, STATE_FILE
from argosy.step.files import write_text


def take_over(record: Record, step: str, run_dir: Path, identity: Mapping[str, str]) -> list[Node]:
    """Make a run's folder that `resume` continues at `step`; returns the nodes whose outputs it has.

    Taken over is what Succeeded and neither is the step nor holds it; the runner itself runs anew whatever
    depends on it. Files are shared by hard links where the disk allows.

    Raises:
        UsageError: there is no such step, or the folder cannot be written.
    """
    kept = before(record, step)
    made = _made(record)
    for one in kept:
        for path in one.outputs.artifacts.values():
            _check(record, path, made)
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        for one in kept:
            for path in one.outputs.artifacts.values():
                _share(record.folder, run_dir, path)
            for name in (one.name, *(attempt.name for attempt in one.attempts)):
                _share(record.folder, run_dir, f"steps/{folder_name(name)}/main.log")
            if one.log:
                _share(record.folder, run_dir, one.log)
        head = {
            "format": FORMAT, **identity, "startedAt": now(), "phase": Phase.PENDING.value,
            "parameters": record.head["parameters"], "nodes": [one.to_dict() for one in kept],
        }  # fmt: skip
        write_text(run_dir / STATE_FILE, json.dumps(head, ensure_ascii=False), sync=True)
    except OSError as error:
        raise UsageError(f"the run's folder {run_dir} cannot be written: {error.strerror}") from None
    return kept


def _made(record: Record) -> dict[str, tuple[str, Mark | None]]:
    """The artifacts of a run by path: the step whose program made each, and how it was then."""
    made: dict[str, tuple[str, Mark | None]] = {}
    for node in record.nodes:
        for name, path in node.outputs.artifacts.items():
            one = (node.outputs.marks or {}).get(name)
            if one is not None or path not in made:
                made[path] = (node.name, one)
    return made


def _check(record: Record, path: str, made: Mapping[str, tuple[str, Mark | None]]) -> None:
    """Raise UsageError, naming an artifact and how to have it again, unless it is as it was made."""
    step, mark = made.get(path, ("", None))
    if not (wrong := difference(record.folder / path, mark)):
        return
    if not step:
        raise UsageError(f"'{path}' of {record.run} {wrong}")
    again = shlex.join(["argosy", "rerun", record.run, "--from", step])
    raise UsageError(f"'{path}' of {record.run}, which '{step}' made, {wrong}; make it anew with: {again}")


def before(record: Record, step: str) -> list[Node]:
    """The nodes that a run which starts at a step takes over. Raises UsageError if there is no such step."""
    node = record.node(step)
    again = inside(record, node.name) | set(_around(record, node))
    return [
        replace(n, reused=n.reused or record.run)
        for n in record.nodes
        if n.phase is Phase.SUCCEEDED and n.name not in again and not n.name.startswith(EXIT_HANDLER)
    ]


def _around(record: Record, node: Node) -> Iterable[str]:
    """The nodes that a node is inside of."""
    known = {n.name: n for n in record.nodes}
    while node.parent in known:
        yield node.parent
        node = known[node.parent]


def _share(source: Path, target: Path, path: str) -> None:
    """Let a file or folder stand in both runs; one outside of the run stays where it is."""
    if Path(path).is_absolute() or not (source / path).exists() or (target / path).exists():
        return
    share(source / path, target / path)


def share(source: Path, target: Path) -> None:
    """Let a file or folder stand at a second place, by hard links where the disk allows. Raises OSError."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True, copy_function=_link, dirs_exist_ok=True)
    else:
        target.unlink(missing_ok=True)
        _link(str(source), str(target))


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another disk, or one without links
        shutil.copy2(source, target, follow_symlinks=False)


def made_with_other_values(record: Record, kept: Iterable[Node], changed: Mapping[str, str]) -> list[str]:
    """Of the nodes that are taken over, those that read a parameter whose value is another now."""
    old = record.head["parameters"]
    names = [name for name, value in changed.items() if old.get(name) != value]
    found = []
    for node in kept:
        text = json.dumps(record.templates.get(node.template, {}))
        for name in names:
            if node.inputs.parameters.get(name, object()) == old.get(name) or re.search(
                rf"workflow\.parameters\.{re.escape(name)}\b", text
            ):
                found.append(node.name)
                break
    return found


def alone(record: Record, step: str, *, terminal: bool) -> Only:
    """One step on the inputs that it had.

    Raises:
        UsageError: there is no such step, it never had inputs, or an artifact is lost.
    """
    node = record.node(step)
    if node.kind == "Loop":
        items = [n.name for n in record.nodes if n.parent == node.name]
        raise UsageError(f"'{node.name}' is a loop; name an item, such as '{(items or ['?'])[0]}'")
    if (around := next((n for n in record.nodes if n.name == node.parent), None)) and (
        around.kind == "ContainerSet"
    ):
        raise UsageError(f"'{node.name}' is one container of a set: name the step, '{around.name}'")
    if node.queued_at is None and node.started_at is None:
        raise UsageError(f"'{node.name}' never began in {record.run}: it has no inputs to run on")
    artifacts = {name: record.folder / path for name, path in node.inputs.artifacts.items()}
    made = _made(record)
    for path in node.inputs.artifacts.values():
        _check(record, path, made)
    if terminal and node.kind not in ("Container", "Script"):
        raise UsageError(f"--debug opens one program; '{node.name}' holds several: name one of them")
    if terminal:
        _refuse_undebuggable(node.name, record.templates.get(node.template, {}))
    inputs = Inputs(dict(node.inputs.parameters), artifacts)
    return Only(node.name, node.template, inputs, terminal)


def _refuse_undebuggable(step: str, template: Mapping[str, Any]) -> None:
    """Raise UsageError unless a template runs `python -m MODULE` or `python FILE`."""
    container = template.get("container") or template.get("script") or {}
    words = [str(word) for word in (*(container.get("command") or ()), *(container.get("args") or ()))]
    words += ["source"] if "script" in template else []
    if len(words) > 1 and words[0] in PYTHONS and (words[1] == "-m" or not words[1].startswith("-")):
        return
    is_python = bool(words) and words[0] in PYTHONS
    shown = " ".join(words[: 2 if is_python else 1]) or "the image's own program"
    hint = "; a run made without --isolated runs a module" if words[1:2] == ["-I"] else ""
    programs = "'python -m MODULE' and 'python FILE'"
    raise UsageError(f"--debug opens Python's debugger in {programs}; '{step}' runs {shown}{hint}")
