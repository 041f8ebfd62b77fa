"""`argosy runs`, `show`, `logs` and `compare`: runs, listed, looked into and put side by side."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource
from rich.console import Console
from rich.table import Table
from rich.text import Text

from argosy.cli import completion
from argosy.cli.parameters import OfEither, argo_server_options, cluster_options, output_option, tail_option
from argosy.cli.stack import state_dir_option
from argosy.errors import UsageError
from argosy.text import one_line, visible

if TYPE_CHECKING:
    from argosy.local.runs.record import Record

_SLOWER = 1.2
_SHORTEST = 0.5  # seconds that a step's time must differ by to be told


@click.group(invoke_without_command=True)
@output_option
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N.")
@click.option("--failed", is_flag=True, help="Only those that are over and did not Succeed.")
@click.option("--cluster", is_flag=True, help="Workflows of a cluster; so do the options below.")
@click.option("-l", "--selector", metavar="LABELS", help="Only workflows with these labels: a=b,c!=d.")
@cluster_options
@argo_server_options
@state_dir_option
@click.pass_context
def runs(
    ctx: click.Context,
    /,
    output: str,
    last: int | None,
    failed: bool,
    cluster: bool,
    selector: str | None,
    state_dir: Path,
    **options: str | bool | None,
) -> None:
    """List the runs of this machine, the last one first.

    `argosy runs prune` removes some.

    With --cluster the workflows of a namespace, archived ones among them where --server has an archive.
    """
    ctx.obj = state_dir
    if ctx.invoked_subcommand:
        _refuse_options(ctx)
        return
    if cluster or selector or any(options.values()):
        from argosy.cli.cluster import listed

        found, where = listed(options, state_dir, selector or "")
        none = f"there is no workflow{f' with {selector}' if selector else ''} in {where}"
    else:
        found, none = (
            _of_this_machine(state_dir),
            f"there is no run in {state_dir} yet; `argosy run` makes one",
        )
    if failed and found:
        found = [run for run in found if run["phase"] not in _NOT_FAILED]
        none = "none failed"
    found = found[:last]
    if output == "json":
        click.echo(json.dumps({"runs": found}, ensure_ascii=False))
    elif found:
        from argosy.local.runs.screen import print_list

        print_list(Console(highlight=False), found)
    else:
        click.echo(none, err=True)


_NOT_FAILED = ("Succeeded", "Running", "Pending")


def _of_this_machine(state_dir: Path) -> list[dict[str, Any]]:
    from argosy.local.runs.describe import summary
    from argosy.local.runs.record import History

    return [summary(record) for record in History(state_dir).newest_first()]


def _refuse_options(ctx: click.Context) -> None:
    """Raise UsageError for an option of the list before a command that has none of it."""
    for param in ctx.command.params:
        given = ctx.get_parameter_source(str(param.name)) is ParameterSource.COMMANDLINE
        if given and param.name != "state_dir":
            name = max(param.opts, key=len)
            raise UsageError(f"{name} is of the list; '{ctx.invoked_subcommand}' has options of its own")


@runs.command()
@click.argument("names", nargs=-1, metavar="[RUN ...]", shell_complete=completion.runs)
@click.option("--keep", type=click.IntRange(min=0), metavar="N", help="Keep the last N.")
@click.option("--older-than", metavar="AGE", help="Only what began before: 30d, 12h, 2w.")
@click.option("--failed", is_flag=True, help="Only runs that did not Succeed.")
@click.option("--dry-run", is_flag=True, help="Say which, remove nothing.")
@click.pass_obj
def prune(
    state_dir: Path,
    names: tuple[str, ...],
    keep: int | None,
    older_than: str | None,
    failed: bool,
    dry_run: bool,
) -> None:
    """Remove runs.

    Those that are named, or those that all given conditions hold for.

    A run that goes on is never removed. Traces of runs in MLflow or S3 stay.
    """
    from argosy.local.runs.record import History, age, chosen
    from argosy.local.runs.screen import human_size

    history = History(state_dir)
    conditions = keep is not None or older_than is not None or failed
    if bool(names) == conditions:
        raise UsageError("name runs, or say which by --keep, --older-than and --failed; not both")
    older = age(older_than) if older_than else None
    if names:
        records = list({record.run: record for record in map(history.find, names)}.values())
    else:
        records = chosen(history.newest_first(), keep=keep, older=older, failed=failed)
    for record in records:
        if not dry_run:
            history.prune([record])
        click.echo(f"{'would remove' if dry_run else 'removed'} {record.run}")
    if not records:
        click.echo("nothing to remove", err=True)
    elif dry_run:
        click.echo(f"that would free {human_size(sum(record.size() for record in records))}", err=True)


@click.command(cls=OfEither)
@click.argument("run", metavar="RUN|NAMESPACE/WORKFLOW", shell_complete=completion.runs)
@output_option
@state_dir_option
def show(run: str, output: str, state_dir: Path) -> None:
    """Show a run: steps, parameters, gates, outputs, artifacts.

    RUN is a run's name, the beginning or the end of one, its folder, or `last`. NAMESPACE/WORKFLOW is a
    workflow of a cluster, with the options below.
    """
    from argosy.local.runs.describe import artifacts, details
    from argosy.local.runs.record import History
    from argosy.local.runs.screen import print_run

    record = History(state_dir).find(run).whole()
    if output == "json":
        click.echo(json.dumps(details(record), ensure_ascii=False))
        return
    made = [artifact for node in record.nodes for artifact in artifacts(record, node)]
    print_run(Console(highlight=False), record, made)


@click.command(cls=OfEither)
@click.argument("run", metavar="RUN|NAMESPACE/WORKFLOW", shell_complete=completion.runs)
@click.argument("step", required=False, shell_complete=completion.steps)
@click.option("-f", "--follow", "wait", is_flag=True, help="Go on with what is written, until the end.")
@tail_option
@output_option
@state_dir_option
def logs(run: str, step: str | None, wait: bool, tail: int | None, output: str, state_dir: Path) -> None:
    """Print what the steps of a run wrote.

    All of them, or one STEP and what is inside of it.

    RUN is a run's name, the beginning or the end of one, its folder, or `last`. NAMESPACE/WORKFLOW is a
    workflow of a cluster, with the options below.
    """
    from argosy.local.console import into_nothing
    from argosy.local.runs.logs import follow
    from argosy.local.runs.record import History

    folder = History(state_dir).find(run).folder
    try:
        for line in follow(folder, step, wait=wait, tail=tail):
            if output == "json":
                known = {"step": line.step, "attempt": line.attempt, "line": line.text}
                click.echo(json.dumps(known, ensure_ascii=False))
            else:
                click.echo(line.text if step else f"{one_line(line.step)} | {line.text}")
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # as `argosy logs ... | head` makes it
        into_nothing(sys.stdout.fileno())


@click.command()
@click.argument("one", metavar="RUN", shell_complete=completion.runs)
@click.argument("other", metavar="RUN", shell_complete=completion.runs)
@output_option
@state_dir_option
@cluster_options
@argo_server_options
def compare(one: str, other: str, output: str, state_dir: Path, **options: str | bool | None) -> None:
    """Show what differs between two runs.

    Parameters, code, gates, outputs, phases and times are compared.

    Either may be NAMESPACE/WORKFLOW, a workflow of a cluster, whose code is not known.
    """
    from argosy.local.runs.describe import compare as compared

    found = compared(*(_either_record(word, state_dir, options) for word in (one, other)))
    if output == "json":
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        _print_comparison(Console(highlight=False), found)


def _either_record(word: str, state_dir: Path, options: dict[str, Any]) -> "Record":
    """A run of this machine, or a workflow of a cluster."""
    from argosy.local.runs.record import History, names_workflow

    if names_workflow(word):
        from argosy.cli.cluster import fetched

        return fetched(word, state_dir, options)[2]
    return History(state_dir).find(word).whole()


def _print_comparison(console: Console, found: Mapping[str, Any]) -> None:
    table = Table(box=None, pad_edge=False, show_header=True)
    for title in ("", *found["runs"]):
        table.add_column(title, overflow="fold")
    table.add_row("phase", *found["phases"])
    table.add_row("seconds", *("-" if s is None else f"{s:.1f}" for s in found["seconds"]))
    for title in ("parameters", "gates", "outputs", "steps"):
        _comparison_section(table, title, found[title])
    times = {name: pair for name, pair in found["times"].items() if _apart(*pair)}
    _comparison_section(
        table, "times, in seconds", {n: [f"{a:.1f}", f"{b:.1f}"] for n, (a, b) in times.items()}
    )
    console.print(table)
    if found["templates"]:
        console.print(f"\ntemplates that differ: {', '.join(found['templates'])}", markup=False)
    if found["code"] is None:
        console.print("\nthe code of one of them was not kept")
    for name, lines in (found["code"] or {}).items():
        console.print(f"\n{name}", style="bold", markup=False)
        for line in lines:
            style = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
            console.print(Text(visible(line), style), soft_wrap=True)


def _comparison_section(table: Table, title: str, pairs: Mapping[str, Any]) -> None:
    from argosy.local.runs.screen import shortened

    if pairs:
        table.add_row(Text(f"\n{title}", "dim"))
    for name, values in pairs.items():
        table.add_row(
            Text(f"  {one_line(name)}"), *(Text("-" if v is None else shortened(str(v), 80)) for v in values)
        )


def _apart(one: float, other: float) -> bool:
    """Whether two durations differ by more than chance."""
    low, high = sorted((one, other))
    return high - low >= _SHORTEST and high > _SLOWER * low
