"""Commands for a cluster's workflow: `get`, `show`, `logs`, `open`, `stop`, `retry`, `resume`, `--watch`."""

import json
import re
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from argosy.cli.open import no_browser_option, show_page
from argosy.cli.open import output_option as open_output_option
from argosy.cli.parameters import argo_server_options, cluster_options, output_option, tail_option
from argosy.cli.stack import state_dir_option
from argosy.errors import UsageError
from argosy.text import visible

if TYPE_CHECKING:
    from argosy.cli.submission import Submission
    from argosy.cluster.api import Api
    from argosy.cluster.destination import Destination
    from argosy.cluster.record import ClusterRecord

_STEPS_ELSEWHERE = "the steps are in the archive, or in a database of the controller"
_INTERRUPTED = 130
_WORKFLOW = click.argument("workflow", metavar="[NAMESPACE/]WORKFLOW")
_ATTEMPT = re.compile(r"(.+)\((\d+)\)", re.DOTALL)


def connect(workflow: str, options: dict[str, Any]) -> "tuple[Api, str, str, Destination]":
    """The server, the namespace and the name of a workflow, and where that was.

    Raises:
        UsageError: the text names no workflow, or two namespaces were given.
    """
    from argosy.cluster.destination import Destination
    from argosy.declare.names import is_object

    namespace, _, name = workflow.rpartition("/")
    if not is_object(name) or "/" in namespace or (not namespace and "/" in workflow):
        raise UsageError(f"'{workflow}' names no workflow; write NAMESPACE/WORKFLOW")
    if namespace and options.get("namespace") not in (None, namespace):
        raise UsageError(f"'{workflow}' names the namespace '{namespace}', and -n '{options['namespace']}'")
    destination = Destination(**{**options, "namespace": namespace or options.get("namespace")})
    api, place = destination.connect({})
    return api, place, name, destination


@click.command()
@_WORKFLOW
@click.option("--output", type=click.Choice(["tree", "json"]), default="tree", show_default=True)
@cluster_options
@argo_server_options
def get(workflow: str, output: str, **options: str | bool | None) -> None:
    """Show a workflow of a cluster: its steps, and why some wait."""

    api, namespace, name, _ = connect(workflow, options)
    found = _read(api, namespace, name)
    if output == "json":
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        _print_tree(Console(highlight=False, soft_wrap=True), api, namespace, found)


def _print_tree(console: Console, api: "Api", namespace: str, found: dict[str, Any]) -> None:
    from argosy.cluster.follow import with_reasons
    from argosy.cluster.nodes import BAD, phase_of
    from argosy.cluster.view import tree

    console.print(tree(with_reasons(api, namespace, found)))
    if phase_of(found) in BAD:
        place = f"{namespace}/{found['metadata']['name']}"
        console.print(f"logs: argosy logs {place} STEP", markup=False)


@click.command()
@click.argument("workflow", metavar="NAMESPACE/WORKFLOW")
@output_option
@state_dir_option
@cluster_options
@argo_server_options
def show(workflow: str, output: str, state_dir: Path, **options: str | bool | None) -> None:
    """Show a workflow of a cluster: tree, parameters, gates with their numbers, outputs, artifacts."""
    from argosy.local.runs.describe import artifacts, details
    from argosy.local.runs.screen import print_results, print_values

    api, found, record = fetched(workflow, state_dir, options)
    if output == "json":
        click.echo(json.dumps(details(record), ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    _print_tree(console, api, record.folder.parent.name, found)
    print_values(console, "parameters", record.head["parameters"])
    print_results(console, record, [one for node in record.nodes for one in artifacts(record, node)])


def _read(api: "Api", namespace: str, name: str) -> dict[str, Any]:
    """The workflow; that it came without its steps is said."""
    from argosy.cluster.api import WORKFLOW
    from argosy.cluster.nodes import lacks_nodes

    found = api.get(WORKFLOW, namespace, name)
    if lacks_nodes(found):
        click.echo(f"{_STEPS_ELSEWHERE}; --server URL reads them", err=True)
    return found


def listed(options: dict[str, Any], state_dir: Path, labels: str) -> "tuple[list[dict[str, Any]], str]":
    """The workflows of a namespace as `argosy runs` tells runs, the last one first; and where that is."""
    from argosy.cluster.destination import Destination
    from argosy.cluster.nodes import lacks_nodes
    from argosy.cluster.record import records
    from argosy.local.runs.describe import summary

    api, namespace = Destination(**options).connect({})
    found, bare = list[dict[str, Any]](), 0
    for record in records(api, namespace, state_dir, labels):
        bare += lacks_nodes(record.workflow)
        found.append(summary(record))
    if bare:
        told = f"{bare} of them show no gates and failures: {_STEPS_ELSEWHERE}"
        click.echo(f"{told}; 'argosy show NAMESPACE/WORKFLOW --server URL' has them", err=True)
    found.sort(key=lambda run: (str(run["startedAt"] or ""), str(run["run"])), reverse=True)
    return found, f"namespace '{namespace}' of {api.where}"


def fetched(
    workflow: str, state_dir: Path, options: dict[str, Any]
) -> "tuple[Api, dict[str, Any], ClusterRecord]":
    """A workflow by its name: its server, Argo's object, and the same as a run of this machine is known."""
    from argosy.cluster.record import folder_of, record_of

    api, namespace, name, _ = connect(workflow, options)
    found = _read(api, namespace, name)
    return api, found, record_of(found, folder_of(state_dir, namespace, found))


@click.command("open")
@click.argument("workflow", metavar="NAMESPACE/WORKFLOW")
@open_output_option
@no_browser_option
@state_dir_option
@cluster_options
@argo_server_options
def open_command(
    workflow: str, output: Path | None, no_browser: bool, state_dir: Path, **options: str | bool | None
) -> None:
    """Show a workflow of a cluster as one HTML page: graph, timeline, logs, gates, versions.

    The page shows this moment. Artifacts stay in the cluster's storage.
    """
    from argosy.cluster.record import fetch_logs, folder_of, record_of

    api, namespace, name, _ = connect(workflow, options)
    found = _read(api, namespace, name)
    folder = folder_of(state_dir, namespace, found)
    fetch_logs(api, namespace, found, folder)
    show_page(record_of(found, folder), output, no_browser)


@click.command()
@_WORKFLOW
@cluster_options
@argo_server_options
def stop(workflow: str, **options: str | bool | None) -> None:
    """Stop a workflow of a cluster; its exit handler still runs."""
    api, namespace, name, _ = connect(workflow, options)
    api.stop(namespace, name)
    click.echo(f"Workflow '{name}' stops in namespace '{namespace}'")


@click.command()
@_WORKFLOW
@click.option("--watch", is_flag=True, help="Show the workflow until its end; exit 0 only if it Succeeded.")
@cluster_options
@argo_server_options
def retry(workflow: str, watch: bool, **options: str | bool | None) -> None:
    """Run what failed in a workflow of a cluster again.

    The steps that Succeeded are kept.
    """
    api, namespace, name, destination = connect(workflow, options)
    api.retry(namespace, name)
    click.echo(f"Workflow '{name}' runs again in namespace '{namespace}'")
    if watch:
        sys.exit(_watch(api, namespace, name, destination))


@click.command()
@_WORKFLOW
@click.argument("step", required=False)
@click.option("--watch", is_flag=True, help="Show the workflow until its end; exit 0 only if it Succeeded.")
@cluster_options
@argo_server_options
def resume(workflow: str, step: str | None, watch: bool, **options: str | bool | None) -> None:
    """Give the approvals that a workflow of a cluster waits for.

    All of them, or that of one STEP.
    """
    api, namespace, name, destination = connect(workflow, options)
    api.resume(namespace, name, step)
    click.echo(f"Workflow '{name}' goes on in namespace '{namespace}'")
    if watch:
        sys.exit(_watch(api, namespace, name, destination))


@click.command("prune-code")
@click.option("--delete", is_flag=True, help="Delete them; else they are only listed.")
@cluster_options
def prune_code(delete: bool, **options: str | None) -> None:
    """List the code in a namespace that nothing uses any more.

    That is, the ConfigMaps of steps' code that no workflow, template or schedule there names.
    """
    from argosy.cluster.code import delete_code, unused_code
    from argosy.cluster.destination import Destination

    api, namespace = Destination(**options).connect({})  # type: ignore[arg-type]
    unused = [m["metadata"]["name"] for m in unused_code(api, namespace)]
    for name in unused:
        if delete:
            delete_code(api, namespace, name)
        click.echo(f"{name}  deleted" if delete else name)
    if not unused:
        click.echo(f"nothing in namespace '{namespace}' is unused", err=True)
    elif not delete:
        click.echo(f"{len(unused)} unused in namespace '{namespace}'; --delete removes them", err=True)


def watch_to_the_end(submission: "Submission") -> int:
    """Show what was submitted until it has ended; returns the exit code."""
    workflows = [entry for entry in submission.delivered if entry[1].kind == "Workflow"]
    if not workflows:
        raise UsageError("nothing was submitted that --watch could show")
    codes = []
    for api, done, destination in workflows:
        codes.append(_watch(api, done.namespace, done.name, destination))
        if codes[-1] == _INTERRUPTED:
            break
    return max(codes)


def _watch(api: "Api", namespace: str, name: str, destination: "Destination") -> int:
    """Show a workflow until its end, and of a failed one the last lines of its logs."""
    from argosy.cluster.follow import explained, follow
    from argosy.cluster.logs import report_failures
    from argosy.cluster.nodes import phase_of
    from argosy.cluster.view import show

    console = Console(stderr=True, highlight=False)
    try:
        last = show(console, explained(api, namespace, follow(api, namespace, name)))
    except KeyboardInterrupt:
        console.print(f"no longer watched; Workflow '{name}' goes on in '{namespace}'", markup=False)
        return _INTERRUPTED
    if phase_of(last) == "Succeeded":
        return 0
    report_failures(console, api, namespace, last, destination.words())
    return 1


@click.command()
@click.argument("run", metavar="NAMESPACE/WORKFLOW")
@click.argument("step", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written, until the end.")
@tail_option
@output_option
@cluster_options
@argo_server_options
def logs(
    run: str, step: str | None, follow: bool, tail: int | None, output: str, **options: str | bool | None
) -> None:
    """Print the logs of a workflow of a cluster: of all its steps, or of one STEP.

    A step that was retried, loops or holds others shows the logs of all that is in it. Where pods are gone,
    the archived logs are read.
    """
    from argosy.cluster.api import WORKFLOW
    from argosy.cluster.logs import follow_logs, print_logs
    from argosy.local.console import into_nothing

    api, namespace, name, _ = connect(run, options)
    emit = _LogObjects() if output == "json" else _LogLines(named=step is None)
    try:
        if follow:
            follow_logs(api, namespace, name, step, tail, emit)
        else:
            print_logs(api, namespace, api.get(WORKFLOW, namespace, name), step, tail, emit)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    except BrokenPipeError:  # as `argosy logs ... | head` makes it
        into_nothing(sys.stdout.fileno())


class _LogLines:
    """Prints lines that several threads hand over, with the step's name where there is more than one."""

    def __init__(self, *, named: bool = False) -> None:
        self._named = named
        self._lock = threading.Lock()

    def __call__(self, step: str, line: str) -> None:
        with self._lock:
            click.echo(self.shown(step, line))

    def shown(self, step: str, line: str) -> str:
        """A line as it is printed."""
        line = visible(line.expandtabs())
        return f"{visible(step)}: {line}" if self._named else line


class _LogObjects(_LogLines):
    """Prints each line as the document `logs`."""

    def shown(self, step: str, line: str) -> str:
        """A line with the step and the number of its attempt, which Argo puts behind the name."""
        again = _ATTEMPT.fullmatch(step)
        name, attempt = (again[1], int(again[2])) if again else (step, 0)
        return json.dumps({"step": name, "attempt": attempt, "line": line}, ensure_ascii=False)
