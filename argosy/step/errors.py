"""The errors of a step, each one line for the person at the terminal."""

from __future__ import annotations


class ArgosyError(Exception):
    """Base of all errors that Argosy raises on purpose; `exit_code` is the command line's."""

    exit_code = 1


class UsageError(ArgosyError):
    """The input is wrong: nothing was started, nothing was changed."""

    exit_code = 2


class DeclarationError(UsageError):
    """A component or a pipeline is declared in a way that cannot work."""


class StepError(ArgosyError):
    """A step could not do its work."""
