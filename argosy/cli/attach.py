"""`argosy attach`: a run that goes on, on this terminal again."""

import sys
from pathlib import Path

import click
from rich.console import Console

from argosy.cli.completion import runs
from argosy.cli.stack import state_dir_option


@click.command()
@click.argument("run", default="last", shell_complete=runs)
@state_dir_option
def attach(run: str, state_dir: Path) -> None:
    """Follow a run that goes on, as `argosy run` showed it, and end with its exit code.

    On a terminal `q` detaches again, and Ctrl-C stops the run. Elsewhere lines are printed, and Ctrl-C ends
    this command alone.
    """
    from argosy.cli.execution import print_summary
    from argosy.errors import UsageError
    from argosy.local.runs.attach import died, watch
    from argosy.local.runs.record import History

    record = History(state_dir).find(run)
    if record.state == "interrupted":
        raise UsageError(died(record.run))
    if record.state == "finished":
        click.echo(
            f"{record.run} is over: {record.phase}; look at it with: argosy show {record.run}", err=True
        )
        sys.exit(0 if record.phase == "Succeeded" else 1)
    try:
        result = watch(record.folder.resolve())
    except KeyboardInterrupt:
        click.echo(f"no longer followed; {record.run} goes on", err=True)
        sys.exit(130)
    if result is None:
        click.echo(left(record.run), err=True)
        return
    places = {"run": str(result.run_dir)}
    if not result.succeeded:
        places["again"] = f"argosy run --resume {record.run}"
    print_summary(Console(stderr=True, highlight=False), result, places)
    sys.exit(0 if result.succeeded else 1)


def left(run: str) -> str:
    """The line after `q`."""
    return f"detached: {run} goes on; follow it again with: argosy attach {run}"
