"""`argosy`: the command line."""

import importlib
import sys
from typing import Any

import click

from argosy import __version__
from argosy.errors import ArgosyError

# Each command lives in a module of its own, loaded when it is asked for: `argosy --help` stays instant.
COMMANDS = {
    "compile": ("argosy.cli.compile", "compile_command"),
    "lint": ("argosy.cli.lint", "lint"),
    "run": ("argosy.cli.run", "run"),
    "submit": ("argosy.cli.submit", "submit"),
    "components": ("argosy.cli.components", "components"),
    "graph": ("argosy.cli.graph", "graph"),
    "export": ("argosy.cli.export", "export"),
    "up": ("argosy.cli.stack", "up"),
    "down": ("argosy.cli.stack", "down"),
    "status": ("argosy.cli.stack", "status"),
}


class LazyGroup(click.Group):
    """A group that imports a command's module on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run; an error of ours is one line and its exit code."""
        try:
            return super().invoke(ctx)
        except ArgosyError as error:
            click.echo(f"argosy: {error}", err=True)
            sys.exit(error.exit_code)


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="argosy")
def main() -> None:
    """Typed steps and conditional pipelines for Argo Workflows."""


if __name__ == "__main__":
    main()
