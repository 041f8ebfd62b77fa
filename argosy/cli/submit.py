"""`argosy submit`: a pipeline, a program or a manifest to a cluster."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
from rich.console import Console

from argosy.cli.destination import argo_server_options, cluster_options
from argosy.cli.parameters import parameter_file_option, parameter_option, read_parameters
from argosy.compiler import Kind
from argosy.errors import UsageError

if TYPE_CHECKING:
    from argosy.cli.submission import Submission


@click.command()
@click.argument("target", metavar="PIPELINE|FILE.py[:FUNCTION]|FILE.yaml")
@parameter_option
@parameter_file_option
@click.option("--kind", type=click.Choice(get_args(Kind)), help="Of a pipeline; default: Workflow.")
@click.option("--watch", is_flag=True, help="Show the workflow until its end; exit 0 only if it Succeeded.")
@click.option("--dry-run", is_flag=True, help="Print the YAML; nothing is sent.")
@cluster_options
@argo_server_options
def submit(
    target: str,
    assignments: tuple[str, ...],
    parameter_file: Path | None,
    kind: Kind | None,
    watch: bool,
    dry_run: bool,
    **destination: str | bool | None,
) -> None:
    """Submit to a cluster, through the Kubernetes API or an Argo Server.

    A Workflow is created; a WorkflowTemplate or a CronWorkflow is created or updated. Ctrl-C ends
    --watch, not the workflow.
    """
    from argosy.cli.submission import Submission, submit_source
    from argosy.submit.destination import Destination

    given = read_parameters(assignments, parameter_file)
    if watch and dry_run:
        raise UsageError("--dry-run submits nothing that --watch could show")
    if watch and kind not in (None, "Workflow"):
        raise UsageError(f"--watch shows a Workflow, and a {kind} does not run by itself")
    submission = Submission(Destination(**destination), dry_run)  # type: ignore[arg-type]
    submit_source(target, kind, given, submission)
    if watch:
        sys.exit(_watch(submission))


def _watch(submission: "Submission") -> int:
    from argosy.submit.follow import follow
    from argosy.submit.nodes import phase_of
    from argosy.submit.view import show

    workflows = [(api, done) for api, done in submission.delivered if done.kind == "Workflow"]
    if not workflows:
        raise UsageError("nothing was submitted that --watch could show")
    console = Console(stderr=True, highlight=False)
    phases = []
    for api, done in workflows:
        try:
            last = show(console, follow(api, done.namespace, done.name))
        except KeyboardInterrupt:
            console.print(f"no longer watched; {done.kind} '{done.name}' goes on in '{done.namespace}'")
            return 130
        phases.append(phase_of(last))
    return 0 if all(phase == "Succeeded" for phase in phases) else 1
