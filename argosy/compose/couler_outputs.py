"""Outputs of Couler's own steps, which say no where a component's would.

Couler's objects have Python's own truth, comparison and text: `if flip():` is always true, `flip() == "a"`
always false, and `f"{flip()}"` an address in memory.  While a pipeline is composed they have none.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from couler.core import run_templates
from couler.core.templates.output import Output, OutputEmpty

from argosy.compose.placeholders import BRANCH, UNSEEN
from argosy.compose.references import couler_output_text
from argosy.declare.source import call_site, is_user_code
from argosy.errors import ComposeError

_MAKERS = ("_script_output", "_container_output", "_job_output")


def _what(output: Output) -> str:
    words = str(output.value).split(".")
    return f"output '{words[-1]}' of '{words[1]}'" if len(words) > 1 else "an output"


def _refuse(output: Output, remedy: str) -> NoReturn:
    raise ComposeError(
        f"{call_site()}: {_what(output)} has no value while the pipeline is composed; {remedy}"
    )


def _bool(self: Output) -> bool:
    if is_user_code(sys._getframe(1)):
        _refuse(self, BRANCH)
    return True


def _eq(self: Output, other: Any) -> bool:
    if self is not other and is_user_code(sys._getframe(1)):
        _refuse(self, BRANCH)
    return self is other


def _ne(self: Output, other: Any) -> bool:
    if is_user_code(sys._getframe(1)):
        _refuse(self, BRANCH)
    return self is not other


def _str(self: Output) -> str:
    if isinstance(self, OutputEmpty):
        raise ComposeError(f"{call_site()}: '{self.value.split('.')[1]}' has no output to put into a text")
    return str(couler_output_text(self))


def _format(self: Output, spec: str) -> str:
    if spec:
        _refuse(self, f"the format ':{spec}' must be made of the value: compute it in a component")
    return _str(self)


def _repr(self: Output) -> str:
    return f"<{_what(self)}{UNSEEN}"


_METHODS: dict[str, Callable[..., Any]] = {
    "__bool__": _bool,
    "__eq__": _eq,
    "__ne__": _ne,
    "__str__": _str,
    "__format__": _format,
    "__repr__": _repr,
}


class StepOutputs(list[Any]):
    """The result of a step of Couler's: its outputs, of which the first stands for the step."""

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __bool__(self) -> bool:
        if is_user_code(sys._getframe(1)):
            _refuse(self[0], BRANCH)
        return len(self) > 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list) and is_user_code(sys._getframe(1)):
            _refuse(self[0], BRANCH)
        return self is other

    def __ne__(self, other: object) -> bool:
        if not isinstance(other, list) and is_user_code(sys._getframe(1)):
            _refuse(self[0], BRANCH)
        return self is not other

    def __add__(self, other: Any) -> Any:
        return [*self, *self._listed(other)]

    def __radd__(self, other: Any) -> Any:
        return [*self._listed(other), *self]

    def _listed(self, other: Any) -> list[Any]:
        if not isinstance(other, list):
            _refuse(self[0], "compute it in a component; text is put together with f'...'")
        return other

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            _refuse(self[0], "take its outputs by their numbers, step[0]")
        return super().__getitem__(key)

    def __str__(self) -> str:
        return _str(self[0])

    def __format__(self, spec: str) -> str:
        return _format(self[0], spec)


def _wrapped(maker: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    def outputs(*args: Any, **kwargs: Any) -> list[Any]:
        return StepOutputs(maker(*args, **kwargs))

    return outputs


@contextmanager
def careful_outputs() -> Iterator[None]:
    """Outputs of Couler's steps are careful inside of the block."""
    own = {name: vars(Output).get(name) for name in _METHODS}
    makers = {name: vars(run_templates)[name] for name in _MAKERS if name in vars(run_templates)}
    for name, method in _METHODS.items():
        setattr(Output, name, method)
    for name, maker in makers.items():
        setattr(run_templates, name, _wrapped(maker))
    try:
        yield
    finally:
        for name, method in own.items():
            _put_back(name, method)
        for name, maker in makers.items():
            setattr(run_templates, name, maker)


def _put_back(name: str, method: Any) -> None:
    if method is None:
        delattr(Output, name)
    else:
        setattr(Output, name, method)
