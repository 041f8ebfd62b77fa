"""`argosy compare`: two runs side by side."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from argosy.cli.completion import runs
from argosy.cli.parameters import argo_server_options, cluster_options, output_option
from argosy.cli.stack import state_dir_option

if TYPE_CHECKING:
    from argosy.local.runs.record import Record

_SLOWER = 1.2
_SHORTEST = 0.5  # seconds that a step's time must differ by to be told


@click.command()
@click.argument("one", metavar="RUN", shell_complete=runs)
@click.argument("other", metavar="RUN", shell_complete=runs)
@output_option
@state_dir_option
@cluster_options
@argo_server_options
def compare(one: str, other: str, output: str, state_dir: Path, **options: str | bool | None) -> None:
    """Show what differs between two runs: parameters, code, gates, outputs, phases, times.

    Either may be NAMESPACE/WORKFLOW, a workflow of a cluster, whose code is not known.
    """
    from argosy.local.runs.describe import compare as compared

    found = compared(*(_record(word, state_dir, options) for word in (one, other)))
    if output == "json":
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        _print(Console(highlight=False), found)


def _record(word: str, state_dir: Path, options: dict[str, Any]) -> "Record":
    """A run of this machine, or a workflow of a cluster."""
    if "/" in word:
        from argosy.cli.cluster import fetched

        return fetched(word, state_dir, options)[2]
    from argosy.local.runs.record import History

    return History(state_dir).find(word).whole()


def _print(console: Console, found: Mapping[str, Any]) -> None:
    table = Table(box=None, pad_edge=False, show_header=True)
    for title in ("", *found["runs"]):
        table.add_column(title, overflow="fold")
    table.add_row("phase", *found["phases"])
    table.add_row("seconds", *("-" if s is None else f"{s:.1f}" for s in found["seconds"]))
    for title in ("parameters", "gates", "outputs", "steps"):
        _section(table, title, found[title])
    times = {name: pair for name, pair in found["times"].items() if _apart(*pair)}
    _section(table, "times, in seconds", {n: [f"{a:.1f}", f"{b:.1f}"] for n, (a, b) in times.items()})
    console.print(table)
    if found["templates"]:
        console.print(f"\ntemplates that differ: {', '.join(found['templates'])}", markup=False)
    if found["code"] is None:
        console.print("\nthe code of one of them was not kept")
    for name, lines in (found["code"] or {}).items():
        console.print(f"\n{name}", style="bold", markup=False)
        for line in lines:
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
            console.print(Text(line, style), soft_wrap=True)


def _section(table: Table, title: str, pairs: Mapping[str, Any]) -> None:
    from argosy.local.runs.screen import shortened

    if pairs:
        table.add_row(Text(f"\n{title}", "dim"))
    for name, values in pairs.items():
        table.add_row(f"  {name}", *(Text("-" if v is None else shortened(str(v), 80)) for v in values))


def _apart(one: float, other: float) -> bool:
    """Whether two durations differ by more than chance."""
    low, high = sorted((one, other))
    return high - low >= _SHORTEST and high > _SLOWER * low
