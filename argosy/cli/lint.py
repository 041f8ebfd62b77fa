"""`argosy lint`: Argo manifests, checked with no cluster and no binary."""

import sys

import click

from argosy.errors import UsageError
from argosy.lint.document import Source, read
from argosy.lint.engine import STDIN, Options, lint_sources, load
from argosy.lint.fix import fix_files
from argosy.lint.registry import rules
from argosy.lint.report import FORMATS


def _codes(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(code.strip().upper() for value in values for code in value.split(",") if code.strip())


@click.command("lint")
@click.argument("paths", nargs=-1, metavar="[FILE|FOLDER|-]...")
@click.option("--format", "style", type=click.Choice(list(FORMATS)), default="text", show_default=True)
@click.option(
    "--select", multiple=True, metavar="CODES", help="Only these rules: ARG301, or ARG3 for a family."
)
@click.option("--ignore", multiple=True, metavar="CODES", help="Not these rules.")
@click.option("--strict", "--error-on-warning", is_flag=True, help="Warnings are errors.")
@click.option("--quiet", is_flag=True, help="Show errors only.")
@click.option("--fix", is_flag=True, help="First rewrite what can be rewritten safely, in place.")
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
    """Check Workflows, WorkflowTemplates, ClusterWorkflowTemplates and CronWorkflows.

    References are resolved over all files given; of a folder, every .yaml, .yml and .json below it. A comment
    `# argosy: ignore[ARG701]` silences a finding on its line.

    Exit code 0: no errors; 1: errors; 2: the arguments cannot be used.
    """
    if list_rules or explain:
        click.echo(_page(explain) if explain else _table())
        return
    if not paths:
        raise UsageError("name a file or a folder to lint, or '-' for standard input")
    options = Options(_codes(select), _codes(ignore), strict)
    sources = _sources(paths)
    if fix:
        for file, count in fix_files(s for s in sources if s.file != "<stdin>").items():
            click.echo(f"{file}: {count} edits", err=True)
        sources = load([p for p in paths if p != STDIN]) + [s for s in sources if s.file == "<stdin>"]
    violations = [v for v in lint_sources(sources, options) if v.is_error or not quiet]
    shown = FORMATS[style](violations)
    if shown:
        click.echo(shown)
    sys.exit(1 if any(v.is_error for v in violations) else 0)


def _sources(paths: tuple[str, ...]) -> list[Source]:
    sources = load([p for p in paths if p != STDIN])
    if STDIN in paths:
        sources.append(read("<stdin>", sys.stdin.buffer.read()))
    return sources


def _page(code: str) -> str:
    found = rules().get(code.upper())
    if found is None:
        raise UsageError(f"there is no rule '{code}'; 'argosy lint --list' shows them")
    return f"{found.code} {found.name} ({found.severity})\n\n{found.doc}"


def _table() -> str:
    return "\n".join(f"{r.code} {r.severity!s:8} {r.name:28} {r.summary}" for r in rules().values())


__all__ = ["lint"]
