"""Errors while an image is built or sent: one line each."""

from argosy.errors import ArgosyError


class BuildError(ArgosyError):
    """An image cannot be built, or a registry does not take or give it."""


class TransientError(BuildError):
    """As `BuildError`; the same request may succeed a moment later."""


class Missing(BuildError):
    """The registry does not have what was asked for."""
