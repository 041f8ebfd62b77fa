"""A Python program under pdb on the terminal, once: it ends as the program does, or where the person quits.

Run by its path, with the standard library alone, as the program has an environment of its own:
`debugger.py FILE:LINE -m MODULE ...` or `debugger.py FILE:LINE FILE ...`; an empty place stops at once.
`python -m pdb` would begin the program anew at its end, and let `quit` reach it as an error of its own.
"""

from __future__ import annotations

import pdb
import runpy
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

QUIT = 130
"""The exit code after `quit`."""


class Quit(BaseException):
    """Ends the program: what handles its errors, or `sys.exit`, is passed over; `finally` is not."""


class Debugger(pdb.Pdb):
    """pdb that ends the program where it is told to quit; what has to be tidied up still is."""

    def do_quit(self, arg: str) -> bool:
        """End the program."""
        self.set_continue()
        raise Quit

    do_q = do_exit = do_quit

    def stop(self, *_: object, **__: object) -> None:
        """The answer to `breakpoint()`: stop at the line after it."""
        sys.settrace(None)  # else the way into pdb itself would be gone through line by line
        self.set_trace(sys._getframe(1))

    def look_at(self, error: Exception) -> None:
        """Stop where a component's function raised; then, also after `quit`, the step ends with its error."""
        sys.settrace(None)
        caller = error.__traceback__  # the first frame calls the function, and is none of the user's
        inside = caller.tb_next if caller else None
        traceback.print_exception(type(error), error, inside)
        self.clear_all_breaks()
        self.reset()
        try:
            self.interaction(None, inside)
        except Quit:
            return
        self.set_continue()

    def do_EOF(self, arg: str) -> bool:
        """Ctrl-D, or a terminal that is gone."""
        self.message("")
        return self.do_quit(arg)


def main(words: Sequence[str]) -> int:
    """Carry a program out; returns its exit code."""
    place, *program = words
    debugger = Debugger()
    if place:
        debugger.rcLines += [f"break {place}", "continue"]
    sys.breakpointhook = debugger.stop
    try:
        if program[0] == "-m":
            sys.path[0] = str(Path.cwd())
            sys.argv[:] = program[1:]
            _look_at_components(debugger)
            debugger.runcall(runpy.run_module, program[1], run_name="__main__", alter_sys=True)
        else:
            sys.path[0] = str(Path(program[0]).resolve().parent)
            sys.argv[:] = program
            debugger.runcall(runpy.run_path, program[0], run_name="__main__")
    except Quit:
        return QUIT
    except SystemExit as error:
        return _code(error)
    except Exception as error:
        traceback.print_exc()
        return _post_mortem(debugger, error)
    return 0


def _look_at_components(debugger: Debugger) -> None:
    """Let a component's error reach the debugger: its program handles what its function raises."""
    try:
        from argosy.step import program
    except ImportError:  # a module that is no component, where there is no Argosy
        return
    program.looked_at = debugger.look_at


def _post_mortem(debugger: Debugger, error: Exception) -> int:
    try:
        debugger.reset()
        debugger.interaction(None, error.__traceback__)
    except Quit:
        return QUIT
    return 1


def _code(error: SystemExit) -> int:
    """The exit code that Python makes of it."""
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    print(error.code, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
