"""`argosy up`, `down` and `status`: the embedded stack from the command line."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from argosy.local.stacks import Stack, StackStatus

_STYLES = {"healthy": "green", "unhealthy": "yellow", "dead": "red", "stopped": "dim"}

state_dir_option = click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="ARGOSY_STATE_DIR",
    default=Path(".argosy"),
    show_default=True,
    help="The folder of the runs, and of the stack's data, logs and ports.",
)


def _open(state_dir: Path) -> Stack:
    """The project's stack; its modules are loaded by the commands that need them."""
    from argosy.local.stacks import open_stack

    return open_stack(state_dir)


def _progress() -> Console:
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _sigterm_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM and SIGHUP mean what Ctrl-C means: nothing half started is left behind."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {n: signal.signal(n, interrupt) for n in numbers if signal.getsignal(n) is not signal.SIG_IGN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@click.command()
@state_dir_option
@click.option(
    "--install-only",
    is_flag=True,
    help="Only install what the servers need; start nothing.",
)
def up(state_dir: Path, install_only: bool) -> None:
    """Start MLflow, S3 and Triton on this machine: the stack.

    A server that is not well is started anew. A project may have a stack of its own.
    """
    stack, console = _open(state_dir), _progress()
    with (
        _sigterm_like_ctrl_c(),
        console.status("installing" if install_only else "starting the stack"),
    ):
        if install_only:
            console.print(stack.prepare(console.print))
            return
        where = stack.up(console.print)
    for name, address in where.told().items():
        console.print(f"{name:<8} {address}")


@click.command()
@state_dir_option
def down(state_dir: Path) -> None:
    """Stop the stack; its data stay for the next `argosy up`."""
    console = _progress()
    with console.status("stopping the stack"):
        _open(state_dir).down(console.print)


@click.command()
@state_dir_option
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def status(context: click.Context, state_dir: Path, output: str) -> None:
    """Tell where the servers are and how they do.

    Exit code 1 unless all are well.
    """
    found = _open(state_dir).status()
    if output == "text":
        _show(found, Console(highlight=False, soft_wrap=True))
    else:
        click.echo(json.dumps(found.to_dict(), ensure_ascii=False))
    for service in found.services:
        if service.problem:
            click.echo(service.problem, err=True)
    if not found.healthy:
        if not any(service.problem for service in found.services):
            click.echo("the stack is not up; run `argosy up`", err=True)
        context.exit(1)


def _show(found: StackStatus, console: Console) -> None:
    """Print the servers as a table, and what a client needs beside their addresses."""
    table = Table("server", "health", "process", "address", box=None, pad_edge=False)
    for one in found.services:
        health = f"[{_STYLES[one.health]}]{one.health}[/]"
        table.add_row(one.name, health, str(one.pid or "-"), one.address)
    console.print(table)
    if found.endpoints is not None:
        console.print()
        for line in found.endpoints.details():
            console.print(line)
