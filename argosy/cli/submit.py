"""`argosy submit`: a pipeline, a program or a manifest to a cluster."""

import sys
from pathlib import Path
from typing import get_args

import click

from argosy.cli.cluster import watch_to_the_end
from argosy.cli.completion import targets
from argosy.cli.parameters import (
    argo_server_options,
    cluster_options,
    environment_option,
    memoize_option,
    parameter_file_option,
    parameter_option,
    read_parameters,
    settings_beside,
)
from argosy.compose.compiler import Kind
from argosy.errors import UsageError


@click.command()
@click.argument(
    "target",
    metavar="PIPELINE|FILE.py[:FUNCTION]|FILE.yaml",
    shell_complete=targets,
    callback=settings_beside,
)
@parameter_option
@parameter_file_option
@click.option("--kind", type=click.Choice(get_args(Kind)), help="Of a pipeline; default: Workflow.")
@click.option("--watch", is_flag=True, help="Show the workflow until its end; exit 0 only if it Succeeded.")
@click.option("--build", "build_first", is_flag=True, help="First make and send the images of its steps.")
@memoize_option
@click.option("--dry-run", is_flag=True, help="Print the YAML; nothing is sent.")
@environment_option
@cluster_options
@argo_server_options
def submit(
    target: str,
    assignments: tuple[str, ...],
    parameter_file: Path | None,
    kind: Kind | None,
    watch: bool,
    build_first: bool,
    memoize: bool,
    dry_run: bool,
    **destination: str | bool | None,
) -> None:
    """Submit a pipeline, or a manifest, to a cluster.

    Through the Kubernetes API, or through an Argo Server with --server.

    A Workflow is created; a WorkflowTemplate or a CronWorkflow is created or updated. Ctrl-C ends
    --watch, not the workflow.
    """
    from argosy.cli.submission import Submission, submit_source
    from argosy.cluster.destination import Destination

    given = read_parameters(assignments, parameter_file)
    if watch and dry_run:
        raise UsageError("--dry-run submits nothing that --watch could show")
    if watch and kind not in (None, "Workflow"):
        raise UsageError(f"--watch shows a Workflow, and a {kind} does not run by itself")
    if build_first and dry_run:
        raise UsageError("--dry-run sends nothing, and --build sends images: run 'argosy build' before it")
    if build_first:
        from argosy.cli.build import build_images

        build_images((target,))
    submission = Submission(Destination(**destination), dry_run, memoize)  # type: ignore[arg-type]
    submit_source(target, kind, given, submission)
    if watch:
        sys.exit(watch_to_the_end(submission))
