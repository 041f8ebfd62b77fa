"""`argosy run --plan`, and which steps a run may reuse."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from argosy.cli.request import Request
from argosy.errors import UsageError
from argosy.local.embedded import Binding

if TYPE_CHECKING:
    from argosy.local.kept import Kept
    from argosy.local.runs.cache import StepCache
    from argosy.local.stacks import Stack


def reuse_of(request: Request, cached: bool | None, *, dry: bool = False) -> "StepCache | None":
    """The cache as this run uses it; None where no step may be reused."""
    from argosy.code.bundle.attach import templates_in
    from argosy.local.runs.cache import StepCache, may_be_reused

    templates = {str(t.get("name")): t for t in templates_in(request.manifest)}
    wanted = any(may_be_reused(t, everything=bool(cached)) for t in templates.values())
    if cached is False or not (wanted or dry):
        return None
    place = (request.state_dir, request.run, request.run_dir)
    return StepCache(*place, templates, request.module_dirs, everything=bool(cached), dry=dry)


def print_plan(
    request: Request,
    binding: Binding,
    stack: "Stack | None",
    kept: "Kept",
    cached: bool | None,
    output: str,
) -> None:
    from tempfile import TemporaryDirectory

    from argosy.local import NullReporter, run_manifest
    from argosy.local.runs.plan import planned

    reuse = reuse_of(request, cached, dry=True)
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
        )
    steps = planned(result)
    if output == "json":
        told = [{"step": s.step, "plan": s.what, "reused": s.reused} for s in steps]
        click.echo(json.dumps({"steps": told}, ensure_ascii=False))
        return
    width = min(max((len(s.step) for s in steps), default=0), 40)
    for step in steps:
        click.echo(f"{step.step:<{width}}  {step.what}")
