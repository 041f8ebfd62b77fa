"""Errors inside a run. Each becomes the message of a node with phase Error; none leaves the runner."""

from __future__ import annotations

from argosy.errors import ArgosyError


class NodeError(ArgosyError):
    """A node cannot be carried out, for a reason other than its program's exit code."""


class Unresolved(NodeError):
    """A tag has no value at the moment it is needed."""

    def __init__(self, tag: str, why: str = "it has no value here") -> None:
        super().__init__(f"cannot resolve {{{{{tag}}}}}: {why}")
        self.tag = tag


class ConditionError(NodeError):
    """A `when` or `depends` that cannot be read, or that does not yield true or false."""
