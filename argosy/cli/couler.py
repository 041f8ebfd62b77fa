"""`couler`: the command that Couler does not come with."""

import sys

import click

from argosy import __version__
from argosy.cli.cluster import watch_to_the_end
from argosy.cli.main import OwnErrors
from argosy.cli.parameters import (
    cluster_options,
    environment_option,
    parameter_option,
    read_parameters,
    settings_beside,
)


class _Group(OwnErrors):
    program = "couler"


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="couler (argosy)")
def main() -> None:
    """Submit Couler programs to Argo Workflows."""


@main.command()
@click.argument("file", metavar="FILE.py[:FUNCTION]", callback=settings_beside)
@cluster_options
@parameter_option
@click.option("--watch", is_flag=True, help="Show the workflow until its end; exit 0 only if it Succeeded.")
@environment_option
@click.option("--dry-run", is_flag=True, help="Print the YAML; nothing is sent, no cluster is needed.")
def run(
    file: str, assignments: tuple[str, ...], watch: bool, dry_run: bool, **destination: str | None
) -> None:
    """Run a Couler program and submit what it composes.

    FILE.py holds a function under @pipeline, or composes by itself, with or without couler.run.
    """
    from argosy.cli.submission import Submission, submit_source
    from argosy.cluster.destination import Destination
    from argosy.errors import UsageError

    if not file.partition(":")[0].endswith(".py"):
        raise UsageError(f"'{file}' is no Couler program; it must end in .py")
    if watch and dry_run:
        raise UsageError("--dry-run submits nothing that --watch could show")
    given = read_parameters(assignments, None)
    submission = Submission(Destination(**destination), dry_run)  # type: ignore[arg-type]
    submit_source(file, None, given, submission)
    if watch:
        sys.exit(watch_to_the_end(submission))


if __name__ == "__main__":
    main()
