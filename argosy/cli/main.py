"""`argosy`: the command line."""

import errno
import importlib
import re
import sys
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO, cast

import click
from click.shell_completion import CompletionItem

from argosy import __version__
from argosy.errors import ArgosyError, UsageError
from argosy.text import nearest

if TYPE_CHECKING:
    from argosy.cli.parameters import OfEither

# Each command lives in a module of its own, loaded when it is asked for: `argosy --help` stays instant.
COMMANDS = {
    "compile": ("argosy.cli.compile", "compile_command"),
    "lint": ("argosy.cli.lint", "lint"),
    "run": ("argosy.cli.run", "run"),
    "open": ("argosy.cli.open", "open_command"),
    "compare": ("argosy.cli.runs", "compare"),
    "attach": ("argosy.cli.attach", "attach"),
    "rerun": ("argosy.cli.run", "rerun"),
    "submit": ("argosy.cli.submit", "submit"),
    "runs": ("argosy.cli.runs", "runs"),
    "show": ("argosy.cli.runs", "show"),
    "logs": ("argosy.cli.runs", "logs"),
    "schema": ("argosy.cli.schema", "schema"),
    "get": ("argosy.cli.cluster", "get"),
    "stop": ("argosy.cli.cluster", "stop"),
    "retry": ("argosy.cli.cluster", "retry"),
    "resume": ("argosy.cli.cluster", "resume"),
    "prune-code": ("argosy.cli.cluster", "prune_code"),
    "components": ("argosy.cli.components", "components"),
    "graph": ("argosy.cli.graph", "graph"),
    "build": ("argosy.cli.build", "build"),
    "env": ("argosy.cli.environment", "env"),
    "export": ("argosy.cli.export", "export"),
    "up": ("argosy.cli.stack", "up"),
    "down": ("argosy.cli.stack", "down"),
    "status": ("argosy.cli.stack", "status"),
    "completion": ("argosy.cli.completion", "completion"),
}

SECTIONS = {
    "Pipelines": ("compile", "lint", "graph", "run", "submit", "build", "env"),
    "Runs": ("runs", "show", "logs", "open", "compare", "rerun", "attach"),
    "Workflows of a cluster (show, logs and open take them, too)": (
        "get",
        "stop",
        "retry",
        "resume",
        "prune-code",
    ),
    "Components": ("components", "export"),
    "Servers on this machine": ("up", "down", "status"),
    "This command line": ("completion", "schema"),
}
"""The commands as `argosy --help` lists them."""

# The same verb for a workflow of a cluster, whose name has a slash: NAMESPACE/WORKFLOW.
OF_A_CLUSTER = {
    "show": ("argosy.cli.cluster", "show"),
    "logs": ("argosy.cli.cluster", "logs"),
    "open": ("argosy.cli.cluster", "open_command"),
}


# Click's words for `argosy run train.py epochs=3`.
_ASSIGNMENT = re.compile(r"Got unexpected extra arguments? \(([\w.-]+=[^)\s]*)")


class OwnErrors(click.Group):
    """Commands whose errors are one line, and their exit codes."""

    program = "argosy"

    def invoke(self, ctx: click.Context) -> Any:
        """Run; an error of ours is one line and its exit code."""
        try:
            return super().invoke(ctx)
        except ArgosyError as error:
            click.echo(f"{self.program}: {error}", err=True)
            sys.exit(error.exit_code)
        except click.UsageError as error:
            assignment = _ASSIGNMENT.search(error.message)
            if assignment is None:
                raise
            hint = f"; a parameter is given as -p {assignment[1]}"
            raise click.UsageError(error.message + hint, error.ctx) from None
        except OSError as error:
            if error.errno in NOT_OURS and error.filename:
                click.echo(f"{self.program}: {error.filename}: {error.strerror}", err=True)
                sys.exit(UsageError.exit_code)
            if error.errno not in FULL:
                raise
            for stream in (sys.stdout, sys.stderr):
                _empty(stream)
            where = f": {error.filename}" if error.filename else ""
            click.echo(f"{self.program}: nothing more can be written{where}: {error.strerror}", err=True)
            sys.exit(1)
        except UnicodeEncodeError as error:
            if error.encoding in ("utf-8", "idna"):
                raise
            click.echo(
                f"{self.program}: the output has {error.object[error.start]!a}, which its encoding "
                f"{error.encoding} cannot write; set PYTHONIOENCODING=utf-8",
                err=True,
            )
            sys.exit(UsageError.exit_code)
        except ModuleNotFoundError as error:
            mistake = couler_missing(error)
            if mistake is None:
                raise
            click.echo(f"{self.program}: {mistake}", err=True)
            sys.exit(mistake.exit_code)


class LazyGroup(OwnErrors):
    """A group that imports a command's module on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of `COMMANDS`."""
        return list(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The names by what they are about, each with its first sentence."""
        longest = max(map(len, COMMANDS))
        for title, names in SECTIONS.items():
            commands = [(name, self.get_command(ctx, name)) for name in names]
            limit = formatter.width - 6 - longest
            rows = [(n.ljust(longest), c.get_short_help_str(limit)) for n, c in commands if c is not None]
            with formatter.section(title):
                formatter.write_dl(rows)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        command = _imported(COMMANDS[cmd_name])
        if cmd_name in OF_A_CLUSTER:
            cast("OfEither", command).namesake = partial(_imported, OF_A_CLUSTER[cmd_name])
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the first word; the cluster's, where the word after it has a slash."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"No such command '{args[0]}'{nearest(args[0], COMMANDS)}")
        name, command, rest = super().resolve_command(ctx, args)
        if name in OF_A_CLUSTER and command is not None and any("/" in word for word in rest):
            from argosy.local.runs.record import names_workflow

            of_a_cluster = _imported(OF_A_CLUSTER[name])
            if names_workflow(_first_argument(rest, (command, of_a_cluster))):
                command = of_a_cluster
        return name, command, rest

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names alone: what they do would take the import of all."""
        return [CompletionItem(name) for name in COMMANDS if name.startswith(incomplete)]


def couler_missing(error: ModuleNotFoundError) -> UsageError | None:
    """The mistake behind a module of Couler's that is not there; None where another is missing.

    The package index has an empty `couler` beside the `couler-scanflow` that Argosy asks for.
    """
    if (error.name or "").partition(".")[0] != "couler":
        return None
    from importlib.util import find_spec

    spec = find_spec("couler")
    if spec is None:
        return UsageError("Couler is not installed; write pip install couler-scanflow")
    place = spec.origin or next(iter(spec.submodule_search_locations or ()), "")
    return UsageError(
        f"'{place}' has no '{error.name}': the package 'couler' there is not Couler; write "
        "pip uninstall couler, then pip install --force-reinstall couler-scanflow"
    )


def _first_argument(words: list[str], commands: Iterable[click.Command]) -> str:
    """The first word that is neither an option of these commands nor the value of one; empty without one."""
    options = [p for command in commands for p in command.params if isinstance(p, click.Option)]
    valued = {name for option in options if not option.is_flag for name in option.opts}
    is_value = False
    for number, word in enumerate(words):
        if is_value:
            is_value = False
        elif word == "--":
            return words[number + 1] if words[number + 1 :] else ""
        elif word.startswith("--"):
            is_value = word in valued
        elif word.startswith("-"):  # several flags may stand together, and a value behind its option
            letters = [f"-{letter}" for letter in word[1:]]
            is_value = [letter in valued for letter in letters] == [*[False] * len(letters[1:]), True]
        else:
            return word
    return ""


FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_OURS = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
"""Errors of a place that the user names, where nothing may be written or read."""


def _empty(stream: TextIO) -> None:
    """Let a stream that cannot be written swallow the rest, so that Python does not complain at its end."""
    from argosy.local.console import into_nothing

    try:
        stream.flush()
    except OSError:
        into_nothing(stream.fileno())


def _imported(place: tuple[str, str]) -> click.Command:
    module, attribute = place
    command: click.Command = getattr(importlib.import_module(module), attribute)
    return command


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="argosy")
def main() -> None:
    """Typed steps and conditional pipelines for Argo Workflows."""


if __name__ == "__main__":
    main()
