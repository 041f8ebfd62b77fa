"""A step inside its container: read the command line, run the function, hand over the outputs.

`python -m argosy.step MODULE:FUNCTION ...` enters a step of a module that holds several.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import logging
import os
import sys
import traceback
from pathlib import Path
from typing import Any, Callable, Mapping, NoReturn, Protocol, Sequence  # noqa: UP035 - Python 3.9

from argosy.step import arguments
from argosy.step.absent import loading, step_begins
from argosy.step.errors import ArgosyError, StepError, UsageError
from argosy.step.interface import Interface
from argosy.step.outputs import check_places, hand_over
from argosy.step.quiet import keep_couler_quiet

log = logging.getLogger("argosy.step")

TERMINATION_LOG = "ARGOSY_TERMINATION_LOG"
"""Names another file than Kubernetes' own for a step's last words."""
_LAST_WORDS = 4096
"""Bytes of them that Kubernetes takes."""

looked_at: Callable[[Exception], None] | None = None
"""Shown what a step's function raised, before the step ends with it; a debugger sets it."""


class Step(Protocol):
    """A component as this module sees it."""

    @property
    def interface(self) -> Interface:
        """Its inputs and outputs."""

    @property
    def function(self) -> Callable[..., Any]:
        """Its code."""

    @property
    def notes(self) -> str:
        """Lines of `--help` beside its interface."""


def run_step(step: Step, argv: Sequence[str]) -> int:
    """Run a step from its command line; returns the exit code.

    0: done. 1: the step failed. 2: an input is wrong and nothing was touched.
    """
    name = step.interface.name
    keep_couler_quiet()
    begin_log()
    try:
        _run(step, argv)
    except arguments.HelpAsked:
        arguments.show_help(step.interface, step.notes)
    except KeyboardInterrupt:
        return say(name, "interrupted", 130)
    except ArgosyError as error:
        return say(name, str(error), error.exit_code)
    except SystemExit as end:
        return _left_early(step.interface, end.code)
    except Exception as error:
        log.exception("the step raised an error that it does not expect")
        return say(name, f"{type(error).__name__}: {error}", StepError.exit_code)
    return 0


def _left_early(interface: Interface, code: object) -> int:
    """The exit code of a step that called `sys.exit`: its outputs are not there, so that 0 is none."""
    if code is None or code == 0:
        if not interface.outputs:
            return 0
        told = ", ".join(f"'{port.argo_name}'" for port in interface.outputs)
        return say(interface.name, f"ended by sys.exit, and returned no outputs: {told}", StepError.exit_code)
    if isinstance(code, int):
        return say(interface.name, f"ended by sys.exit({code})", code)
    return say(interface.name, str(code), StepError.exit_code)


def begin_log() -> None:
    """Let the log of this program go to standard error, and show each line that it prints at once.

    Python keeps the lines of a program whose output is no terminal back, which in a pod would show nothing
    for minutes, and lose what a killed step said last.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    logging.basicConfig(
        level=os.environ.get("ARGOSY_LOG_LEVEL", "INFO"),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )


def _run(step: Step, argv: Sequence[str]) -> None:
    interface = step.interface
    inputs, places = arguments.read(interface, argv)
    check_places(interface, places)
    step_begins(interface.name)
    try:
        result = step.function(**inputs)
    except Exception as error:
        if looked_at is not None:
            looked_at(error)
        raise
    _show(hand_over(interface, result, places), places)


def _show(outputs: Mapping[str, str], places: Mapping[str, Path | None]) -> None:
    """Outputs that are put somewhere are logged; by hand, where none is, they are the answer."""
    for name, value in outputs.items():
        if any(places.values()):
            log.info("output %s = %s", name, value)
        else:
            print(f"{name} = {value}")


def say(name: str, problem: str, code: int) -> int:
    """Tell a problem in one line, in the log and as the container's last words; returns the exit code."""
    line = " ".join(problem.split("\n"))
    line = line if line.startswith(f"{name}: ") else f"{name}: {line}"
    print(line, file=sys.stderr)
    _tell_the_end(line)
    return code


def _tell_the_end(line: str) -> None:
    """Put the line where Kubernetes reads a container's last words, if there is such a place.

    The kubelet makes the file, and so does the local runner; nobody else's file is made here.
    """
    words = line.encode("utf-8", "replace")[:_LAST_WORDS]
    try:
        file = os.open(os.environ.get(TERMINATION_LOG, "/dev/termination-log"), os.O_WRONLY | os.O_TRUNC)
    except OSError:
        return
    try:
        os.write(file, words)
    except OSError:
        log.debug("the last words could not be written", exc_info=True)
    finally:
        os.close(file)


def _load(target: str) -> Step:
    module, _, function = target.partition(":")
    try:
        if "/" in module or module.endswith(".py") or not function:
            raise UsageError(f"argosy.step: there is no component {target!r}: {_instead(target)}")
        with loading():
            found = getattr(importlib.import_module(module), function)
    except (ModuleNotFoundError, AttributeError) as error:
        raise UsageError(f"argosy.step: there is no component {target!r}: {error}") from None
    except UsageError:  # a declaration that cannot be, with its own place
        raise
    except (
        Exception,
        SystemExit,
    ) as error:  # at the end of Python a step would look done
        frame = traceback.extract_tb(error.__traceback__)[-1]
        problem = f"{frame.filename}:{frame.lineno}: {type(error).__name__}: {error}"
        raise UsageError(f"argosy.step: {module!r} cannot be imported: {problem}") from error
    finally:
        keep_couler_quiet()  # a file that holds a pipeline, too, imports Couler
    if not isinstance(getattr(found, "interface", None), Interface) or not hasattr(found, "notes"):
        is_pipeline = type(found).__name__ == "Pipeline"
        instead = f"; run the pipeline with 'argosy run {target}'" if is_pipeline else ""
        raise UsageError(f"argosy.step: {target!r} is not a component{instead}")
    step: Step = found
    return step


def _instead(target: str) -> str:
    path, _, function = target.partition(":")
    module = path.removesuffix(".py").strip("./").replace("/", ".")
    return f"write the module's importable name and the function, {module}:{function or 'FUNCTION'}"


def main(argv: Sequence[str]) -> int:
    """`argosy.step MODULE:FUNCTION [--input=VALUE ...]`; returns the exit code."""
    if not argv or argv[0].startswith("-"):
        print("usage: python -m argosy.step MODULE:FUNCTION [--NAME=VALUE ...]", file=sys.stderr)
        return 0 if argv and argv[0] == "--help" else UsageError.exit_code
    try:
        step = _load(argv[0])
    except UsageError as error:
        return say("argosy.step", str(error), error.exit_code)
    return run_step(step, argv[1:])


def leave(code: int) -> NoReturn:
    """End this program with an exit code.

    The interpreter would first look for cycles among the objects of all libraries that the step imported.
    That takes a tenth of a second, and the system takes back the memory in any case.
    """
    atexit.register(gc.freeze)
    sys.exit(code)
