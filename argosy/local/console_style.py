"""How a node looks in a line."""

from __future__ import annotations

from rich.text import Text

from argosy.local.node import Node, Phase
from argosy.text import one_line

_LOOKS = {
    Phase.PENDING: ("◌", "dim"),
    Phase.RUNNING: ("●", "cyan"),
    Phase.SUCCEEDED: ("✔", "green"),
    Phase.FAILED: ("✖", "red"),
    Phase.ERROR: ("⚠", "red"),
    Phase.SKIPPED: ("○", "dim"),
    Phase.OMITTED: ("○", "dim"),
}


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
