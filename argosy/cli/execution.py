"""The common part of `argosy run` and `argosy rerun`: servers, values, the run itself, what is said of it."""

import json
import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.text import Text

from argosy.cli.request import Request
from argosy.compose.loader import load_documents
from argosy.compose.settings import Settings
from argosy.errors import ArgosyError, UsageError
from argosy.lint.engine import InvalidManifest
from argosy.local import Node, Phase, WorkflowResult
from argosy.local.stacks import Binding, Stack, open_stack
from argosy.manifest.linking import with_values
from argosy.text import one_line

if TYPE_CHECKING:
    from argosy.local import WorkflowResult
    from argosy.local.approval import Approval
    from argosy.local.containers import Containers
    from argosy.local.context import Only
    from argosy.local.job import Plan
    from argosy.local.kept import Kept
    from argosy.local.runs.cache import StepCache
    from argosy.local.runs.record import Record

Leave = Callable[[], None]
"""Called when the person at the terminal detaches."""

_STYLES = {
    "Succeeded": "green",
    "Failed": "bold red",
    "Error": "bold red",
    "Skipped": "dim",
    "Omitted": "dim",
}
# Of a step's name, in characters; a longer one, as of a loop's item, puts its phase out of line.
_LONGEST = 40


class Refusable(click.Command):
    """A command that ends with one document under `--output json`, also where it refuses to begin."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run; of a refusal the document is told, then the line as ever."""
        try:
            return super().invoke(ctx)
        except ArgosyError as error:
            if ctx.params["output"] == "json" and not ctx.params.get("only_plan"):
                asked = ctx.params.get("target") or ctx.params.get("resume") or ctx.params.get("run")
                click.echo(json.dumps(_refusal(str(asked or ""), error), ensure_ascii=False))
            raise


def _refusal(name: str, error: ArgosyError) -> dict[str, Any]:
    """A run that never began; of a manifest that the linter refuses the engine says Failed, too."""
    phase = Phase.FAILED if isinstance(error, InvalidManifest) else Phase.ERROR
    result = WorkflowResult(name, "", phase, str(error), "", "", {}, (), Path())
    return {**result.to_dict(), "startedAt": None, "finishedAt": None, "runDir": None}


def resume_command(run: str, result: WorkflowResult) -> str:
    """The command that goes on with a run, with the approvals that it lacked."""
    asked = (node.name for node in result.failed_nodes if node.kind == "Suspend")
    return shlex.join(["argosy", "run", "--resume", run, *(f"--approve={name}" for name in asked)])


def print_summary(console: Console, result: WorkflowResult, places: Mapping[str, str]) -> None:
    """Print the nodes with their outputs, long loops folded, then phase, outputs and places."""
    from argosy.local.runs.screen import folded

    console.print()
    shown = list(folded(result.nodes))
    width = min(max((len(node.name) for node, _ in shown), default=0), _LONGEST)
    for node, inside in shown:
        _print_node(console, node, width)
        if inside:
            console.print(Text(f"    {inside}", "dim"))
    console.print()
    console.print(Text.assemble(f"{result.name}: ", _phase(result.phase.value)), soft_wrap=True)
    if result.message:
        console.print(Text(one_line(result.message)), soft_wrap=True)
    _print_outputs(console, result.outputs.parameters)
    for what, place in places.items():
        console.print(Text(f"{what:<8}{place}"), soft_wrap=True)


def _print_node(console: Console, node: Node, width: int) -> None:
    seconds = f"  {node.seconds:.1f} s" if node.seconds else ""
    name = f"{one_line(node.name):<{width}}  "
    origin = f"  from {node.reused}" if node.reused else ""
    line = Text.assemble(name, _phase(node.phase.value), (seconds, "dim"), (origin, "magenta"))
    console.print(line, soft_wrap=True)
    _print_outputs(console, node.outputs.parameters)


def _print_outputs(console: Console, parameters: Mapping[str, str]) -> None:
    longest = max(map(len, parameters), default=0)
    for name, value in parameters.items():
        line = Text.assemble("    ", (f"{name:<{longest}}  ", "dim"), one_line(value) or "-")
        console.print(line, soft_wrap=True)


def _phase(phase: str) -> tuple[str, str]:
    return phase, _STYLES.get(phase, "")


LAST_LOOK = 1.5
"""Seconds that the page's server stays after the end, so that the browser hears of it."""


def with_config_maps(request: Request, kept: "Kept") -> Request:
    """The request with the parameters that ConfigMaps hold: as they are now, not as they were."""
    from argosy.local.kept import CONFIG_MAP, Source

    def lookup(name: str, key: str) -> str | None:
        return kept.value(Source(CONFIG_MAP, name, key))

    return replace(request, manifest=with_values(request.manifest, lookup, request.given))


def kept_values(env_files: Iterable[Path], files: Iterable[str]) -> "Kept":
    """Secrets and ConfigMaps: of the settings' file, of the objects given, of files for --env-file."""
    from argosy.local.kept import Kept, of_documents, read_env_file, read_secrets

    secrets = Settings.find().secrets
    kept = read_secrets(secrets) if secrets else Kept()
    for name in files:
        kept = of_documents(load_documents(Path(name)), Path(name)).over(kept)
    for file in env_files:
        kept = read_env_file(file, os.environ).over(kept)
    return kept


def start_stack(binding: Binding, state_dir: Path, console: Console) -> "Stack | None":
    """The stack, up, where the run needs one; says what it was pointed at."""
    if not binding.from_stack:
        return None
    stack = open_stack(state_dir)
    stack.up(console.print)
    for line in binding.told(stack):
        console.print(f"on this machine: {line}", soft_wrap=True)
    return stack


@contextmanager
def shown_live(request: Request, console: Console) -> Iterator[None]:
    """While inside: the run's page, fresh, in the browser; after it the page that stays."""
    import webbrowser

    from argosy.local.runs.serve import serving

    with serving(request.run_dir) as address:
        console.print(f"page    {address}", soft_wrap=True)
        webbrowser.open(address)
        yield
        time.sleep(LAST_LOOK)


def _write_page(result: "WorkflowResult", console: Console) -> dict[str, str]:
    """Write the run's page; a run is none the worse where that cannot be done."""
    from argosy.local.runs.page import told, write_page
    from argosy.local.runs.record import Record

    try:
        record = Record.of(result)
        return {"page": str(write_page(record, told(record)))}
    except UsageError as error:
        console.print(f"no page of the run: {error}", style="dim", markup=False, soft_wrap=True)
        return {}


@dataclass(frozen=True)
class Work:
    """A request, ready to be carried out: its servers are up, its Secrets are read."""

    request: Request
    binding: Binding
    stack: "Stack | None"
    kept: "Kept"
    output: str = "tree"
    containers: "Containers | None" = None

    def check(self, plan: "Plan", only: "Only | None" = None, nodes: "Iterable[Node] | None" = None) -> None:
        """Raise UsageError, before anything is kept of the run, for a Secret that its steps would lack.

        `nodes` are those that it goes on from.
        """
        from argosy.local.run import checked_environment

        done = None if nodes is None else {node.name: node.phase for node in nodes}
        in_images = self.containers is not None
        checked_environment(plan, self.environment(), self.kept, only, done, in_images=in_images)

    def environment(self) -> dict[str, str]:
        """Variables that steps get beside their own."""
        if self.containers is not None:  # code is in the image, or mounted
            return self.stack.environment() if self.stack else {}
        # Modules of the user's own steps: beside the pipeline's file, or where the command was given.
        path = [*self.request.module_dirs, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        modules = {"PYTHONPATH": os.pathsep.join(dict.fromkeys(p for p in path if p))}
        return modules | (self.stack.environment() if self.stack else {})


def execute(
    work: Work,
    *,
    resume: bool,
    max_parallel: int = 4,
    only: "Only | None" = None,
    reuse: "StepCache | None" = None,
    approval: "Approval | None" = None,
    leave: Leave | None = None,
) -> "WorkflowResult":
    """Run to the end and say what came of it; `only` one step, where one is given.

    `leave` is called when the person at the terminal detaches.
    """
    from argosy.local import NullReporter, run_manifest
    from argosy.local.console import ConsoleReporter

    shown = ConsoleReporter(leave=leave)
    if approval is not None and approval.ask is not None:
        approval = replace(approval, ask=shown.asked(approval.ask))
    result = run_manifest(
        work.request.manifest,
        parameters=work.binding.parameters(work.stack),
        run_dir=work.request.run_dir,
        environment=work.environment(),
        reporter=NullReporter() if only and only.terminal else shown,
        max_parallel=max_parallel,
        resume=resume,
        kept=work.kept,
        only=only,
        reuse=reuse,
        approval=approval,
        linted=True,
        containers=work.containers,
        name=work.request.workflow_name,
    )
    _say(work, result, again=only is None)
    return result


@contextmanager
def told_when_stopped(request: Request, *, new: bool) -> Iterator[None]:
    """While inside: Ctrl-C that the run itself heeds no more, or not yet, ends with a line on what is left.

    Of a run that is `new` and in which nothing began nothing is left.
    """
    from argosy.local.runs.record import Record

    try:
        yield
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once more would cut the line off
        record = Record.read(request.run_dir)
        if new and record.is_untouched:
            request.forget()
        click.echo(f"\n{standing(record)}", err=True)
        sys.exit(0 if record.phase == "Succeeded" else 1)


def standing(record: "Record") -> str:
    """One line: how a run is left, and the command that goes on from there."""
    if record.is_untouched:
        return f"stopped before anything of {record.run} began"
    if record.state == "running":
        return f"{record.run} goes on; follow it with: argosy attach {record.run}"
    if record.phase == "Succeeded":
        return f"{record.run} is over: Succeeded; look at it with: argosy show {record.run}"
    return f"{record.run} is {record.phase}; go on with: {record.again}"


def _say(work: Work, result: "WorkflowResult", *, again: bool) -> None:
    """The outcome of a run, and where to look further."""
    places = {"run": str(result.run_dir)}
    if work.stack:
        places |= work.stack.endpoints().pages()
    if not result.succeeded and again:
        places["again"] = resume_command(work.request.run, result)
    console = Console(stderr=True, highlight=False)
    places |= _write_page(result, console)
    print_summary(console, result, places)
    if work.output == "json":
        click.echo("".join(result.to_json()))
