"""`argosy run`: a compiled manifest, executed on this machine."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from argosy.cli.parameters import parameter_file_option, parameter_option, read_parameters
from argosy.cli.request import Request
from argosy.cli.stack import open_stack, state_dir_option
from argosy.cli.summary import print_summary
from argosy.errors import UsageError
from argosy.local import Binding, bind_locally

if TYPE_CHECKING:
    from argosy.runner import WorkflowResult
    from argosy.stack import Stack


@click.command()
@click.argument("target", required=False, metavar="[PIPELINE|FILE.py[:FUNCTION]|FILE.yaml]")
@parameter_option
@parameter_file_option
@click.option("--resume", metavar="RUN", help="Continue a run: what Succeeded is kept, the rest runs again.")
@click.option("--output", type=click.Choice(["tree", "json"]), default="tree", show_default=True)
@click.option(
    "--max-parallel", type=click.IntRange(min=1), default=4, show_default=True, help="Steps at a time."
)
@state_dir_option
def run(
    target: str | None,
    assignments: tuple[str, ...],
    parameter_file: Path | None,
    resume: str | None,
    output: str,
    max_parallel: int,
    state_dir: Path,
) -> None:
    """Run a pipeline on this machine, step by step, from its compiled manifest.

    Parameters that name a server (mlflow-tracking-uri, s3-bucket, triton-url, dataset) and that nobody
    sets are pointed at the embedded stack, which is started if need be. Exit code 0: the workflow
    Succeeded; 1: it did not; 2: the input is wrong and nothing was started.
    """
    from argosy.runner import check

    given = read_parameters(assignments, parameter_file)
    if resume:
        if target or given:
            raise UsageError("--resume continues a run as it was: it takes no pipeline and no parameters")
        request = Request.load(state_dir, resume)
    elif target:
        request = Request.new(target, given, state_dir)
    else:
        raise UsageError("name a pipeline or a manifest, or a run with --resume")
    binding = bind_locally(request.manifest, request.given)
    check(request.manifest, binding.parameters(None))
    request.save()
    console = Console(stderr=True, highlight=False)
    stack = _start_stack(binding, state_dir, console)
    result = _execute(request, binding, stack, resume=bool(resume), max_parallel=max_parallel)
    if output == "json":
        click.echo(json.dumps(result.to_dict(), ensure_ascii=False))
    places = {"run": str(result.run_dir), **({"MLflow": stack.endpoints().mlflow} if stack else {})}
    if not result.succeeded:
        places["again"] = f"argosy run --resume {request.run}"
    print_summary(console, result, places)
    sys.exit(0 if result.succeeded else 1)


def _start_stack(binding: Binding, state_dir: Path, console: Console) -> "Stack | None":
    if not binding.from_stack:
        return None
    stack = open_stack(state_dir)
    stack.up(console.print)
    shown = {**binding.laptop, **{n: v for n, v in stack.parameters().items() if n in binding.from_stack}}
    for name, value in shown.items():
        console.print(f"on this machine: {name} = {value}", soft_wrap=True)
    return stack


def _execute(
    request: Request, binding: Binding, stack: "Stack | None", *, resume: bool, max_parallel: int
) -> "WorkflowResult":
    from argosy.runner import run_manifest
    from argosy.runner.console import ConsoleReporter

    # Modules of the user's own steps: beside the pipeline's file, or where the command was given.
    path = [*request.module_dirs, os.environ.get("PYTHONPATH", "")]
    environment = {"PYTHONPATH": os.pathsep.join(p for p in path if p)}
    if stack:
        environment |= stack.environment()
    return run_manifest(
        request.manifest,
        parameters=binding.parameters(stack),
        run_dir=request.run_dir,
        environment=environment,
        reporter=ConsoleReporter(),
        max_parallel=max_parallel,
        resume=resume,
    )
