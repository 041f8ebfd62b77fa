"""Every error that Argosy raises on purpose.

A message is one line for the person at the terminal: the offending value, what is allowed, what to do next.
"""

from __future__ import annotations

import os

from argosy.step.errors import ArgosyError, DeclarationError, StepError, UsageError

__all__ = [
    "ArgosyError",
    "ComposeError",
    "DeclarationError",
    "LanguageError",
    "ManifestError",
    "StackError",
    "StepError",
    "UsageError",
    "place_of",
]


def place_of(file: str, line: int) -> str:
    """`file:line` for a message, the file as one would type it here."""
    here = os.getcwd() + os.sep  # noqa: PTH109 - on every call of a component, where pathlib is slow
    return f"{file.removeprefix(here)}:{line}"


class ComposeError(UsageError):
    """A pipeline calls a component, or uses its outputs, in a way that its declaration does not allow."""


class ManifestError(UsageError):
    """A manifest is malformed, or asks for something that cannot be done here."""


class LanguageError(ArgosyError):
    """A condition, an expression or a tag that Argo's engine could not read or evaluate."""


class StackError(ArgosyError):
    """A server of the embedded stack did not start, or stopped."""
