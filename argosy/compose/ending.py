"""An exit handler for every end of a workflow: `argosy.on_exit`."""

import inspect
from collections.abc import Callable
from typing import Any

import couler.argo as couler

from argosy.compose.placeholders import Placeholder
from argosy.declare.source import call_site
from argosy.errors import ComposeError
from argosy.step.interface import ENTRYPOINT
from argosy.step.values import ValueType

EVERY_END = "every end"
"""In place of a status: the handler's steps run whatever it is."""

# The engine quotes the JSON once more. It lists the entrypoint, too, and beside a step each attempt of it.
_STEPS = f"#.templateName != '{ENTRYPOINT}' and not (#.displayName matches '[(][0-9]+[)]$')"
_FAILED = f"toJson(map(filter(fromJSON(fromJSON(workflow.failures)) ?? [], {{{_STEPS}}}), {{#.displayName}}))"


class _OfTheEnd(Placeholder):
    """A value that is known when the workflow has ended."""

    def __init__(self, name: str, kind: ValueType, what: str) -> None:
        self.name, self.kind, self.what = name, kind, what


class _Failed(_OfTheEnd):
    @property
    def tag(self) -> str:
        return f"{{{{={_FAILED}}}}}"


class Ending:
    """How a workflow ended, for the steps of its exit handler.

    Attributes:
        status: Succeeded, Failed or Error; a text.
        failed: the names of the steps that failed; a `list[str]`, empty after a success.
    """

    def __init__(self) -> None:
        ends = ValueType(str, choices=("Succeeded", "Failed", "Error"))
        self.status: Any = _OfTheEnd("workflow.status", ends, "the workflow's status")
        names = ValueType.from_hint(list[str])
        self.failed: Any = _Failed("workflow.failures", names, "the list of failed steps")

    def __getattr__(self, name: str) -> Any:
        """Refused: a name that no ending has."""
        if name.startswith("__"):
            raise AttributeError(name)
        raise ComposeError(f"{call_site()}: the ending has no '{name}'; it has end.status and end.failed")

    def __repr__(self) -> str:
        """Refused, as is every text of it: the text would say nothing of the workflow."""
        raise ComposeError(f"{call_site()}: an ending is no value; it has two: end.status and end.failed")

    __str__ = __repr__


def on_exit(handler: Callable[[Ending], Any]) -> None:
    """Run the steps of `handler` at every end of the workflow; it takes what is known of that end.

    Raises:
        ComposeError: `handler` is no function.
    """
    if not callable(handler):
        raise ComposeError(
            f"{call_site()}: on_exit takes a function of the ending, not {handler!r}; write "
            "on_exit(lambda end: step(...))"
        )
    couler.set_exit_handler(couler.WFStatus.Succeeded, lambda: at_every_end(handler))


def at_every_end(handler: Callable[[Ending], Any]) -> bool:
    """Compose the handler's steps; its frame tells them from those of one status."""
    try:
        inspect.signature(handler).bind(None)
    except TypeError:
        raise ComposeError(
            f"{call_site()}: on_exit calls its function with the ending: lambda end: "
            "report(status=end.status)"
        ) from None
    handler(Ending())
    return True
