"""`argosy logs`: what the steps of a run wrote."""

import json
import re
import sys
import threading

import click

from argosy.cli.cluster import connect
from argosy.cli.parameters import argo_server_options, cluster_options, output_option

_ATTEMPT = re.compile(r"(.+)\((\d+)\)", re.DOTALL)


@click.command()
@click.argument("run", metavar="NAMESPACE/WORKFLOW")
@click.argument("step", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written, until the end.")
@click.option("--tail", type=click.IntRange(min=0), metavar="LINES", help="Only the last lines of each step.")
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
    emit = _Objects() if output == "json" else _Lines(named=step is None)
    try:
        if follow:
            follow_logs(api, namespace, name, step, tail, emit)
        else:
            print_logs(api, namespace, api.get(WORKFLOW, namespace, name), step, tail, emit)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # as `argosy logs ... | head` makes it
        into_nothing(sys.stdout.fileno())


class _Lines:
    """Prints lines that several threads hand over, with the step's name where there is more than one."""

    def __init__(self, *, named: bool = False) -> None:
        self._named = named
        self._lock = threading.Lock()

    def __call__(self, step: str, line: str) -> None:
        with self._lock:
            click.echo(self.shown(step, line))

    def shown(self, step: str, line: str) -> str:
        """A line as it is printed."""
        return f"{step}: {line}" if self._named else line


class _Objects(_Lines):
    """Prints each line as the document `logs`."""

    def shown(self, step: str, line: str) -> str:
        """A line with the step and the number of its attempt, which Argo puts behind the name."""
        again = _ATTEMPT.fullmatch(step)
        name, attempt = (again[1], int(again[2])) if again else (step, 0)
        return json.dumps({"step": name, "attempt": attempt, "line": line}, ensure_ascii=False)
