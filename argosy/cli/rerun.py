"""`argosy rerun`: a run again from a step on, or one step of it alone."""

import dataclasses
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from argosy.cli.completion import runs, steps
from argosy.cli.parameters import env_file_option, parameter_option, read_parameters
from argosy.cli.request import Request
from argosy.cli.stack import state_dir_option
from argosy.errors import UsageError

if TYPE_CHECKING:
    from argosy.cli.execution import Leave
    from argosy.local.context import Only
    from argosy.local.runs.record import Record


@click.command()
@click.argument("run", shell_complete=runs)
@click.option("--from", "first", metavar="STEP", shell_complete=steps, help="It and all that depends on it.")
@click.option("--step", metavar="STEP", shell_complete=steps, help="It alone, on the inputs that it had.")
@click.option("--debug", is_flag=True, help="With --step: under pdb, on this terminal.")
@parameter_option
@env_file_option
@click.option("--output", type=click.Choice(["tree", "json"]), default="tree", show_default=True)
@state_dir_option
def rerun(
    run: str,
    first: str | None,
    step: str | None,
    debug: bool,
    assignments: tuple[str, ...],
    env_files: tuple[Path, ...],
    output: str,
    state_dir: Path,
) -> None:
    """Run a part of a run again, as a run of its own; RUN itself stays as it is.

    With --from, what Succeeded before the step is taken over; what failed elsewhere runs, too. With --step,
    an input is set anew by -p. The manifest is RUN's; the code of steps is that on disk.
    """
    from argosy.cli.attach import detachable, left
    from argosy.cli.execution import Work, execute, kept_values, start_stack, with_config_maps
    from argosy.local.check import check
    from argosy.local.runs.record import History
    from argosy.local.stacks import bind_locally

    given = read_parameters(assignments, None)
    if first is None and step is None:
        raise UsageError("say --from STEP or --step STEP")
    if first is not None and step is not None:
        raise UsageError("--from runs a step and what depends on it, --step it alone: say one of them")
    if debug and step is None:
        raise UsageError("--debug runs one step: it needs --step")
    record = History(state_dir).find(run).whole()
    asked = Request.load(state_dir, record.run).again(given if first else {})
    containers = asked.containers()
    if debug and containers is not None:
        raise UsageError(
            f"--debug opens Python's debugger in a process; {record.run} has --runner {asked.runner}"
        )
    kept = kept_values(env_files, asked.files)
    request = with_config_maps(asked, kept)
    binding = bind_locally(request.manifest, request.given)
    console = Console(stderr=True, highlight=False)
    only = _alone(record, step, given, debug) if step is not None else None
    in_images = containers is not None
    plan = check(request.manifest, binding.parameters(None), linted=True, in_images=in_images)
    work = Work(request, binding, start_stack(binding, state_dir, console), kept, output, containers)
    work.check(plan, only)
    if only is not None:
        asked.save()
    else:
        _take_over(record, str(first), asked, request, given, console)

    def whole(leave: "Leave | None") -> int:
        return 0 if execute(work, resume=step is None, only=only, leave=leave).succeeded else 1

    sys.exit(whole(None) if debug else detachable(whole, left(request.run)))


def _alone(record: "Record", step: str, given: dict[str, str], debug: bool) -> "Only":
    """One step on the inputs that it had, those given set anew."""
    from argosy.local.runs.rerun import alone

    only = alone(record, step, terminal=debug)
    unknown = sorted(set(given) - set(only.inputs.parameters))
    if unknown:
        known = ", ".join(only.inputs.parameters) or "none"
        raise UsageError(f"'{only.name}' has no input '{unknown[0]}'; it has: {known}")
    inputs = dataclasses.replace(only.inputs, parameters={**only.inputs.parameters, **given})
    return dataclasses.replace(only, inputs=inputs)


def _take_over(
    record: "Record",
    first: str,
    asked: Request,
    request: Request,
    given: dict[str, str],
    console: Console,
) -> None:
    """Make the new run's folder with what Succeeded before a step in it."""
    from argosy.local.runs.rerun import made_with_other_values, take_over

    identity = {"name": request.workflow_name, "uid": str(uuid.uuid4())}
    kept = take_over(record, first, request.run_dir, identity)
    asked.save()
    for name in made_with_other_values(record, kept, given):
        console.print(f"'{name}' is taken over as it is, made with the parameters of {record.run}")
