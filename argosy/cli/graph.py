"""`argosy graph`: a pipeline, drawn from its compiled manifest."""

from pathlib import Path

import click

from argosy.catalogue.graph import read_drawing
from argosy.catalogue.mermaid import to_mermaid
from argosy.catalogue.svg import to_svg
from argosy.cli.compile import manifest_of
from argosy.cli.completion import targets
from argosy.cli.parameters import environment_option, output_file_option, settings_beside
from argosy.errors import UsageError


@click.command()
@click.argument(
    "target",
    metavar="PIPELINE|FILE.py[:FUNCTION]|FILE.yaml",
    shell_complete=targets,
    callback=settings_beside,
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["mermaid", "svg", "png"]),
    help="By default what FILE's name ends with (.mmd, .svg, .png), else Mermaid.",
)
@environment_option
@output_file_option
def graph(target: str, form: str | None, output: Path | None) -> None:
    """Draw a pipeline, as Mermaid, SVG or PNG.

    The drawing shows the compiled manifest: tasks and their order, conditions, loops, nested templates and
    the exit handler. Edges that others imply are left out.
    """
    form = form or _form_of(output)
    if form == "png" and output is None:
        raise UsageError("a PNG is no text: name its file with -o FILE.png")
    drawing = read_drawing(manifest_of(target))
    if form == "png":
        from argosy.catalogue.svg import to_png

        write(to_png(to_svg(drawing)), output)
    else:
        write_text(to_svg(drawing) if form == "svg" else to_mermaid(drawing), output)


_FORMS = {".mmd": "mermaid", ".mermaid": "mermaid", ".svg": "svg", ".png": "png"}


def _form_of(output: Path | None) -> str:
    suffix = output.suffix.lower() if output else ""
    if suffix and suffix not in _FORMS:
        raise UsageError(f"'{output}' ends with none of {', '.join(_FORMS)}; say which with --format")
    return _FORMS.get(suffix, "mermaid")


def write_text(text: str, output: Path | None) -> None:
    """To the file, or to standard output.

    Raises:
        UsageError: the file cannot be written.
    """
    if output is None:
        click.echo(text, nl=False)
    else:
        write(text.encode(), output)


def write(content: bytes, output: Path | None) -> None:
    """To the file; raises as `write_text`."""
    assert output is not None
    try:
        output.write_bytes(content)
    except OSError as error:
        raise UsageError(f"cannot write '{output}': {error.strerror}") from None
