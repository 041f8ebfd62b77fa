"""Failures on the way to a cluster that a caller tells apart."""

from argosy.errors import ArgosyError


class SubmitError(ArgosyError):
    """The server, or the way to it, failed."""


class TransientError(SubmitError):
    """Another attempt may work: the server was not reached, gave no answer, or is busy."""


class ForbiddenError(SubmitError):
    """The server knows who asks, and does not allow it."""


class NotFoundError(SubmitError):
    """The object is not there; its namespace and its kind may be."""


class ConflictError(SubmitError):
    """There is an object of this name already, or it was changed meanwhile."""


class RejectedError(SubmitError):
    """The server refuses the manifest."""
