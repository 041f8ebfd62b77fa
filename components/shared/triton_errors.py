"""Errors of a Triton server; they tell which call is worth another try."""

from __future__ import annotations

from argosy.errors import StepError


class TritonError(StepError):
    """Any of the below."""


class TritonUnreachable(TritonError):
    """Nobody answers at the server's address: worth another try."""


class TritonTimeout(TritonError):
    """The server took the call and did not answer in time."""


class TritonRefused(TritonError):
    """The server answered with an error to an `action`; `reason` is its own text."""

    def __init__(self, action: str, reason: str) -> None:
        super().__init__(f"Triton could not {action}: {reason}")
        self.action, self.reason = action, reason


def one_line(text: str) -> str:
    """A server's text without line breaks and trailing separators."""
    return " ".join(text.split()).rstrip(" ;")
