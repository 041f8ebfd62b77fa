"""`argosy env`: what differs between environments."""

import json
from typing import Any

import click

from argosy.compose.settings import in_environment


@click.group("env")
def env() -> None:
    """Environments of argosy.yaml: one program, every cluster."""


@env.command()
@click.argument("before", metavar="ENV")
@click.argument("after", metavar="ENV")
@click.argument("target", metavar="PIPELINE|FILE.py[:FUNCTION]|FILE.yaml")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def diff(before: str, after: str, target: str, output: str) -> None:
    """Show what a pipeline has otherwise in one environment than in another, field by field."""
    from argosy.compose.environments import differences

    found = differences(_manifest(target, before), _manifest(target, after))
    if output == "json":
        rows = [{"path": p, "before": _or_none(a), "after": _or_none(b)} for p, a, b in found]
        click.echo(json.dumps(rows, ensure_ascii=False))
        return
    for path, *pair in found:
        click.echo(path)
        for name, value in zip((before, after), pair, strict=True):
            shown = "(not set)" if value is ... else json.dumps(value, ensure_ascii=False)
            click.echo(f"  {name}: {shown}")
    if not found:
        click.echo(f"'{before}' and '{after}' are the same for {target}", err=True)


def _manifest(target: str, environment: str) -> dict[str, Any]:
    from argosy.cli.compile import manifest_of

    with in_environment(environment):
        return manifest_of(target)


def _or_none(value: Any) -> Any:
    return None if value is ... else value
