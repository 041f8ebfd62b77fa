"""A run as one HTML page that needs no network.

The data stand in the page as JSON and reach the document as text nodes only, so nothing that a step wrote is
ever read as HTML or script; a content security policy allows the page's own script and no other. Of logs and
artifacts the page has as much as there is room for, and tells how much it leaves out.
"""

from __future__ import annotations

import base64
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from argosy.catalogue.graph import Diagram, Edge, read_drawing
from argosy.catalogue.graph import Node as Drawn
from argosy.catalogue.layout import FRAME, HEADER, Box, place
from argosy.catalogue.svg import MARGIN, TINTS, Painter
from argosy.errors import ArgosyError, ManifestError, UsageError
from argosy.local.context import EXIT_HANDLER, HOOKS
from argosy.local.job import json_pieces
from argosy.local.node import Node, now, parse_time
from argosy.local.runs.gates import gates
from argosy.local.runs.record import Record, size_of
from argosy.local.stacks import Told, stack_kind
from argosy.step.files import published
from argosy.text import visible

PAGE_FILE = "page.html"
_LOGS = 1_000_000  # bytes of logs in one page
_SHORTEST, _LONGEST = 500, 60_000  # bytes of one step's
_VALUE = 4_000  # characters of a parameter's value

_IMAGES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}
_KINDS = {".csv": "csv", ".tsv": "csv", ".json": "json", ".html": "html", ".htm": "html"}
_TEXT = 20_000  # bytes of a text
_IMAGE = 400_000  # bytes of an image
_LISTED = 50  # files of a folder

_ALIKE = 8
"""Tasks that wait for the same, are waited for by the same and run the same: so many are one box."""

ROOM = "◌ 00m00s  "
"""Begins the second line of each box, in the place of its phase and time, which the page writes there."""


def write_page(record: Record, told: Told | None = None, path: Path | None = None) -> Path:
    """Write a run's page into its folder, or to another path; returns the file.

    Raises:
        UsageError: jinja2 is not installed, or the file cannot be written.
    """
    path = path or record.folder / PAGE_FILE
    try:
        with published(path) as beside, beside.open("wb") as file:
            file.writelines(piece.encode() for piece in _pieces(record, told))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    return path


def told(record: Record) -> Told:
    """The account that the servers of the project's stack give of a run now; empty without a stack."""
    try:
        kind = stack_kind()
    except ArgosyError:  # several stacks, or none that can be loaded: a run is shown all the same
        kind = None
    return kind.told(record.head.get("parameters", {}), record.nodes) if kind and kind.told else {}


def render_page(record: Record, told: Told | None = None) -> str:
    """The page's text. Raises UsageError if jinja2 is not installed."""
    return "".join(_pieces(record, told))


def _pieces(record: Record, told: Told | None) -> Iterator[str]:
    """The page, piece by piece: of thousands of steps, one at a time is held as what the page shows of it."""
    try:
        import jinja2
    except ModuleNotFoundError as error:
        raise UsageError("pages need jinja2; run `pip install jinja2`") from error
    loader = jinja2.PackageLoader("argosy.local.runs", "templates")
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
    script, style = (_asset(name) for name in ("page.js", "page.css"))
    return environment.get_template("page.html.j2").generate(
        title=f"{record.run} {record.phase}",
        run=record.run,
        style=style,
        script=script,
        script_hash=base64.b64encode(sha256(script.encode()).digest()).decode(),
        graph=draw(record.manifest),
        data=embedded(_data(record, told)),
    )


def _asset(name: str) -> str:
    return (resources.files("argosy.local.runs") / "templates" / name).read_text("utf-8")


_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def embedded(data: Mapping[str, Any]) -> Iterator[str]:
    """JSON, in pieces, that may stand inside of a script element: no character can end it."""
    for piece in json_pieces(data, _JSON):
        yield piece.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def page_data(record: Record, told: Told | None = None) -> dict[str, Any]:
    """Everything that the page shows. Times are milliseconds since the run began."""
    data = _data(record, told)
    return {**data, "nodes": list(data["nodes"])}


def _data(record: Record, told: Told | None) -> dict[str, Any]:
    """The same; the nodes are made one by one."""
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
        "asOf": _since(str(record.head["savedAt"]) if record.state == "interrupted" else now(), start),
        "folder": str(record.folder),
        "parameters": {key: _short(value) for key, value in parameters.items()},
        "outputs": {key: _short(value) for key, value in record.outputs.parameters.items()},
        "nodes": (_node(record, node, place, start, share, previews) for node in record.nodes),
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
        "role": _role(node),
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


def _role(node: Node) -> str:
    """How a node comes to run that no task stands for; empty for others."""
    owner, _, last = node.name.rpartition(".")
    of = f" of {owner}" if owner else ""
    if node.display_name.endswith(EXIT_HANDLER) and last == EXIT_HANDLER:
        return f"exit handler{of}"
    if node.name.startswith(f"{EXIT_HANDLER}."):
        return "part of the exit handler"
    if node.display_name.startswith(f"{HOOKS}."):
        of = f" of {node.parent}" if node.parent else ""
        return f"hook '{node.display_name.removeprefix(f'{HOOKS}.')}'{of}"
    return ""


def _since(moment: str | None, start: float) -> int | None:
    return None if moment is None else round(parse_time(moment).timestamp() * 1000 - start)


def _short(value: str) -> str:
    return value if len(value) <= _VALUE else f"{value[:_VALUE]}… ({len(value)} characters)"


def _template(body: Mapping[str, Any]) -> dict[str, Any]:
    """The image and the resources of a template."""
    container = body.get("container") or body.get("script")
    container = container if isinstance(container, Mapping) else {}  # of a manifest that was cut off
    words = [container.get("command") or (), container.get("args") or ()]
    resources = container.get("resources")
    return {
        "image": str(container.get("image", "")),
        "command": " ".join(str(word) for part in words if isinstance(part, list) for word in part),
        "resources": resources if isinstance(resources, Mapping) else {},
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


@dataclass
class Previews:
    """Previews of one run's artifacts, until `left` bytes are used up."""

    left: int = 1_000_000

    def of(self, name: str, path: str, place: Path | None) -> dict[str, Any]:
        """An artifact: `name`, `path`, `size`, and `kind` with `content` where there is a preview.

        `place` is None where it is not on this machine.
        """
        if place is None:
            return {"name": name, "path": path, "kind": "elsewhere"}
        known: dict[str, Any] = {"name": name, "path": path, "size": size_of(place)}
        try:
            if not place.exists():
                return {**known, "kind": "missing"}
            if place.is_dir():
                return {**known, "kind": "folder", "content": self._listing(place)}
            return {**known, **self._file(place, known["size"])}
        except OSError as error:
            return {**known, "kind": "unreadable", "content": error.strerror}

    def _listing(self, place: Path) -> str:
        files = sorted(p.relative_to(place).as_posix() for p in place.rglob("*") if p.is_file())
        more = [f"and {len(files) - _LISTED} more"] if len(files) > _LISTED else []
        return self._taken("\n".join(map(visible, files[:_LISTED] + more)))

    def _file(self, place: Path, size: int) -> dict[str, Any]:
        suffix = place.suffix.lower()
        if suffix in _IMAGES:
            if size > min(_IMAGE, self.left):
                return {"kind": "large"}
            content = base64.b64encode(place.read_bytes()).decode()
            return {"kind": "image", "content": f"data:{_IMAGES[suffix]};base64,{self._taken(content)}"}
        limit = min(_TEXT, self.left)
        if limit <= 0:
            return {"kind": "large"}
        with place.open("rb") as file:
            data = file.read(limit)
        if b"\0" in data:
            return {"kind": "binary"}
        text = self._taken(data.decode("utf-8", errors="replace"))
        return {"kind": _KINDS.get(suffix, "text"), "content": text, "leftOut": max(0, size - len(data))}

    def _taken(self, content: str) -> str:
        self.left -= len(content)
        return content


def log_end(path: Path, limit: int) -> tuple[str, int]:
    """The last lines of a log, in at most `limit` bytes, and how many bytes are left out."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - limit))
            data = file.read(limit)
    except OSError:
        return "", 0
    if size > limit and b"\n" in data:
        data = data[data.index(b"\n") + 1 :]
    lines = data.decode("utf-8", errors="replace").split("\n")
    text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)
    return text, size - len(data)


def draw(manifest: Mapping[str, Any]) -> str:
    """An SVG element, boxes with their node's name in `data-step`; empty if it cannot be drawn."""
    try:
        drawing = read_drawing(manifest)
        main = place(folded(drawing.main))
        handler = place(folded(drawing.exit)) if drawing.exit else None
    except ManifestError:
        return ""
    painter = _Clickable({tint: TINTS[n % len(TINTS)] for n, tint in enumerate(drawing.tints)})
    parts = [*painter.diagram(main, MARGIN, MARGIN)]
    width, height = main.width, main.height
    if drawing.exit is not None and handler is not None:
        painter.alone = EXIT_HANDLER if drawing.exit.leaf else ""
        wide, high = handler.width + 2 * FRAME, handler.height + HEADER + FRAME
        parts += painter.frame("on exit", "", MARGIN, MARGIN + height + 40, wide, high, dashed=True)
        parts += painter.diagram(handler, MARGIN + FRAME, MARGIN + height + 40 + HEADER, EXIT_HANDLER)
        width, height = max(width, wide), height + 40 + high
    wide, high = width + 2 * MARGIN, height + 2 * MARGIN
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{high:.0f}" id="dag">'
    return "\n".join([head, *parts, "</svg>"])


class _Clickable(Painter):
    """Puts each box into a group that the page finds again."""

    alone = ""
    """The name of the node that is drawn, where that is no part of a graph."""

    def path(self, node: Drawn, prefix: str) -> str:
        return self.alone or super().path(node, prefix)

    def box(self, box: Box, x: float, y: float, prefix: str = "") -> Iterator[str]:
        name = self.path(box.node, prefix)
        label = escape(name, quote=True)
        yield f'<g class="node" data-step="{label}" tabindex="0" role="button" aria-label="{label}">'
        yield from super().box(box, x, y, prefix)
        yield "</g>"


def folded(diagram: Diagram) -> Diagram:
    """The diagram with tasks that are alike in one box."""
    waits, waited = defaultdict(list), defaultdict(list)
    for edge in diagram.edges:
        waits[edge.target].append((edge.source, edge.way))
        waited[edge.source].append((edge.target, edge.way))
    groups: dict[Any, list[Drawn]] = defaultdict(list)
    for node in (replace(n, detail=f"{ROOM}{n.detail}") for n in diagram.nodes):
        inside = node.inside.title if node.inside else ""
        alike = (node.detail, node.shape, node.when, node.tint, inside and node.name)
        groups[(alike, tuple(sorted(waits[node.name])), tuple(sorted(waited[node.name])))].append(node)
    first: dict[str, str] = {}
    nodes = []
    for group in groups.values():
        if len(group) >= _ALIKE:
            first |= {node.name: group[0].name for node in group}
            nodes.append(replace(group[0], loop=f"and {len(group) - 1} like it"))
        else:
            nodes += [replace(n, inside=folded(n.inside) if n.inside else None) for n in group]
    edges = dict.fromkeys(
        Edge(first.get(e.source, e.source), first.get(e.target, e.target), e.way) for e in diagram.edges
    )
    return replace(diagram, nodes=tuple(nodes), edges=tuple(edges))
