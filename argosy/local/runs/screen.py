"""Runs on a terminal: the list, and one run in full."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from argosy.local.node import Node, Phase
from argosy.local.runs.gates import Gate, gates
from argosy.local.runs.record import Record
from argosy.text import one_line, visible

_LOOKS = {
    Phase.PENDING: ("◌", "dim"),
    Phase.RUNNING: ("●", "cyan"),
    Phase.SUCCEEDED: ("✔", "green"),
    Phase.FAILED: ("✖", "red"),
    Phase.ERROR: ("⚠", "red"),
    Phase.SKIPPED: ("○", "dim"),
    Phase.OMITTED: ("○", "dim"),
}
_STYLES = {"Succeeded": "green", "Failed": "red", "Error": "red", "Running": "cyan", "passed": "green"}
_BESIDE = 80
"""Columns of a terminal beside a run's name, from which on there is room for its gates, too."""
_WIDEST = 40
"""Characters of a column's word, from which on it may push what stands behind it."""
_FOLDED = 20
"""Items of a loop from which on those that are like the first are told as a number."""


def print_list(console: Console, runs: Sequence[Mapping[str, Any]]) -> None:
    """The runs as a table; gates and failures stand below a run where the terminal has no room beside it."""
    wide = console.width >= max((len(run["run"]) for run in runs), default=0) + _BESIDE
    table = Table(box=None, pad_edge=False)
    for title in ("run", "started", "took", "phase", "size", *(["gates and failures"] if wide else [])):
        right = title in ("took", "size")
        wraps = title == ("gates and failures" if wide else "run")
        table.add_column(title, justify="right" if right else "left", no_wrap=not wraps, overflow="fold")
    for run in runs:
        took = "-" if run["seconds"] is None else duration(run["seconds"])
        phase = Text(run["phase"], _STYLES.get(run["phase"], "dim"))
        name, remarks = Text(run["run"]), _remarks(run)
        if not wide and remarks:
            name, remarks = Text("\n  ").join([name, remarks]), Text()
        started = local_time(run["startedAt"])
        began = started if wide else _short_time(started)
        size = human_size(run["sizeBytes"]) if run["sizeBytes"] else "-"
        table.add_row(name, began, took, phase, size, *([remarks] if wide else []))
    console.print(table)


def _short_time(text: str) -> str:
    """A moment as `local_time` writes it without its seconds, and without the year where that is this one."""
    this_year = datetime.now().astimezone().strftime("%Y-")
    return text.removeprefix(this_year)[:-3] or text


def _remarks(run: Mapping[str, Any]) -> Text:
    parts = [
        Text(one_line(f"{step} {verdict}"), _STYLES.get(verdict, "red"))
        for step, verdict in run["gates"].items()
    ]
    if run["failed"]:
        more = len(run["failed"]) - 2
        names = ", ".join(run["failed"][:2]) + (f" and {more} more" if more > 0 else "")
        parts.append(Text(f"{one_line(names)} failed", "red"))
    if run["state"] in ("unstarted", "unreadable"):
        parts.append(Text(run["message"], "dim"))
    return Text(", ").join(parts)


def print_run(console: Console, record: Record, artifacts: Sequence[Mapping[str, Any]]) -> None:
    """One run: its tree, parameters, gates, outputs, artifacts."""
    took = "" if record.seconds is None else f"  {duration(record.seconds)}"
    phase = (record.phase, _STYLES.get(record.phase, "dim"))
    console.print(Text.assemble((record.run, "bold"), "  ", phase, took), soft_wrap=True)
    console.print(Text(f"{record.pipeline}, {local_time(record.started_at)}, {record.folder}", "dim"))
    if record.state == "interrupted":
        console.print(Text(f"its runner died; go on with: {record.again}", "yellow"))
    if message := record.head.get("message"):
        console.print(Text(one_line(message), "red" if record.failed else ""), soft_wrap=True)
    print_values(console, "parameters", record.head.get("parameters", {}))
    _print_inputs_alone(console, record)
    console.print()
    for line in tree(record.nodes):
        console.print(line, soft_wrap=True)
    print_results(console, record, artifacts)


def _print_inputs_alone(console: Console, record: Record) -> None:
    """The inputs that the one step of `argosy rerun --step` got, which need not be those of its run."""
    alone = record.request.get("alone")
    if not isinstance(alone, dict) or not isinstance(alone.get("run"), str):
        return
    anew = (
        f"; set anew: {', '.join(alone['given'])}"
        if isinstance(alone.get("given"), dict | list) and alone["given"]
        else ""
    )
    for node in record.nodes:
        if node.name == alone.get("step"):
            title = f"inputs of '{one_line(node.name)}', alone, as in {alone['run']}{anew}"
            print_values(console, title, node.inputs.parameters)


def print_results(console: Console, record: Record, artifacts: Sequence[Mapping[str, Any]]) -> None:
    """The gates of a run, its outputs, and the artifacts of its steps."""
    for gate in gates(record):
        _print_gate(console, gate)
    print_values(console, "outputs", record.outputs.parameters)
    if artifacts:
        _print_artifacts(console, artifacts)


def _print_artifacts(console: Console, artifacts: Sequence[Mapping[str, Any]]) -> None:
    """The artifacts in columns: step, name, size, path. A long name puts its own line out of them."""
    console.print("\nartifacts")
    steps = [one_line(artifact["step"]) for artifact in artifacts]
    wide, named = _width(steps), _width([artifact["name"] for artifact in artifacts])
    for step, artifact in zip(steps, artifacts, strict=True):
        size = human_size(artifact["sizeBytes"] or 0) if artifact["exists"] else "missing"
        size = "" if artifact["exists"] is None else size
        name = (f"{artifact['name']:<{named}}", "bold")
        line = Text.assemble(
            f"  {step:<{wide}}  ", name, f"  {size:>8}  ", (visible(artifact["path"]), "dim")
        )
        console.print(line, soft_wrap=True)


def _width(words: Sequence[str]) -> int:
    """The width of a column; one of the words may be longer."""
    return min(max(map(len, words), default=0), _WIDEST)


def tree(nodes: Sequence[Node]) -> Iterator[Text]:
    """The nodes, indented; of a long loop those that went well are one line."""
    depth: dict[str, int] = {}
    for node, well in folded(nodes):
        depth[node.name] = depth.get(node.parent, -1) + 1
        yield Text("  " * depth[node.name]) + describe(node, node.display_name)
        for name, value in node.outputs.parameters.items() if node.kind != "Loop" else ():
            yield Text.assemble("  " * depth[node.name], (f"    {name} ", "dim"), shortened(value))
        if well:
            yield Text("  " * (depth[node.name] + 1) + well, "green")


def folded(nodes: Sequence[Node]) -> Iterator[tuple[Node, str]]:
    """The nodes without those items of a long loop that went well, and behind a loop a line about these."""
    items: dict[str, list[Node]] = {node.name: [] for node in nodes if node.kind == "Loop"}
    for node in nodes:
        if node.parent in items:
            items[node.parent].append(node)
    long = {name: inside for name, inside in items.items() if len(inside) >= _FOLDED}
    hidden: set[str] = set()
    for node in nodes:
        if node.parent in hidden or (node.parent in long and node.phase is Phase.SUCCEEDED):
            hidden.add(node.name)
            continue
        well = [n.seconds for n in long.get(node.name, ()) if n.phase is Phase.SUCCEEDED]
        told = f"✔ {len(well)} items Succeeded, the longest took {duration(max(well))}" if well else ""
        yield node, told


def _print_gate(console: Console, gate: Gate) -> None:
    verdict = (gate.verdict, "green" if gate.verdict == "passed" else "red")
    console.print(
        Text.assemble(f"\ngate {gate.step}: ", verdict, f"  {one_line(gate.reason)}"), soft_wrap=True
    )
    for rule in gate.rules:
        mark = {True: ("✔", "green"), False: ("✖", "red"), None: ("○", "dim")}[rule.holds]
        line = Text.assemble("  ", mark, f" {one_line(rule.rule)}  ", (one_line(rule.number), "dim"))
        console.print(line, soft_wrap=True)


def print_values(console: Console, title: str, values: Mapping[str, str]) -> None:
    """Values by name, below a title; nothing where there are none."""
    if not values:
        return
    console.print(f"\n{title}")
    width = _width([*values])
    for name, value in values.items():
        console.print(Text.assemble("  ", (f"{name:<{width}}  ", "dim"), shortened(value)), soft_wrap=True)


def shortened(value: str, limit: int = 200) -> str:
    """A value in one line of bounded length."""
    text = visible(value[: limit + 1].replace("\n", "␤"))
    return f"{text[:limit]}… ({len(value)} characters)" if len(value) > limit else text or "-"


def human_size(size: int) -> str:
    """`812 B`, `4.2 KB`, `1.3 GB`; a kilobyte is 1,000 bytes."""
    number, unit = float(size), "B"
    for unit in ("B", "KB", "MB", "GB", "TB"):
        if number < 1000 or unit == "TB":
            break
        number /= 1000
    return f"{number:.0f} {unit}" if unit == "B" or number >= 100 else f"{number:.1f} {unit}"


def local_time(text: str | None) -> str:
    """A moment in this machine's time zone."""
    if not text:
        return "-"
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def describe(node: Node, name: str) -> Text:
    """Symbol, name, duration, and what there is to say."""
    waits = node.seconds_to_retry
    symbol, style = ("◌", "yellow") if waits is not None else _LOOKS[node.phase]
    name = one_line(name)
    line = Text.assemble((f"{symbol} ", style), (name, "" if style in ("cyan", "yellow") else style))
    if node.started_at:
        line.append(f"  {duration(node.seconds)}", "dim")
    if node.phase in (Phase.FAILED, Phase.ERROR, Phase.SKIPPED, Phase.OMITTED):
        line.append(f"  {node.phase.value}", style)
    if len(node.attempts) > 1:
        line.append(f"  {len(node.attempts)} attempts", "dim")
    if node.reused:
        line.append(f"  from {one_line(node.reused)}", "magenta")
    if node.message:
        line.append(f"  {one_line(node.message)}", "red" if node.phase.is_bad else "dim")
    if waits is not None:
        line.append(f"  retry in {waits} s", "yellow")
    return line


def duration(seconds: float) -> str:
    """`0.4s`, `12s`, `3m05s`, `2h10m`."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
