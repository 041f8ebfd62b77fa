"""The page: a run as plain data, put into a template.

The data stand in the page as JSON and reach the document as text nodes only, so nothing that a step wrote is
ever read as HTML or script; a content security policy allows the page's own script and no other.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from argosy.errors import UsageError
from argosy.local.node import Node, now, parse_time
from argosy.local.runs.gates import gates
from argosy.local.runs.page.drawing import draw
from argosy.local.runs.page.preview import Previews, log_end
from argosy.local.runs.record import Record
from argosy.local.stacks import Told
from argosy.step.files import write_text

PAGE_FILE = "page.html"
"""What servers tell of a run: its `training` and its `deployments`."""

_LOGS = 1_000_000  # bytes of logs in one page
_SHORTEST, _LONGEST = 500, 60_000  # bytes of one step's
_VALUE = 4_000  # characters of a parameter's value


def write_page(record: Record, told: Told | None = None) -> Path:
    """Write a run's page into its folder; returns the file.

    Raises:
        UsageError: jinja2 is not installed, or the folder cannot be written.
    """
    path = record.folder / PAGE_FILE
    try:
        write_text(path, render_page(record, told))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    return path


def render_page(record: Record, told: Told | None = None) -> str:
    """The page's text. Raises UsageError if jinja2 is not installed."""
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise UsageError("pages need jinja2; run `pip install 'argosy[local]'`") from error
    loader = jinja2.PackageLoader("argosy.local.runs.page", "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    script, style = (_asset(name) for name in ("page.js", "page.css"))
    return environment.get_template("page.html.j2").render(
        title=f"{record.run} {record.phase}",
        run=record.run,
        style=style,
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        graph=draw(record.manifest),
        data=embedded(page_data(record, told)),
    )


def _asset(name: str) -> str:
    return (resources.files("argosy.local.runs.page") / "templates" / name).read_text("utf-8")


def embedded(data: Any) -> str:
    """JSON that may stand inside of a script element: no character can end it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def page_data(record: Record, told: Told | None = None) -> dict[str, Any]:
    """Everything that the page shows. Times are milliseconds since the run began."""
    start = parse_time(record.started_at).timestamp() * 1000 if record.started_at else 0.0
    previews = Previews()
    share = min(_LONGEST, max(_SHORTEST, _LOGS // max(1, len(record.nodes))))
    place = {node.name: number for number, node in enumerate(record.nodes)}
    parameters = dict(record.head.get("parameters", {}))
    return {
        "run": record.run,
        "pipeline": record.pipeline,
        "phase": record.phase,
        "state": record.state,
        "message": record.problem or record.head.get("message", ""),
        "startedAt": record.started_at,
        "seconds": record.seconds,
        "asOf": _since(now(), start),
        "folder": str(record.folder),
        "parameters": {key: _short(value) for key, value in parameters.items()},
        "outputs": {key: _short(value) for key, value in record.outputs.parameters.items()},
        "nodes": [_node(record, node, place, start, share, previews) for node in record.nodes],
        "templates": {name: _template(body) for name, body in record.templates.items()},
        "gates": [gate.to_dict() for gate in gates(record)],
        "versions": _versions(record),
        "training": [],
        "deployments": [],
        **(told or {}),
        "links": _links(parameters),
    }


def _node(
    record: Record, node: Node, place: Mapping[str, int], start: float, share: int, previews: Previews
) -> dict[str, Any]:
    path = record.log_of(node)
    limit = _LONGEST if node.phase.is_bad else share
    text, left_out = log_end(path, limit) if path else ("", 0)
    known: dict[str, Any] = {
        "name": node.name,
        "shown": node.display_name,
        "template": node.template,
        "kind": node.kind,
        "parent": place.get(node.parent, -1),
        "phase": node.phase.value,
        "queued": _since(node.queued_at, start),
        "began": _since(node.started_at, start),
        "ended": _since(node.finished_at, start),
        "exit": node.exit_code,
        "message": node.message,
        "inputs": {key: _short(value) for key, value in node.inputs.parameters.items()},
        "outputs": {key: _short(value) for key, value in node.outputs.parameters.items()},
        "result": None if node.outputs.result is None else _short(node.outputs.result),
        "given": dict(node.inputs.artifacts),
        "made": [
            previews.of(name, path, record.place_of(path)) for name, path in node.outputs.artifacts.items()
        ],
        "log": text,
        "logPath": node.log,
        "leftOut": left_out,
        "reused": node.reused,
        "attempts": [
            [_since(a.started_at, start), _since(a.finished_at, start), a.phase.value, a.exit_code, a.message]
            for a in node.attempts
        ],
    }
    empty: tuple[Any, ...] = (None, "", {}, [])
    return {key: value for key, value in known.items() if value not in empty or key in ("parent",)}


def _since(moment: str | None, start: float) -> int | None:
    return None if moment is None else round(parse_time(moment).timestamp() * 1000 - start)


def _short(value: str) -> str:
    return value if len(value) <= _VALUE else f"{value[:_VALUE]}… ({len(value)} characters)"


def _template(body: Mapping[str, Any]) -> dict[str, Any]:
    """The image and the resources of a template."""
    container = body.get("container") or body.get("script") or {}
    return {
        "image": str(container.get("image", "")),
        "command": " ".join(map(str, [*(container.get("command") or ()), *(container.get("args") or ())])),
        "resources": container.get("resources") or {},
    }


def _versions(record: Record) -> list[dict[str, str]]:
    """Outputs that say which version is where, as steps told them."""
    found = []
    for node in record.nodes:
        for name, value in node.outputs.parameters.items():
            if value and ("version" in name or name in ("live", "previous", "champion", "alias")):
                found.append({"step": node.name, "name": name, "value": _short(value)})
    return found


def _links(parameters: Mapping[str, str]) -> list[dict[str, str]]:
    """Servers that the run's parameters name; only addresses of the web become links."""
    found = []
    for name, value in parameters.items():
        if value.startswith(("http://", "https://", "s3://")):
            found.append({"name": name, "address": value})
    return found


def finite(value: Any) -> float | None:
    """A number that JSON has, or None."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
