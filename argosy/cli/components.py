"""`argosy components`: what there is to build with."""

import json

import click

from argosy.catalogue import listing
from argosy.catalogue.discover import find_components, pick
from argosy.catalogue.listing import describe

module_option = click.option(
    "--module",
    metavar="MODULE|FOLDER|FILE.py",
    help="Look there instead of among the components that come with Argosy.",
)


@click.command()
@click.argument("name", required=False)
@module_option
@click.option("--output", type=click.Choice(["text", "json", "markdown"]), default="text", show_default=True)
def components(name: str | None, module: str | None, output: str) -> None:
    """List the components, or show the one called NAME in full."""
    entries = find_components(module)
    if name:
        described = describe(pick(entries, name))
        one = {"json": _json, "markdown": listing.section, "text": listing.full_text}
        click.echo(one[output](described))
        return
    groups = [(entry.group, describe(entry)) for entry in entries]
    if output == "json":
        click.echo(_json([described for _, described in groups]))
    elif output == "markdown":
        chosen = f" --module {module}" if module else ""
        click.echo(listing.page(groups, f"argosy components{chosen} --output markdown"), nl=False)
    else:
        click.echo(listing.list_text(groups))


def _json(data: object) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False)
