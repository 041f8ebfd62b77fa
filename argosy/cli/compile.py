"""`argosy compile`: pipelines to Argo YAML."""

import difflib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import click

from argosy.cli.completion import pipelines as complete
from argosy.cli.parameters import (
    STANDARD_OUTPUT,
    environment_option,
    memoize_option,
    parameter_file_option,
    parameter_option,
    read_parameters,
    settings_beside,
)
from argosy.code.bundle.attach import SUFFIX as CODE_SUFFIX
from argosy.code.bundle.attach import attach, described_code, holds_code, same_code
from argosy.compose.compiler import Kind, compile, place_of
from argosy.compose.given import check_for_cluster, fitting, with_parameters
from argosy.compose.loader import built_in_names, explain, is_manifest, load_manifest, load_pipeline
from argosy.compose.settings import IMAGES, Settings
from argosy.declare.pipeline import Pipeline
from argosy.declare.signature import where
from argosy.errors import ArgosyError, ManifestError, UsageError
from argosy.lint.engine import InvalidManifest, refuse_invalid, refuse_too_large
from argosy.manifest.code import FILE as ZIP
from argosy.manifest.emit import to_yaml
from argosy.step.files import write_text

DEFAULT_DIR = Path("pipelines/compiled")
COMMITTED: tuple[Kind, ...] = ("Workflow", "WorkflowTemplate")
SUFFIXES: dict[str, str] = {
    "Workflow": ".yaml",
    "WorkflowTemplate": ".template.yaml",
    "ClusterWorkflowTemplate": ".clustertemplate.yaml",
    "CronWorkflow": ".cron.yaml",
}
_OF_MANIFESTS = (".yaml", ".yml", ".json")
_MESSAGE_WITH_PLACE = re.compile(r"(?P<file>[^\s:][^:]*):(?P<line>\d+): (?P<text>.*)", re.S)


@dataclass(frozen=True)
class _Wanted:
    """The command line's demands on the manifests: values of parameters, the cluster's cache."""

    given: Mapping[str, str]
    memoize: bool


def composed(pipeline: Pipeline[Any, Any], kind: Kind = "Workflow") -> dict[str, Any]:
    """The manifest as it comes; an error in the user's own program becomes one line with its place."""
    try:
        return compile(pipeline, kind, Settings.find())
    except ArgosyError:
        raise
    except Exception as error:
        raise UsageError(explain(error)) from error


def compiled(pipeline: Pipeline[Any, Any], kind: Kind = "Workflow") -> dict[str, Any]:
    """The manifest, which is valid and not too large."""
    manifest = composed(pipeline, kind)
    name = pipeline.interface.name
    refuse_too_large(len(json.dumps(manifest, separators=(",", ":")).encode()), f"{name}: the manifest")
    with placed_in(pipeline, manifest):
        refuse_invalid(manifest, name)
    return manifest


@contextmanager
def placed_in(pipeline: Pipeline[Any, Any], manifest: dict[str, Any]) -> Iterator[None]:
    """The linter's error in a compiled manifest gets the line of the program that it comes from."""
    try:
        yield
    except InvalidManifest as error:
        raise ManifestError(f"{place_of(pipeline, manifest, error.path)}: {error}") from None


def with_images(manifest: dict[str, Any], folders: Iterable[str] = ()) -> dict[str, Any]:
    """The manifest with the images that `argosy build` made for its steps, if it made any."""
    settings = Settings.find()
    if not (settings.folder / IMAGES).is_file():
        return manifest
    from argosy.code.images import recipe

    return recipe.with_images(manifest, settings, folders)


def with_memoize(
    manifest: dict[str, Any], folders: Iterable[str] = ()
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The manifest whose declared steps the cluster remembers, and a note for each that it cannot."""
    from argosy.cluster.memoize import memoized

    found = memoized(manifest, folders)
    refuse_invalid(
        found.manifest, str(manifest["metadata"].get("name") or manifest["metadata"]["generateName"])
    )
    return found.manifest, found.notes


def manifest_of(target: str) -> dict[str, Any]:
    """The manifest of a pipeline's name, a Python file or a manifest file, in the chosen environment."""
    if is_manifest(target):
        return Settings.find().around_file(load_manifest(Path(target)))
    return compiled(load_pipeline(target))


def _folder(_: click.Context, __: click.Parameter, value: str | None) -> Path | None:
    """The folder of `-o DIR`; none for `-o -`.

    Raises:
        UsageError: it is a file, or named as one: several files are written.
    """
    folder = Path(value) if value is not None else None
    if folder is None or folder == STANDARD_OUTPUT:
        return None
    if not folder.is_dir() and (folder.exists() or folder.suffix in _OF_MANIFESTS):
        raise UsageError(
            f"-o '{folder}' is a file, and -o names the folder of several: "
            f"'-o {folder.parent}' writes NAME.yaml and what belongs to it there"
        )
    return folder


@click.command("compile")
@click.argument(
    "pipelines",
    nargs=-1,
    metavar="[PIPELINE|FILE.py[:FUNCTION]]...",
    shell_complete=complete,
    callback=settings_beside,
)
@click.option("-o", "--output", metavar="DIR", callback=_folder, help="Write into DIR.")
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    type=click.Choice(get_args(Kind)),
    help="May be given more than once. Default: Workflow; into a folder, WorkflowTemplate as well.",
)
@parameter_option
@parameter_file_option
@environment_option
@memoize_option
@click.option("--check", is_flag=True, help="Write nothing; fail if a file in DIR is not what is compiled.")
@click.option(
    "--format",
    "report",
    type=click.Choice(["text", "github"]),
    default="text",
    help="How --check and errors are reported; github annotates the line.",
)
def compile_command(
    pipelines: tuple[str, ...],
    output: Path | None,
    kinds: tuple[Kind, ...],
    assignments: tuple[str, ...],
    parameter_file: Path | None,
    memoize: bool,
    check: bool,
    report: str,
) -> None:
    """Compile pipelines to Argo YAML.

    Without a name, all that come with Argosy.

    -p and -f change the values that the YAML holds for the workflow's parameters.

    Without -o the YAML goes to standard output. --check looks into pipelines/compiled unless -o says
    otherwise, and exits with 1 on any difference.
    """
    try:
        given = read_parameters(assignments, parameter_file)
        _compile(pipelines, output, kinds, _Wanted(given, memoize), check, report)
    except ArgosyError as error:
        if report == "github":
            click.echo(_annotation(str(error)))
        raise


def _compile(
    pipelines: tuple[str, ...],
    output: Path | None,
    kinds: tuple[Kind, ...],
    asked: _Wanted,
    check: bool,
    report: str,
) -> None:
    folder = output or (DEFAULT_DIR if check else None)
    wanted = kinds or (COMMITTED if folder else ("Workflow",))
    loaded = [load_pipeline(name) for name in pipelines or built_in_names()]
    texts = _texts(loaded, wanted, asked, beside=folder is not None, frozen=check)
    if folder is None:
        click.echo("---\n".join(texts.values()), nl=False)
        return
    codes = {folder / f"{pipeline.interface.name}{CODE_SUFFIX}" for pipeline in loaded}
    unused = sorted(path for path in codes if path.name not in texts and holds_code(path))
    if check:
        _check(folder, texts, unused, report)
    else:
        _write(folder, texts, unused)


def _valued(pipeline: Pipeline[Any, Any], kind: Kind, given: Mapping[str, str]) -> dict[str, Any]:
    """The manifest with the user's values, complete if Argo takes it only so."""
    manifest = compiled(pipeline, kind)
    if given:
        check_for_cluster(given)
        given = fitting(pipeline.interface, given)
        manifest = with_parameters(manifest, given, complete=False)
    missing = next((p for p in pipeline.interface.inputs if p.required and p.argo_name not in given), None)
    if missing is not None and kind in ("Workflow", "CronWorkflow"):
        name = missing.argo_name
        raise UsageError(
            f"{where(pipeline.function)}: a {kind} has a value for each parameter, and '{name}' has no "
            f"default: give it one, add -p {name}=VALUE, or compile with --kind WorkflowTemplate"
        )
    return manifest


def _texts(
    loaded: list[Pipeline[Any, Any]],
    kinds: Sequence[Kind],
    asked: _Wanted,
    *,
    beside: bool,
    frozen: bool,
) -> dict[str, str]:
    """The YAML by the names of the files; the code of the steps in a file of its own, if it is wanted."""
    texts: dict[str, str] = {}
    codes: dict[str, dict[str, Any]] = {}
    notes: dict[str, None] = {}
    for pipeline in loaded:
        name = pipeline.interface.name
        for kind in kinds:
            manifest = with_images(_valued(pipeline, kind, asked.given))
            if asked.memoize:
                manifest, hindrances = with_memoize(manifest)
                notes |= dict.fromkeys(hindrances)
            attached = attach(manifest, Settings.find(), packages="frozen" if frozen else "locked")
            texts[name + SUFFIXES[kind]] = to_yaml(attached.manifest)
            notes |= dict.fromkeys(attached.notes)
            if code := attached.config_map:
                codes[name + CODE_SUFFIX] = code
    for note in notes:
        click.echo(f"warning: {note}", err=True)
    if beside:
        return texts | {name: to_yaml(code) for name, code in codes.items()}
    for code in codes.values():
        click.echo(f"{described_code(code)} goes with it: -o DIR writes it, argosy submit sends it", err=True)
    return texts


def _write(folder: Path, texts: dict[str, str], unused: Sequence[Path]) -> None:
    for name, text in texts.items():
        path = folder / name
        same = path.is_file() and path.read_text(encoding="utf-8") == text
        if not same:
            write_text(path, text)
        click.echo(f"{path}: {'unchanged' if same else 'written'}", err=True)
    for path in unused:
        path.unlink()
        click.echo(f"{path}: removed, no step needs it any more", err=True)


def _shown(text: str) -> list[str]:
    """The lines of a file for a difference, without the zip that one of code holds."""
    return [line for line in text.splitlines(keepends=True) if not line.startswith(f"  {ZIP}: ")]


def _check(folder: Path, texts: dict[str, str], unused: Sequence[Path], report: str) -> None:
    differing = len(unused)
    for path in unused:
        said = "no step needs this code any more"
        click.echo(_annotation(said, file=str(path)) if report == "github" else f"{path}: {said}")
    for name, text in texts.items():
        path = folder / name
        committed = path.read_text(encoding="utf-8") if path.is_file() else ""
        if committed == text or (name.endswith(CODE_SUFFIX) and same_code(committed, text)):
            continue
        differing += 1
        before, after = _shown(committed), _shown(text)
        if report == "github":
            line = next(
                (n for n, pair in enumerate(zip(before, after, strict=False), 1) if pair[0] != pair[1]), 1
            )
            click.echo(_annotation("not what the pipeline compiles to", file=str(path), line=line))
        else:
            click.echo("".join(difflib.unified_diff(before, after, str(path), "compiled")), nl=False)
    if differing:
        names = f"{differing} of {len(texts) + len(unused)} files in '{folder}'"
        raise click.ClickException(
            f"{names} are not what the pipelines compile to; run 'argosy compile -o {folder}'"
        )
    click.echo(f"{len(texts)} files in '{folder}' are up to date", err=True)


def _escaped_for_github(text: str) -> str:
    # https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _annotation(message: str, *, file: str | None = None, line: int | None = None) -> str:
    """`::error` for a message; a message that begins with `file:line:` is put there."""
    placed = _MESSAGE_WITH_PLACE.fullmatch(message)
    if placed and file is None:
        file, line, message = placed["file"], int(placed["line"]), placed["text"]
    place = ",".join(
        f"{k}={_escaped_for_github(str(v))}" for k, v in (("file", file), ("line", line)) if v is not None
    )
    return f"::error {place}{',' if place else ''}title=argosy::{_escaped_for_github(message)}"
