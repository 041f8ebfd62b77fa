"""`argosy compile`: pipelines to Argo YAML."""

import difflib
import json
from pathlib import Path
from typing import Any, get_args

import click

from argosy.cli.github import annotation
from argosy.compiler import Kind, compile
from argosy.emit import to_yaml
from argosy.errors import ArgosyError, UsageError
from argosy.loader import built_in_names, explain, load_pipeline
from argosy.pipeline import Pipeline
from argosy.settings import Settings
from argosy.validity import refuse_invalid, refuse_too_large

DEFAULT_DIR = Path("pipelines/compiled")
COMMITTED: tuple[Kind, ...] = ("Workflow", "WorkflowTemplate")
SUFFIXES: dict[str, str] = {
    "Workflow": ".yaml",
    "WorkflowTemplate": ".template.yaml",
    "ClusterWorkflowTemplate": ".clustertemplate.yaml",
    "CronWorkflow": ".cron.yaml",
}


def compiled(pipeline: Pipeline[Any, Any], kind: Kind = "Workflow") -> dict[str, Any]:
    """The manifest; an error in the user's own program becomes one line with its place."""
    try:
        manifest = compile(pipeline, kind, Settings.find())
    except ArgosyError:
        raise
    except Exception as error:
        raise UsageError(explain(error)) from error
    name = pipeline.interface.name
    refuse_too_large(len(json.dumps(manifest, separators=(",", ":")).encode()), f"{name}: the manifest")
    refuse_invalid(manifest, name)
    return manifest


@click.command("compile")
@click.argument("pipelines", nargs=-1, metavar="[PIPELINE|FILE.py[:FUNCTION]]...")
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="Write into DIR.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(get_args(Kind)),
    help="May be given more than once. Default: Workflow; into a folder, WorkflowTemplate as well.",
)
@click.option("--check", is_flag=True, help="Write nothing; fail if a file in DIR is not what is compiled.")
@click.option(
    "--format",
    "report",
    type=click.Choice(["text", "github"]),
    default="text",
    help="How --check and errors are reported; github annotates the line.",
)
def compile_command(
    pipelines: tuple[str, ...], output: Path | None, kinds: tuple[Kind, ...], check: bool, report: str
) -> None:
    """Compile pipelines to Argo YAML; without a name, all that come with Argosy.

    Without -o the YAML goes to standard output. --check looks into pipelines/compiled unless -o says
    otherwise, and exits with 1 on any difference.
    """
    try:
        _compile(pipelines, output, kinds, check, report)
    except ArgosyError as error:
        if report == "github":
            click.echo(annotation(str(error)))
        raise


def _compile(
    pipelines: tuple[str, ...], output: Path | None, kinds: tuple[Kind, ...], check: bool, report: str
) -> None:
    folder = output or (DEFAULT_DIR if check else None)
    wanted = kinds or (COMMITTED if folder else ("Workflow",))
    loaded = [load_pipeline(name) for name in pipelines or built_in_names()]
    texts = {p.interface.name + SUFFIXES[kind]: to_yaml(compiled(p, kind)) for p in loaded for kind in wanted}
    if folder is None:
        click.echo("---\n".join(texts.values()), nl=False)
    elif check:
        _check(folder, texts, report)
    else:
        _write(folder, texts)


def _write(folder: Path, texts: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        path = folder / name
        same = path.is_file() and path.read_text(encoding="utf-8") == text
        if not same:
            beside = path.with_name(name + ".part")
            beside.write_text(text, encoding="utf-8")
            beside.replace(path)
        click.echo(f"{path}: {'unchanged' if same else 'written'}", err=True)


def _check(folder: Path, texts: dict[str, str], report: str) -> None:
    differing = 0
    for name, text in texts.items():
        path = folder / name
        committed = path.read_text(encoding="utf-8") if path.is_file() else ""
        if committed == text:
            continue
        differing += 1
        before, after = committed.splitlines(keepends=True), text.splitlines(keepends=True)
        if report == "github":
            line = next(
                (n for n, pair in enumerate(zip(before, after, strict=False), 1) if pair[0] != pair[1]), 1
            )
            click.echo(annotation("not what the pipeline compiles to", file=str(path), line=line))
        else:
            click.echo("".join(difflib.unified_diff(before, after, str(path), "compiled")), nl=False)
    if differing:
        names = f"{differing} of {len(texts)} files in '{folder}'"
        raise click.ClickException(
            f"{names} are not what the pipelines compile to; run 'argosy compile -o {folder}'"
        )
    click.echo(f"{len(texts)} files in '{folder}' are up to date", err=True)
