"""`argosy graph`: a pipeline, drawn from its compiled manifest."""

from pathlib import Path
from typing import Any

import click

from argosy.catalogue.mermaid import to_mermaid
from argosy.catalogue.read import read_drawing
from argosy.catalogue.svg import to_svg
from argosy.cli.compile import compiled
from argosy.errors import UsageError
from argosy.loader import is_manifest, load_manifest, load_pipeline


@click.command()
@click.argument("target", metavar="PIPELINE|FILE.py[:FUNCTION]|FILE.yaml")
@click.option(
    "--format", "form", type=click.Choice(["mermaid", "svg"]), help="By default Mermaid; svg for -o FILE.svg."
)
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write FILE, not standard output."
)
def graph(target: str, form: str | None, output: Path | None) -> None:
    """Draw a pipeline, as Mermaid or as SVG.

    What is drawn is the compiled manifest: tasks, what they wait for, conditions, loops, nested templates
    and the exit handler. Edges that others imply are left out.
    """
    drawing = read_drawing(_manifest(target))
    form = form or ("svg" if output and output.suffix == ".svg" else "mermaid")
    text = to_svg(drawing) if form == "svg" else to_mermaid(drawing)
    write_text(text, output)


def _manifest(target: str) -> dict[str, Any]:
    return load_manifest(Path(target)) if is_manifest(target) else compiled(load_pipeline(target))


def write_text(text: str, output: Path | None) -> None:
    """To the file, or to standard output.

    Raises:
        UsageError: the file cannot be written.
    """
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot write '{output}': {error.strerror}") from None
