"""A step inside its container: read the command line, run the function, hand over the outputs.

`python -m argosy.step MODULE:FUNCTION ...` enters a step of a module that holds several.
"""

import atexit
import gc
import importlib
import logging
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from argosy.artifacts import ArtifactKind
from argosy.component import Component
from argosy.errors import ArgosyError, StepError, UsageError
from argosy.interface import Interface, Port
from argosy.quiet import keep_couler_quiet
from argosy.values import ValueType

log = logging.getLogger("argosy.step")


class PortParam(click.ParamType):  # type: ignore[type-arg]  # generic only to the checker
    """A click type that reads a port's value; what cannot be read is refused in one line."""

    def __init__(self, port: Port) -> None:
        self.port = port
        self.name = str(port.type)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The value; `click.BadParameter` when the text stands for none."""
        if not isinstance(value, str):
            return value
        if isinstance(self.port.type, ArtifactKind):
            path = Path(value)
            if not self.port.type.matches(path):
                self.fail(f"there is no {self.port.type} at {value!r}", param, ctx)
            return path
        try:
            return self.port.type.decode(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _input_option(port: Port) -> click.Option:
    names = [f"--{port.argo_name}", f"in_{port.name}"]
    if port.required:
        return click.Option(names, type=PortParam(port), required=True, help=port.description)
    shown = f"{port.description} [default: {port.default_text or 'empty'}]".strip()
    return click.Option(names, type=PortParam(port), default=port.default_text, help=shown)


def _output_option(port: Port) -> click.Option:
    return click.Option(
        [f"--output-{port.argo_name}", f"out_{port.name}"],
        type=click.Path(path_type=Path),
        help=f"Where to put the output '{port.argo_name}'. {port.description}".strip(),
    )


def build_command(component: Component[Any, Any]) -> click.Command:
    """The step's command line, from its interface alone."""
    interface = component.interface

    def call(**values: Any) -> None:
        inputs = {p.name: values[f"in_{p.name}"] for p in interface.inputs}
        result = component.function(**inputs)
        targets = {p.name: values[f"out_{p.name}"] for p in interface.outputs}
        hand_over(interface, result, targets, inputs)

    options = [*map(_input_option, interface.inputs), *map(_output_option, interface.outputs)]
    text = f"{interface.summary}\n\n{interface.description}"
    return click.Command(interface.name, callback=call, params=list(options), help=text)


def hand_over(
    interface: Interface, result: Any, targets: dict[str, Path | None], inputs: dict[str, Any]
) -> None:
    """Write every output to its place; one without a place is only logged.

    Raises:
        StepError: the step returned something else than it declares.
    """
    for port in interface.outputs:
        value, target = getattr(result, port.name), targets[port.name]
        log.info("output %s = %s", port.argo_name, value)
        if target is None:
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(port.type, ValueType):
            _write_parameter(interface, port.type, port, value, target)
        else:
            _move_artifact(interface, port.type, port, Path(value), target, inputs)


def _write_parameter(itf: Interface, kind: ValueType, port: Port, value: Any, target: Path) -> None:
    try:
        text = kind.encode(value)
    except TypeError as error:
        raise StepError(f"{itf.name}: output '{port.argo_name}': {error}") from None
    # Argo takes one newline off the end of a parameter's file; one that belongs to the value must not be it.
    text += "\n" * text.endswith("\n")
    beside = target.with_name(target.name + ".part")
    beside.write_text(text, encoding="utf-8", newline="")
    beside.replace(target)


def _move_artifact(
    itf: Interface, kind: ArtifactKind, port: Port, source: Path, target: Path, inputs: dict[str, Any]
) -> None:
    if not kind.matches(source):
        raise StepError(f"{itf.name}: output '{port.argo_name}': there is no {kind} at '{source}'")
    if source.resolve() == target.resolve():
        return
    given = [p.resolve() for p in inputs.values() if isinstance(p, Path)]
    if any(source.resolve().is_relative_to(p) for p in given):
        # What came in belongs to whoever gave it: it is passed on as a copy.
        copy = shutil.copytree if kind.name == "directory" else shutil.copyfile
        copy(source, target)
    else:
        shutil.move(source, target)


def run_step(component: Component[Any, Any], argv: Sequence[str]) -> int:
    """Run a step from its command line; returns the exit code.

    0: done. 1: the step failed. 2: an input is wrong and nothing was touched.
    """
    name = component.interface.name
    keep_couler_quiet()  # a file that holds a pipeline, too, imports Couler
    logging.basicConfig(
        level=os.environ.get("ARGOSY_LOG_LEVEL", "INFO"),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    try:
        build_command(component).main(list(argv), prog_name=name, standalone_mode=False)
    except click.ClickException as error:
        click.echo(f"{name}: {error.format_message()}", err=True)
        return UsageError.exit_code
    except click.Abort:
        click.echo(f"{name}: interrupted", err=True)
        return 130
    except ArgosyError as error:
        click.echo(f"{name}: {error}", err=True)
        return error.exit_code
    except Exception as error:
        log.exception("the step raised an error that it does not expect")
        click.echo(f"{name}: {type(error).__name__}: {error}", err=True)
        return StepError.exit_code
    return 0


def _load(target: str) -> Component[Any, Any]:
    module, _, function = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"argosy.step: there is no component {target!r}: {error}") from None
    if not isinstance(found, Component):
        raise UsageError(f"argosy.step: {target!r} is not a component")
    return found


def main(argv: Sequence[str]) -> int:
    """`argosy.step MODULE:FUNCTION [--input=VALUE ...]`; returns the exit code."""
    if not argv or argv[0].startswith("-"):
        click.echo("usage: python -m argosy.step MODULE:FUNCTION [--NAME=VALUE ...]", err=True)
        return 0 if argv and argv[0] == "--help" else UsageError.exit_code
    try:
        component = _load(argv[0])
    except UsageError as error:
        click.echo(str(error), err=True)
        return error.exit_code
    return run_step(component, argv[1:])


def leave(code: int) -> NoReturn:
    """End this program with an exit code.

    The interpreter would first look for cycles among the objects of all libraries that the step imported.
    That takes a tenth of a second, and the system takes back the memory in any case.
    """
    atexit.register(gc.freeze)
    sys.exit(code)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
