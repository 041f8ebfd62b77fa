"""A component that was read from a file: its interface, its container and its own command line.

The command line is only complete once a call says which inputs are given; until then it is words.
"""

from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass
from typing import Any

from argosy.declare.component import Component
from argosy.declare.container import ContainerSpec
from argosy.declare.names import python_name
from argosy.errors import UsageError
from argosy.step.interface import Interface


@dataclass(frozen=True)
class Tag:
    """A tag, which Argo replaces: `{{inputs.parameters.epochs}}`, `{{outputs.artifacts.model.path}}`."""

    text: str


@dataclass(frozen=True)
class Concat:
    """One word, glued from several."""

    items: "tuple[Word, ...]"


@dataclass(frozen=True)
class IfPresent:
    """Words that depend on whether the call gives an input; `name` is the input's Python name."""

    name: str
    then: "tuple[Word, ...]"
    otherwise: "tuple[Word, ...]" = ()


Word = str | Tag | Concat | IfPresent


def resolved(words: Iterable[Word], given: Set[str]) -> list[str]:
    """The words of one call; `given` are the Python names of the inputs that have a value."""
    found: list[str] = []
    for word in words:
        if isinstance(word, Tag):
            found.append(word.text)
        elif isinstance(word, Concat):
            found.append("".join(resolved(word.items, given)))
        elif isinstance(word, IfPresent):
            found += resolved(word.then if word.name in given else word.otherwise, given)
        else:
            found.append(word)
    return found


def depends_on_call(words: Iterable[Word]) -> bool:
    """Whether some word is there or not, depending on the call."""
    return any(
        isinstance(w, IfPresent) or (isinstance(w, Concat) and depends_on_call(w.items)) for w in words
    )


@dataclass(frozen=True)
class CommandLine:
    """The container's command and arguments, before a call decides what is present."""

    command: tuple[Word, ...]
    args: tuple[Word, ...]


class LoadedComponent(Component[..., Any]):
    """A step that is made from a file instead of a function; it can only be called in a pipeline.

    Attributes:
        origin: the file that it comes from.
    """

    def __init__(
        self, interface: Interface, container: ContainerSpec, line: CommandLine, origin: str
    ) -> None:
        self.line, self.origin = line, origin
        super().__init__(_refuse(interface.name, origin), interface, container)
        self.__doc__ = f"{interface.summary}\n\n{interface.description}".strip()
        self._given = frozenset(p.name for p in interface.inputs)
        self._variants: dict[frozenset[str], LoadedComponent] = {}

    def _copy(self, interface: Interface, container: ContainerSpec) -> "LoadedComponent":
        return LoadedComponent(interface, container, self.line, self.origin)

    def for_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> "LoadedComponent":
        """The component with the words that this call asks for.

        An input is present if the call gives it a value, or if it has a default other than None.
        """
        if not depends_on_call((*self.line.command, *self.line.args)):
            return self
        inputs = self.interface.inputs
        called = {**dict(zip([p.name for p in inputs], args, strict=False)), **kwargs}
        given = frozenset(p.name for p in inputs if called.get(p.name, p.default) is not None)
        if given not in self._variants:
            variant = self._copy(self.interface, self.container)
            variant.template_name, variant._given = self.template_name, given
            self._variants[given] = variant
        return self._variants[given]

    @property
    def module(self) -> str:
        """The file that the component comes from: no module declares it."""
        return self.origin

    @property
    def command(self) -> list[str]:
        """The container's command; outside of a call, as if every input were given."""
        return resolved(self.line.command, self._given)

    @property
    def arguments(self) -> list[str]:  # type: ignore[override]  # computed here, None in the base
        """The container's arguments; outside of a call, as if every input were given."""
        return resolved(self.line.args, self._given)


def _refuse(name: str, origin: str) -> Callable[..., Any]:
    def function(*args: Any, **kwargs: Any) -> Any:
        raise UsageError(
            f"{name}() was loaded from {origin} and has no Python function; call it in a pipeline"
        )

    function.__name__ = function.__qualname__ = python_name(name)
    return function
