"""`argosy schema`: the schemas of the documents that commands print as JSON."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

_HEAD = """# Documents

<!-- Written by `argosy schema --output markdown > docs/documents.md`. -->

`--output json` of these commands, or `--format json` as below, prints a document that has a JSON Schema,
printed by `argosy schema NAME`.
Fields may be added, and none changes its meaning; one that a table calls optional is not always there.
"""


def _names(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from argosy.cli.documents import DOCUMENTS

    return [CompletionItem(name) for name in DOCUMENTS if name.startswith(incomplete)]


@click.command()
@click.argument("name", required=False, shell_complete=_names)
@click.option("--output", type=click.Choice(["text", "markdown"]), default="text", show_default=True)
def schema(name: str | None, output: str) -> None:
    """Print the JSON Schema of a document that a command prints as JSON; without NAME, list them."""
    from argosy.cli.documents import DOCUMENTS, schema_of
    from argosy.local.runs.record import pick

    if name:
        click.echo(json.dumps(schema_of(pick(name, list(DOCUMENTS), "document")), indent=2))
    elif output == "markdown":
        click.echo("\n".join([_HEAD, *_sections()]))
    else:
        width = max(map(len, DOCUMENTS))
        for one, (printed_by, found) in DOCUMENTS.items():
            click.echo(f"{one:<{width}}  {found['description']}: {printed_by}")


def _sections() -> Iterator[str]:
    from argosy.cli.documents import DOCUMENTS, schema_of

    shared: dict[str, Any] = {}
    for name, (printed_by, _) in DOCUMENTS.items():
        found = schema_of(name)
        shared |= found.get("$defs", {})
        yield f"## {name}\n\n`{printed_by}`: {found['description']}.\n"
        yield from _table(found)
    for name, found in shared.items():
        if name not in DOCUMENTS:
            yield f"## {name}, in the documents above\n\n{found['description'].capitalize()}.\n"
            yield from _table(found)


def _table(schema: Mapping[str, Any]) -> Iterator[str]:
    """The fields of an object, or of the objects of a list."""
    if "items" in schema and "$ref" in schema["items"]:
        yield f"A list of `{_type(schema['items'])}`, as in the section of that name.\n"
        return
    if "items" in schema:
        yield "A list, each with these fields:\n"
    yield "| field | type | value |\n| --- | --- | --- |"
    yield from _rows("", schema.get("items", schema))
    yield ""


def _rows(prefix: str, schema: Mapping[str, Any]) -> Iterator[str]:
    for name, field in schema["properties"].items():
        optional = "" if name in schema["required"] else "optional; "
        told = field.get("description", "as in the section of that name below").replace("|", "\\|")
        values = f": {', '.join(field['enum'])}" if "enum" in field else ""
        yield f"| `{prefix}{name}` | {_type(field)} | {optional}{told}{values} |"
        inside = field.get("items", field)
        if "properties" in inside:
            yield from _rows(f"{prefix}{name}{'[]' if 'items' in field else ''}.", inside)


def _type(field: Mapping[str, Any]) -> str:
    """The type of a field in a word or two."""
    from argosy.cli.documents import ANY_TYPE

    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if field["type"] == ANY_TYPE:
        return "any"
    kinds = field["type"] if isinstance(field["type"], list) else [field["type"]]
    text = " or ".join(kinds)
    if "items" in field:
        return f"{text} of {_type(field['items'])}"
    if "additionalProperties" in field:
        return f"{text} of {_type(field['additionalProperties'])}"
    return text
