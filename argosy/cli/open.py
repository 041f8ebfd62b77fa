"""`argosy open`: a run as a page in the browser."""

import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from argosy.cli.completion import runs
from argosy.cli.parameters import OfEither
from argosy.cli.stack import state_dir_option

if TYPE_CHECKING:
    from argosy.local.runs.record import Record


output_option = click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write FILE, and nothing into the run's folder.",
)
no_browser_option = click.option("--no-browser", is_flag=True, help="Only write the page and say where.")


@click.command(name="open", cls=OfEither)
@click.argument("run", metavar="RUN|NAMESPACE/WORKFLOW", default="last", shell_complete=runs)
@output_option
@no_browser_option
@state_dir_option
def open_command(run: str, output: Path | None, no_browser: bool, state_dir: Path) -> None:
    """Show a run in the browser, as one HTML page.

    It has the graph, a timeline, logs, artifacts, gates and the curves of a training.

    The page needs no network and no other file, so it can be sent to others. Of a run that goes on it shows
    this moment; `argosy run --open` keeps it fresh. NAMESPACE/WORKFLOW is a workflow of a cluster, with the
    options below.
    """
    from argosy.local.runs.record import History

    show_page(History(state_dir).find(run).whole(), output, no_browser)


def show_page(record: "Record", output: Path | None, no_browser: bool) -> None:
    """Write a run's page and, unless told otherwise, show it in the browser."""
    from argosy.local.runs.page import told, write_page

    path = write_page(record, told(record), output).resolve()
    click.echo(str(path))
    if not no_browser:
        webbrowser.open(path.as_uri())
