"""Every error that Argosy raises on purpose.

A message is one line for the person at the terminal: the offending value, what is allowed, what to do next.
"""


class ArgosyError(Exception):
    """Base of all errors that Argosy raises on purpose; `exit_code` is the command line's."""

    exit_code = 1


class UsageError(ArgosyError):
    """The input is wrong: nothing was started, nothing was changed."""

    exit_code = 2


class DeclarationError(UsageError):
    """A component or a pipeline is declared in a way that cannot work."""


class ComposeError(UsageError):
    """A pipeline calls a component, or uses its outputs, in a way that its declaration does not allow."""


class ManifestError(UsageError):
    """A manifest is malformed, or asks for something that cannot be done here."""


class StepError(ArgosyError):
    """A step could not do its work."""


class StackError(ArgosyError):
    """A server of the embedded stack did not start, or stopped."""
