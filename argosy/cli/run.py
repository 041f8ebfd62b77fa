"""`argosy run`: a compiled manifest, executed on this machine."""

import re
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from argosy.cli.execution import Work, execute, kept_values, shown_live, start_stack, with_config_maps
from argosy.cli.parameters import read_parameters
from argosy.cli.planning import print_plan, reuse_of
from argosy.cli.request import Request
from argosy.cli.run_options import run_options
from argosy.errors import UsageError
from argosy.local.embedded import bind_locally

if TYPE_CHECKING:
    from argosy.cli.detach import Leave
    from argosy.local.approval import Approval
    from argosy.local.model import Workflow


@click.command()
@run_options
def run(env_files: tuple[Path, ...], approved: tuple[str, ...], state_dir: Path, **how: Any) -> None:
    """Run a pipeline on this machine, step by step, from its compiled manifest.

    Parameters that name a server (mlflow-tracking-uri, s3-bucket, triton-url, dataset) and that nobody
    sets are pointed at the embedded stack, which is started if need be. A step gets the variables that it
    declares and what a process needs, not this shell's; Secrets come from --env-file, or from the file that
    'secrets' in argosy.yaml names.

    On a terminal `q` detaches: the run goes on, and `argosy attach` follows it again.

    Exit code 0: the workflow Succeeded, or you detached; 1: it did not; 2: the input is wrong and nothing
    was started.
    """
    from argosy.cli.attach import left
    from argosy.cli.detach import detachable
    from argosy.local import check

    request = _request(state_dir=state_dir, **how)
    kept = kept_values(env_files, request.files)
    asked, request = request, with_config_maps(request, kept)
    binding = bind_locally(request.manifest, request.given)
    plan = check(request.manifest, binding.parameters(None), linted=True)
    approval = _approval(approved, plan.workflow)
    console = Console(stderr=True, highlight=False)
    if how["only_plan"]:
        stack = start_stack(binding, state_dir, console)
        print_plan(request, binding, stack, kept, how["cached"], how["output"])
        return
    asked.save()
    work = Work(request, binding, start_stack(binding, state_dir, console), kept, how["output"])

    def whole(leave: "Leave | None") -> int:
        with shown_live(request, console) if how["opened"] else nullcontext():
            reuse = reuse_of(request, how["cached"])
            options = {"resume": bool(how["resume"]), "max_parallel": how["max_parallel"], "reuse": reuse}
            return 0 if execute(work, approval=approval, leave=leave, **options).succeeded else 1

    sys.exit(detachable(whole, left(request.run)))


def _request(
    *,
    target: str | None,
    assignments: tuple[str, ...],
    files: tuple[Path, ...],
    resume: str | None,
    isolated: bool,
    state_dir: Path,
    **_: Any,
) -> Request:
    """What is to be run: a pipeline or manifest with its parameters, or an earlier run."""
    parameter_file, objects = _sorted_out(files)
    given = read_parameters(assignments, parameter_file)
    if resume:
        if target or given or isolated:
            raise UsageError("--resume continues a run as it was: no pipeline, no parameters, no --isolated")
        return Request.load(state_dir, resume)
    if target:
        return Request.new(target, given, state_dir, objects, isolated=isolated)
    raise UsageError("name a pipeline or a manifest, or a run with --resume")


def _sorted_out(files: Iterable[Path]) -> tuple[Path | None, tuple[Path, ...]]:
    """The file of parameters, if one is there, and those that hold objects, which have a `kind`."""
    objects = tuple(file for file in files if _HAS_KIND.search(_content(file)))
    others = [file for file in files if file not in objects]
    if len(others) > 1:
        raise UsageError(f"-f: {' and '.join(map(str, others))} are files of parameters; one is taken")
    return (others[0] if others else None), objects


_HAS_KIND = re.compile(rb"^kind\s*:|^\s*\{?\s*\"kind\"\s*:", re.MULTILINE)


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
