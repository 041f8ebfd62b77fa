"""The options of `argosy run`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from argosy.cli.completion import runs, targets
from argosy.cli.parameters import environment_option, parameter_option
from argosy.cli.stack import state_dir_option

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.argument(
        "target",
        required=False,
        metavar="[PIPELINE|FILE.py[:FUNCTION]|FILE.yaml]",
        shell_complete=targets,
    ),
    parameter_option,
    click.option(
        "-f",
        "--parameter-file",
        "files",
        multiple=True,
        type=click.Path(dir_okay=False, path_type=Path),
        help="A file of parameters, or of what the manifest names: WorkflowTemplates, ConfigMaps, Secrets.",
    ),
    click.option(
        "--env-file",
        "env_files",
        multiple=True,
        type=click.Path(dir_okay=False, path_type=Path),
        help="NAME/KEY=VALUE for a key of a Secret or ConfigMap, VARIABLE=VALUE for every step.",
    ),
    click.option(
        "--resume",
        metavar="RUN",
        shell_complete=runs,
        help="Continue a run: what Succeeded is kept, the rest runs again.",
    ),
    click.option(
        "--isolated",
        is_flag=True,
        help="Run each step from its bundle, as its pod would: no folder of the project is on its path.",
    ),
    click.option(
        "--approve",
        "approved",
        multiple=True,
        metavar="STEP[:NAME=VALUE]",
        help="Let a suspended step go on, with an output that it is to have. Without it the terminal asks.",
    ),
    click.option("--output", type=click.Choice(["tree", "json"]), default="tree", show_default=True),
    click.option(
        "--max-parallel", type=click.IntRange(min=1), default=4, show_default=True, help="Steps at a time."
    ),
    click.option(
        "--cache/--no-cache",
        "cached",
        default=None,
        help="Reuse what earlier runs made: of all steps, or of none; else of those that say cache=True.",
    ),
    click.option(
        "--plan", "only_plan", is_flag=True, help="Say what would run and what be reused; run nothing."
    ),
    click.option("--open", "opened", is_flag=True, help="Show the run in the browser while it goes on."),
    environment_option,
    state_dir_option,
)


def run_options(command: F) -> F:
    """What to run, with which values, and how."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
