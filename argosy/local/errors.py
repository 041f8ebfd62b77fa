"""Errors inside a run. Each becomes the message of a node with phase Error; none leaves the runner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from argosy.errors import ArgosyError, LanguageError


class NodeError(ArgosyError):
    """A node cannot be carried out, for a reason other than its program's exit code."""


class NoProgram(NodeError):
    """A step's program cannot be started. As in Argo, the step Failed with an exit code of its own."""

    CODE = 64

    def __init__(self, program: str, why: str) -> None:
        super().__init__(f"exit code {self.CODE}: the program '{program}' cannot be started: {why}")


class NotMade(NodeError):
    """A container that a program was to run in could not be made."""


@contextmanager
def language() -> Iterator[None]:
    """An error of the language inside becomes a NodeError: the node has phase Error, the run goes on."""
    try:
        yield
    except LanguageError as error:
        raise NodeError(str(error)) from error
