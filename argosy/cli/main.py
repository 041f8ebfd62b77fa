"""`argosy`: the command line."""

import importlib
import sys
from typing import Any

import click
from click.shell_completion import CompletionItem

from argosy import __version__
from argosy.errors import ArgosyError

# Each command lives in a module of its own, loaded when it is asked for: `argosy --help` stays instant.
COMMANDS = {
    "compile": ("argosy.cli.compile", "compile_command"),
    "lint": ("argosy.cli.lint", "lint"),
    "run": ("argosy.cli.run", "run"),
    "open": ("argosy.cli.open", "open_command"),
    "compare": ("argosy.cli.compare", "compare"),
    "attach": ("argosy.cli.attach", "attach"),
    "rerun": ("argosy.cli.rerun", "rerun"),
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

# The same verb for a workflow of a cluster, whose name has a slash: NAMESPACE/WORKFLOW.
OF_A_CLUSTER = {"show": ("argosy.cli.cluster", "get"), "logs": ("argosy.cli.logs", "logs")}


class LazyGroup(click.Group):
    """A group that imports a command's module on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        return _imported(COMMANDS[cmd_name])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of the first word; the cluster's, where the word after it has a slash."""
        name, command, rest = super().resolve_command(ctx, args)
        words = [word for word in rest if not word.startswith("-")]
        if name in OF_A_CLUSTER and words and "/" in words[0]:
            command = _imported(OF_A_CLUSTER[name])
        return name, command, rest

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names alone: what they do would take the import of all."""
        return [CompletionItem(name) for name in COMMANDS if name.startswith(incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        """Run; an error of ours is one line and its exit code."""
        try:
            return super().invoke(ctx)
        except ArgosyError as error:
            click.echo(f"argosy: {error}", err=True)
            sys.exit(error.exit_code)
        except ModuleNotFoundError as error:
            from argosy.cli.couler_missing import explained

            mistake = explained(error)
            if mistake is None:
                raise
            click.echo(f"argosy: {mistake}", err=True)
            sys.exit(mistake.exit_code)


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
