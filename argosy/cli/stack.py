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

from argosy.errors import UsageError

if TYPE_CHECKING:
    from argosy.stack import Stack, StackStatus

_STYLES = {"healthy": "green", "unhealthy": "yellow", "dead": "red", "stopped": "dim"}

state_dir_option = click.option(
    "--state-dir",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="ARGOSY_STATE_DIR",
    default=Path(".argosy"),
    show_default=True,
    help="The folder of the stack's data, logs and ports.",
)


def open_stack(state_dir: Path) -> Stack:
    """Return the stack of a folder; raises UsageError if the packages that run it are not installed."""
    try:
        from argosy.stack import Stack
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the embedded stack needs {error.name}; run `pip install 'argosy[local]'`"
        ) from error
    return Stack(state_dir)


def _progress() -> Console:
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def _sigterm_like_ctrl_c() -> Iterator[None]:
    """Let SIGTERM mean what Ctrl-C means: nothing half started is left behind."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@click.command()
@state_dir_option
@click.option("--install-only", is_flag=True, help="Only install Triton's environment; start nothing.")
def up(state_dir: Path, install_only: bool) -> None:
    """Start MLflow, S3 and Triton on this machine; mend what is not well."""
    stack, console = open_stack(state_dir), _progress()
    with (
        _sigterm_like_ctrl_c(),
        console.status("installing Triton" if install_only else "starting the stack"),
    ):
        if install_only:
            from argosy.stack import prepare_triton

            install = prepare_triton(console.print, stack.state_dir)
            console.print(f"Triton is installed in {install.root}")
            return
        where = stack.up(console.print)
    console.print(f"MLflow   {where.mlflow}")
    console.print(f"S3       {where.s3.endpoint}, bucket {where.s3.bucket}")
    console.print(f"Triton   {where.triton.http}, gRPC {where.triton.grpc}")


@click.command()
@state_dir_option
def down(state_dir: Path) -> None:
    """Stop the stack; its data stay for the next `argosy up`."""
    console = _progress()
    with console.status("stopping the stack"):
        open_stack(state_dir).down(console.print)


@click.command()
@state_dir_option
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.pass_context
def status(context: click.Context, state_dir: Path, output: str) -> None:
    """Tell where the servers are and how they do; exit code 1 unless all are well."""
    found = open_stack(state_dir).status()
    if output == "text":
        _show(found, Console(highlight=False, soft_wrap=True))
    elif found.endpoints is not None and any(one.health != "stopped" for one in found.services):
        click.echo(json.dumps(found.endpoints.to_dict()))
    for service in found.services:
        if service.problem:
            click.echo(service.problem, err=True)
    if not found.healthy:
        if not any(service.problem for service in found.services):
            click.echo("the stack is not up; run `argosy up`", err=True)
        context.exit(1)


def _show(found: StackStatus, console: Console) -> None:
    """Print the servers as a table, and what a client of S3 and gRPC needs; the secret key is masked."""
    table = Table("server", "health", "process", "address", box=None, pad_edge=False)
    for one in found.services:
        health = f"[{_STYLES[one.health]}]{one.health}[/]"
        table.add_row(one.name, health, str(one.pid or "-"), one.address)
    console.print(table)
    if found.endpoints is not None:
        bucket = found.endpoints.s3
        console.print(f"\nTriton gRPC {found.endpoints.triton.grpc}")
        console.print(f"S3 bucket {bucket.bucket}, access key {bucket.access_key}, secret key ********")
