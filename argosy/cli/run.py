"""`argosy run` and `argosy rerun`: a compiled manifest, or a part of a run, executed on this machine."""

import dataclasses
import json
import os
import re
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.console import Console

from argosy.cli.completion import runs, steps, targets
from argosy.cli.execution import (
    Leave,
    Refusable,
    Work,
    execute,
    kept_values,
    shown_live,
    standing,
    start_stack,
    told_when_stopped,
    with_config_maps,
)
from argosy.cli.parameters import (
    env_file_option,
    environment_option,
    parameter_option,
    read_parameters,
    settings_beside,
)
from argosy.cli.request import Request
from argosy.cli.stack import state_dir_option
from argosy.compose.settings import RUNNERS, Settings
from argosy.errors import UsageError
from argosy.local.stacks import Binding, Stack, bind_locally
from argosy.text import one_line

if TYPE_CHECKING:
    from argosy.local.approval import Approval
    from argosy.local.containers import Containers
    from argosy.local.context import Only
    from argosy.local.kept import Kept
    from argosy.local.model import Workflow
    from argosy.local.runs.cache import StepCache
    from argosy.local.runs.record import Record


def reuse_of(
    request: Request,
    cached: bool | None,
    containers: "Containers | None",
    kept: "Kept",
    *,
    dry: bool = False,
) -> "StepCache | None":
    """The cache as this run uses it; None where no step may be reused."""
    from argosy.local.runs.cache import StepCache, locale_of, may_be_reused
    from argosy.manifest.parts import templates_in

    templates = {str(t.get("name")): t for t in templates_in(request.manifest)}
    wanted = any(t.get("memoize") or may_be_reused(t, everything=bool(cached)) for t in templates.values())
    if cached is False or not (wanted or dry):
        return None
    place = (request.state_dir, request.run, request.run_dir)
    images = None if containers is None else containers.known
    variables = {**({} if containers else locale_of(os.environ)), **kept.variables}
    return StepCache(*place, templates, request.module_dirs, bool(cached), dry, images, variables)


def print_plan(
    request: Request,
    binding: Binding,
    stack: "Stack | None",
    kept: "Kept",
    cached: bool | None,
    output: str,
    containers: "Containers | None",
) -> None:
    from tempfile import TemporaryDirectory

    from argosy.local import NullReporter, run_manifest
    from argosy.local.job import planned

    reuse = reuse_of(request, cached, containers, kept, dry=True)
    if reuse is None:
        raise UsageError("--plan tells what would be reused; with --no-cache nothing would")
    with TemporaryDirectory(prefix="argosy-plan-") as folder:
        result = run_manifest(
            request.manifest,
            parameters=binding.parameters(stack),
            run_dir=Path(folder) / "run",
            environment=stack.environment() if stack else {},
            reporter=NullReporter(),
            kept=kept,
            reuse=reuse,
            linted=True,
            containers=containers,
        )
    steps = planned(result)
    if output == "json":
        told = [{"step": s.step, "plan": s.what, "reused": s.reused} for s in steps]
        click.echo(json.dumps({"steps": told}, ensure_ascii=False))
        return
    width = min(max((len(s.step) for s in steps), default=0), 40)
    for step in steps:
        click.echo(f"{one_line(step.step):<{width}}  {one_line(step.what)}")


F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.argument(
        "target",
        required=False,
        metavar="[PIPELINE|FILE.py[:FUNCTION]|FILE.yaml]",
        shell_complete=targets,
        callback=settings_beside,
    ),
    parameter_option,
    click.option(
        "-f",
        "--parameter-file",
        "files",
        multiple=True,
        type=click.Path(dir_okay=False, path_type=Path),
        help="A file of parameters, or of what the manifest names: WorkflowTemplates, ConfigMaps, Secrets.",
    ),
    env_file_option,
    click.option(
        "--resume",
        metavar="RUN",
        shell_complete=runs,
        help="Continue a run: what Succeeded is kept, the rest runs again.",
    ),
    click.option(
        "--isolated",
        is_flag=True,
        help="Run each step from its bundle, as its pod would: no folder of the project is on its path.",
    ),
    click.option(
        "--runner",
        type=click.Choice(RUNNERS),
        help="Run each step as a process here, or as a container of its image; else as argosy.yaml says.",
    ),
    click.option(
        "--approve",
        "approved",
        multiple=True,
        metavar="STEP[:NAME=VALUE]",
        help="Let a suspended step go on, with an output that it is to have. Without it the terminal asks.",
    ),
    click.option("--output", type=click.Choice(["tree", "json"]), default="tree", show_default=True),
    click.option(
        "--max-parallel", type=click.IntRange(min=1), default=4, show_default=True, help="Steps at a time."
    ),
    click.option(
        "--cache/--no-cache",
        "cached",
        default=None,
        help="Reuse what earlier runs made: of all steps, or of none; else of those that say cache=True.",
    ),
    click.option(
        "--plan", "only_plan", is_flag=True, help="Say what would run and what be reused; run nothing."
    ),
    click.option("--open", "opened", is_flag=True, help="Show the run in the browser while it goes on."),
    environment_option,
    state_dir_option,
)


def run_options(command: F) -> F:
    """The order of a run: of which pipeline, with which values, and how."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command(cls=Refusable)
@run_options
def run(env_files: tuple[Path, ...], approved: tuple[str, ...], state_dir: Path, **how: Any) -> None:
    """Run a pipeline, or a manifest, on this machine.

    Each step is started as its compiled manifest says.

    Parameters that name a server (mlflow-tracking-uri, s3-bucket, triton-url, dataset) and that nobody
    sets are pointed at the embedded stack, which is started if need be. A step gets the variables that it
    declares and what a process needs, not this shell's; Secrets come from --env-file, or from the file that
    'secrets' in argosy.yaml names.

    On a terminal `q` detaches: the run goes on, and `argosy attach` follows it again.

    Exit code 0: the workflow Succeeded, or you detached; 1: it did not; 2: the input is wrong and nothing
    was started.
    """
    from argosy.cli.attach import detachable, left
    from argosy.local.check import check
    from argosy.local.runs.record import Record

    request = _request(state_dir=state_dir, **how)
    state_dir = request.state_dir
    earlier = Record.read(request.run_dir) if how["resume"] else None
    if earlier is not None and earlier.is_done and not how["only_plan"]:
        _tell_done(earlier, how["output"])
        return
    containers = request.containers()
    kept = kept_values(env_files, request.files)
    asked, request = request, with_config_maps(request, kept)
    binding = bind_locally(request.manifest, request.given)
    plan = check(request.manifest, binding.parameters(None), linted=True, in_images=containers is not None)
    approval = _approval(approved, plan.workflow)
    console = Console(stderr=True, highlight=False)
    if how["only_plan"]:
        stack = start_stack(binding, state_dir, console)
        print_plan(request, binding, stack, kept, how["cached"], how["output"], containers)
        return
    if containers is not None:
        containers.prepare(plan.workflow, lambda line: console.print(line, soft_wrap=True))
    stack = start_stack(binding, state_dir, console)
    work = Work(request, binding, stack, kept, how["output"], containers)
    work.check(plan, nodes=None if earlier is None else earlier.nodes)
    asked.save()

    def whole(leave: Leave | None) -> int:
        new = not how["resume"]
        with (
            told_when_stopped(request, new=new),
            shown_live(request, console) if how["opened"] else nullcontext(),
        ):
            reuse = reuse_of(request, how["cached"], containers, kept)
            options = {"resume": bool(how["resume"]), "max_parallel": how["max_parallel"], "reuse": reuse}
            with request.unless_refused(new=new):
                return 0 if execute(work, approval=approval, leave=leave, **options).succeeded else 1

    sys.exit(detachable(whole, left(request.run)))


def _request(
    *,
    target: str | None,
    assignments: tuple[str, ...],
    files: tuple[Path, ...],
    resume: str | None,
    isolated: bool,
    runner: str | None,
    state_dir: Path,
    **_: Any,
) -> Request:
    """The target of a run: a pipeline or manifest with its parameters, or an earlier run."""
    parameter_file, objects = _sorted_out(files)
    given = read_parameters(assignments, parameter_file)
    if resume:
        if target or given or isolated:
            raise UsageError("--resume continues a run as it was: no pipeline, no parameters, no --isolated")
        request = _to_go_on(state_dir, resume)
        settings_beside(click.get_current_context(), None, request.project)
        if runner not in (None, request.runner):
            raise UsageError(
                f"--resume continues {request.run} as it was, with --runner {request.runner}; "
                f"for {runner} run it anew"
            )
        return request
    if target:
        chosen = runner or Settings.find().runner
        return Request.new(target, given, state_dir, objects, isolated=isolated, runner=chosen)
    raise UsageError("name a pipeline or a manifest, or a run with --resume")


def _to_go_on(state_dir: Path, word: str) -> Request:
    """The request of the run to continue, where it is."""
    from argosy.local.runs.record import RUNS, History

    record = History(state_dir).find(word)
    if record.state_dir is None:
        raise UsageError(f"{record.folder} is in no state folder: to go on with it, move it into a '{RUNS}'")
    if record.alone is not None:
        run, step = record.alone
        told = f"{record.run} is '{step}' of {run} alone, and nothing else may run in it"
        raise UsageError(f"{told}; do it again with: {record.again}")
    return Request.load(state_dir, record)


def _tell_done(record: "Record", output: str) -> None:
    """Say of a run that Succeeded that nothing of it runs again, its exit handler neither."""
    from argosy.local.runs.attach import result_of

    click.echo(f"nothing is left to run: {standing(record)}", err=True)
    if output == "json":
        click.echo(json.dumps(result_of(record).to_dict(), ensure_ascii=False))


def _sorted_out(files: Iterable[Path]) -> tuple[Path | None, tuple[Path, ...]]:
    """The file of parameters, if one is there, and those that hold objects.

    Objects have `apiVersion` and `kind`; either alone is a parameter like any other.
    """
    objects = tuple(file for file in files if _holds_objects(_content(file)))
    others = [file for file in files if file not in objects]
    if len(others) > 1:
        raise UsageError(f"-f: {' and '.join(map(str, others))} are files of parameters; one is taken")
    return (others[0] if others else None), objects


def _holds_objects(content: bytes) -> bool:
    with suppress(ValueError):
        document = json.loads(content)
        return isinstance(document, dict) and document.keys() >= {"apiVersion", "kind"}
    return all(re.search(rb"^%b\s*:" % field, content, re.MULTILINE) for field in (b"apiVersion", b"kind"))


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read '{file}': {error.strerror}") from None


def _approval(words: Iterable[str], workflow: "Workflow") -> "Approval":
    from argosy.local.approval import Approval, ask_terminal

    asked = ask_terminal if sys.stdin.isatty() and sys.stderr.isatty() else None
    approval = Approval.read(words, asked)
    approval.check(workflow)
    return approval


@click.command(cls=Refusable)
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
    """Run a part of a run again, as a run of its own.

    RUN itself stays as it is.

    With --from, what Succeeded before the step is taken over; what failed elsewhere runs, too. With --step,
    an input is set anew by -p. The manifest is RUN's; the code of steps is that on disk.
    """
    from argosy.cli.attach import detachable, left
    from argosy.local.check import check
    from argosy.local.runs.record import History
    from argosy.local.runs.rerun import before

    given = read_parameters(assignments, None)
    if first is None and step is None:
        raise UsageError("say --from STEP or --step STEP")
    if first is not None and step is not None:
        raise UsageError("--from runs a step and what depends on it, --step it alone: say one of them")
    if debug and step is None:
        raise UsageError("--debug runs one step: it needs --step")
    record = History(state_dir).find(run).whole()
    if first is not None and record.alone is not None:
        whole_run, step_alone = record.alone
        raise UsageError(
            f"{record.run} is '{step_alone}' of {whole_run} alone, so that nothing before a step is known; "
            f"write argosy rerun {whole_run} --from {first}"
        )
    asked = Request.load(state_dir, record).again(given if first else {})
    state_dir = asked.state_dir
    settings_beside(click.get_current_context(), None, asked.project)
    containers = asked.containers()
    if debug and containers is not None:
        raise UsageError(
            f"--debug opens Python's debugger in a process; {record.run} has --runner {asked.runner}"
        )
    kept = kept_values(env_files, asked.files)
    request = with_config_maps(asked, kept)
    binding = bind_locally(request.manifest, request.given)
    console = Console(stderr=True, highlight=False)
    only = _one_step_alone(record, step, given, debug, asked.module_dirs) if step is not None else None
    in_images = containers is not None
    plan = check(request.manifest, binding.parameters(None), linted=True, in_images=in_images)
    work = Work(request, binding, start_stack(binding, state_dir, console), kept, output, containers)
    if only is not None:
        work.check(plan, only)
        asked.save(alone={"run": record.run, "step": only.name, "given": sorted(given)})
    else:
        work.check(plan, nodes=before(record, str(first)))
        with asked.unless_refused(new=True):
            _take_over(record, str(first), asked, request, given, console)

    def whole(leave: Leave | None) -> int:
        with told_when_stopped(asked, new=True), asked.unless_refused(new=True):
            return 0 if execute(work, resume=step is None, only=only, leave=leave).succeeded else 1

    sys.exit(whole(None) if debug else detachable(whole, left(request.run)))


def _one_step_alone(
    record: "Record", step: str, given: dict[str, str], debug: bool, folders: Iterable[str]
) -> "Only":
    """One step on the inputs that it had, those given set anew."""
    from argosy.local.runs.rerun import alone

    only = alone(record, step, terminal=debug)
    unknown = sorted(set(given) - set(only.inputs.parameters))
    if unknown:
        known = ", ".join(only.inputs.parameters) or "none"
        raise UsageError(f"'{only.name}' has no input '{unknown[0]}'; it has: {known}")
    fitting = _fitting(record.templates.get(only.template, {}), given, folders) if given else given
    inputs = dataclasses.replace(only.inputs, parameters={**only.inputs.parameters, **fitting})
    return dataclasses.replace(only, inputs=inputs)


def _fitting(template: Mapping[str, Any], given: dict[str, str], folders: Iterable[str]) -> dict[str, str]:
    """The values as the step's component takes them; as they are, where no component is known."""
    from argosy.compose.given import as_written, check_values, fitting
    from argosy.compose.loader import component_of
    from argosy.manifest.code import step_of

    step = step_of(template)
    component = component_of(step, folders) if step else None
    values = fitting(component.interface, given) if component else as_written(given)
    check_values(values)
    return values


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
        told = f"'{one_line(name)}' is taken over as it is, made with the parameters of {record.run}"
        console.print(told, markup=False)
