"""Images of the steps' code: made here, layer by layer, and sent to a registry; no daemon, no Dockerfile.

`recipe` says which images a project needs and notes what was made, `builder` makes and sends them.
"""

from argosy.errors import ArgosyError


class BuildError(ArgosyError):
    """An image cannot be built, or a registry does not take or give it."""


class TransientError(BuildError):
    """As `BuildError`; the same request may succeed a moment later."""


class Missing(BuildError):
    """The registry does not have what was asked for."""
