"""`argosy lint`: Argo manifests, checked with no cluster and no binary."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from argosy.cli.completion import sources as complete
from argosy.cli.parameters import environment_option, settings_beside
from argosy.code.bundle.attach import attach, images_with_code
from argosy.compose.settings import Settings
from argosy.errors import UsageError
from argosy.lint.engine import STDIN, Options, lint_sources, load
from argosy.lint.fix import fix_files
from argosy.lint.registry import rules
from argosy.lint.report import FORMATS
from argosy.manifest.reading import Document, Source, from_object, read, unlisted
from argosy.manifest.tree import Map, Mark, Seq

if TYPE_CHECKING:
    from argosy.compose.compiler import Kind

Overlaid = Callable[[dict[str, Any]], dict[str, Any]]


def _codes(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(code.strip().upper() for value in values for code in value.split(",") if code.strip())


@click.command("lint")
@click.argument(
    "paths",
    nargs=-1,
    metavar="[FILE|FOLDER|FILE.py[:FUNCTION]|-]...",
    shell_complete=complete,
    callback=settings_beside,
)
@click.option("--format", "style", type=click.Choice(list(FORMATS)), default="text", show_default=True)
@click.option(
    "--select", multiple=True, metavar="CODES", help="Only these rules: ARG301, or ARG3 for a family."
)
@click.option("--ignore", multiple=True, metavar="CODES", help="Not these rules.")
@click.option("--strict", "--error-on-warning", is_flag=True, help="Warnings are errors.")
@click.option("--quiet", is_flag=True, help="Show errors only.")
@click.option("--fix", is_flag=True, help="First rewrite what can be rewritten safely, in place.")
@environment_option
@click.option("--list", "list_rules", is_flag=True, help="Show all rules and stop.")
@click.option("--explain", metavar="CODE", help="Show a rule's page and stop.")
def lint(
    paths: tuple[str, ...],
    style: str,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    strict: bool,
    quiet: bool,
    fix: bool,
    list_rules: bool,
    explain: str | None,
) -> None:
    """Check manifests of Argo, and what Python files compile to.

    Workflows, WorkflowTemplates, ClusterWorkflowTemplates and CronWorkflows are looked at.

    References are resolved over all files given; of a folder, every .yaml, .yml and .json below it. Of a
    Python file, what its pipelines compile to, with findings on the line of the pipeline. A comment
    `# argosy: ignore[ARG701]` silences a finding on its line.

    Exit code 0: no errors; 1: errors; 2: the arguments cannot be used.
    """
    if list_rules or explain:
        click.echo(_page(explain) if explain else _table())
        return
    if not paths:
        raise UsageError("name a file or a folder to lint, or '-' for standard input")
    options = Options(_codes(select), _codes(ignore), strict, images_with_code(Settings.find()))
    sources = _sources(paths)
    if fix:
        files = load(_files(paths))
        for file, count in fix_files(files).items():
            click.echo(f"{file}: {count} edits", err=True)
        sources = load(_files(paths)) + sources[len(files) :]
    violations = [v for v in lint_sources(_in_environment(sources), options) if v.is_error or not quiet]
    shown = FORMATS[style](violations)
    if shown:
        click.echo(shown)
    sys.exit(1 if any(v.is_error for v in violations) else 0)


def _sources(paths: tuple[str, ...]) -> list[Source]:
    """Files first, then what Python files compile to, then standard input."""
    sources = load(_files(paths))
    sources += [_compiled(path) for path in paths if _is_program(path)]
    if STDIN in paths:
        sources.append(unlisted(read("<stdin>", sys.stdin.buffer.read())))
    return sources


def _is_program(path: str) -> bool:
    return path.partition(":")[0].endswith(".py")


def _files(paths: tuple[str, ...]) -> list[str]:
    return [path for path in paths if path != STDIN and not _is_program(path)]


def _compiled(target: str) -> Source:
    """The manifests of a file's pipelines, each at the line where its pipeline is declared."""
    from argosy.cli.compile import composed
    from argosy.compose.loader import load_pipelines
    from argosy.declare.signature import where

    file = target.partition(":")[0]
    documents: list[Document] = []
    for pipeline in load_pipelines(target):
        complete = not any(port.required for port in pipeline.interface.inputs)
        kinds: list[Kind] = ["Workflow" if complete else "WorkflowTemplate"]
        kinds += ["CronWorkflow"] if pipeline.spec.schedule is not None and complete else []
        line = int(where(pipeline.function).rpartition(":")[2])
        for kind in kinds:
            attached = attach(composed(pipeline, kind), Settings.find(), packages="as they are")
            documents += from_object(attached.manifest, file, line).documents
    return Source(file, documents, Path(file).read_text(encoding="utf-8"))


def _in_environment(sources: list[Source]) -> list[Source]:
    """The files as the chosen environment makes them; programs were compiled in it."""
    settings = Settings.find()
    if settings.environment is None:
        return sources
    return [s if _is_program(s.file) else _overlaid(s, settings.over_file) for s in sources]


def _overlaid(source: Source, over: Overlaid) -> Source:
    """The file with `over` applied to each manifest of Argo's in it; findings stay at their lines."""
    return replace(source, documents=[_overlaid_document(d, over) for d in source.documents])


def _overlaid_document(document: Document, over: Overlaid) -> Document:
    if not document.is_argo:
        return document
    manifest = over(document.root)
    return (
        document if manifest is document.root else replace(document, root=_remarked(manifest, document.root))
    )


def _remarked(value: Any, written: Any, mark: Mark = (1, 1)) -> Any:
    """`value` as a tree with the places of `written`; what is not there has those of what it is in."""
    mark = getattr(written, "mark", mark)
    if isinstance(value, dict):
        mapping = Map(mark)
        for key, item in value.items():
            known = isinstance(written, Map) and key in written.marks
            here = written.marks[key] if known else mark
            there = written.value_marks[key] if known else mark
            before = written[key] if known else None
            mapping.put(key, _remarked(item, before, here), here, there, _as_written(written, key, item))
        return mapping
    if isinstance(value, list):
        sequence = Seq(mark)
        for number, item in enumerate(value):
            found = _same(item, number, written)
            here = written.marks[found] if found is not None else mark
            before = written[found] if found is not None else None
            sequence.put(_remarked(item, before, here), here, _as_written(written, found, item))
        return sequence
    return value


def _as_written(written: Any, key: Any, value: Any) -> str | None:
    """How a number or a boolean was written, if it is still the one that was there."""
    text: str | None = getattr(written, "written", {}).get(key)
    return text if text is not None and written[key] is value else None


def _same(item: Any, number: int, written: Any) -> int | None:
    """Which entry of a list was `item`: the one of its name, or at its place if it has none."""
    if not isinstance(written, Seq):
        return None
    name = item.get("name") if isinstance(item, dict) else None
    if name is None:
        return number if number < len(written) else None
    names = [e.get("name") if isinstance(e, dict) else None for e in written]
    return names.index(name) if name in names else None


def _page(code: str) -> str:
    found = rules().get(code.upper())
    if found is None:
        raise UsageError(f"there is no rule '{code}'; 'argosy lint --list' shows them")
    return f"{found.code} {found.name} ({found.severity})\n\n{found.doc}"


def _table() -> str:
    return "\n".join(f"{r.code} {r.severity!s:8} {r.name:28} {r.summary}" for r in rules().values())
