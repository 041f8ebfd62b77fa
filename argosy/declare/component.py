"""`@component`: a typed Python function becomes a step."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, TypeVar, cast
from weakref import WeakSet

from argosy.declare.container import AllOptions, ContainerOptions, ContainerSpec
from argosy.declare.fields import expect_name
from argosy.declare.groups import Group
from argosy.declare.reference import TemplateRef
from argosy.declare.signature import check_function, read_interface, where
from argosy.errors import ComposeError, DeclarationError
from argosy.step.absent import Absent, is_loading
from argosy.step.interface import Interface

if TYPE_CHECKING:
    from typing import ParamSpec

    from typing_extensions import Unpack

    P = ParamSpec("P")
else:
    P = TypeVar("P")  # Python 3.9, which may read this in a container, has no ParamSpec
R = TypeVar("R")

MAIN_GUARD = 'if __name__ == "__main__":'


class Composer(Protocol):
    """The composer turns a component's call into a task."""

    def call(self, component: Component[Any, Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Add a task and return the handle of its outputs."""

    def check_options(self, name: str, options: Mapping[str, Any], site: str) -> None:
        """Refuse options of a component that hold a value of the pipeline."""

    def expect_call(self, uncalled: list[Any], site: str) -> None:
        """Refuse the program, at its end, if something made at `site` is still in the list."""


_current: ContextVar[Composer | None] = ContextVar("argosy_composer", default=None)


@dataclasses.dataclass(eq=False)
class _Work:
    """A composer at work: its thread, those that were there before, and what it refused in later ones."""

    thread: threading.Thread
    before: WeakSet[threading.Thread]
    refused: list[ComposeError] = dataclasses.field(default_factory=list)


_at_work: list[_Work] = []


def current_composer() -> Composer | None:
    """The composer at work in this context, or None: then a component's call runs the step."""
    return _current.get()


@contextmanager
def composing(composer: Composer) -> Iterator[None]:
    """Calls of components add tasks to `composer` inside this block."""
    token = _current.set(composer)
    work = _Work(threading.current_thread(), WeakSet(threading.enumerate()))
    _at_work.append(work)
    hook = threading.excepthook
    threading.excepthook = lambda args: None if args.exc_value in work.refused else hook(args)
    try:
        yield
    finally:
        threading.excepthook = hook
        _at_work.remove(work)
        _current.reset(token)
        if work.refused:  # here the user sees it; a thread would show it as a traceback
            raise work.refused[0]


def _refuse_thread(name: str) -> None:
    """Refuse a call in a thread that a program began while it was composed.

    The order of such calls is another every time, and without the composer's context they would run the step.
    """
    here = threading.current_thread()
    if any(work.thread is here for work in _at_work):
        return
    work = next((work for work in reversed(_at_work) if here not in work.before), None)
    if work is not None:
        work.refused.append(ComposeError(f"{_thread_site(work)}: {name} {_IN_THREAD}"))
        raise work.refused[-1]


_IN_THREAD = (
    "is called in a thread, where nothing is composed: call it in the pipeline itself; "
    "steps that need nothing of each other run side by side with couler.concurrent or couler.map"
)


def _thread_site(work: _Work) -> str:
    """Where the thread makes the call; if it has no line of the user's, where the program waits for it."""
    from argosy.declare.source import NOWHERE, site_in

    here = _site()
    return site_in(work.thread) if here == NOWHERE else here


class Component(Generic[P, R]):
    """A step: its function, its interface and its container.

    Called as plain Python it runs the function.  Called while a pipeline is composed it adds a
    task and returns a handle with the fields of the result type; the handle's fields are
    references that other components, `couler.equal` and Couler's own steps accept.

    Attributes:
        arguments: of the container's command, where they do not follow from the interface.
        template_ref: the template of another WorkflowTemplate that does the work, if one does.
        groups: inputs that a call may give together, by the name of the group.
        work: the template's own fields where no container does the work: a `suspend`.
    """

    arguments: list[str] | None = None
    template_ref: TemplateRef | None = None
    groups: Mapping[str, Group] = {}
    work: Mapping[str, Any] | None = None

    def __init__(self, function: Callable[P, R], interface: Interface, container: ContainerSpec) -> None:
        self.function = function
        self.interface = interface
        self.container = container
        self.template_name = interface.name
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if _at_work:
            _refuse_thread(self.interface.name)
        composer = current_composer()
        if composer is None:
            if is_loading():  # a program that composes at its top, in the container of one of its steps
                return cast(R, Absent(f"{self.interface.name}()"))
            return self.function(*args, **kwargs)
        return cast(R, composer.call(self.for_call(args, kwargs), args, kwargs))

    def __repr__(self) -> str:
        return f"<component {self.interface.name}>"

    def options(self, *, name: str | None = None, **container: Unpack[AllOptions]) -> Component[P, R]:
        """The same step under another name, or with other fields of its `ContainerSpec`.

        Raises:
            DeclarationError: there is no such field, or a value does not fit it.
        """
        try:
            if name is not None:
                expect_name("name", name)
            changed = self.container.but(container)
        except DeclarationError as error:
            raise DeclarationError(f"{_site()}: {self.interface.name}.options(): {error}") from None
        if (composer := current_composer()) is not None:
            composer.check_options(self.interface.name, container, _site())
        interface = dataclasses.replace(self.interface, name=name or self.interface.name)
        other = self._copy(interface, changed)
        if not container:
            other.template_name = self.template_name
        return other

    def _copy(self, interface: Interface, container: ContainerSpec) -> Component[P, R]:
        return Component(self.function, interface, container)

    def for_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Component[Any, Any]:
        """The component as one call needs it: itself, unless its command depends on what is given."""
        return self

    @property
    def module(self) -> str:
        """The importable name of the module that declares the step.

        Raises:
            DeclarationError: no file declares it.
        """
        name = self.function.__module__
        if name != "__main__":
            return name
        known = vars(sys.modules[name])
        if spec := known.get("__spec__"):
            return str(spec.name)
        if not known.get("__file__"):
            raise DeclarationError(
                f"{where(self.function)}: {self.function.__name__}() is declared in no file, and a container "
                "has to import it; write it to a file"
            )
        from argosy.declare.modules import home_of

        return home_of(Path(known["__file__"])).name

    @property
    def notes(self) -> str:
        """Lines of `--help` beside the step's interface: when it runs again."""
        return str(self.container.retry or "")

    @property
    def command(self) -> list[str]:
        """The container's command: the module itself if it ends with `NAME.main()` of this step.

        Any other module is entered through `argosy.step MODULE:NAME`.

        Raises:
            DeclarationError: the module has no such component, so that a container could not find it.
        """
        name, module = self._name_in_module(), self.module
        if module.rpartition(".")[2] == name and _ends_with(self.function.__module__, f"{name}.main("):
            return ["python", "-m", module]
        return ["python", "-m", "argosy.step", f"{module}:{name}"]

    def _name_in_module(self) -> str:
        """The module's name for this step; a copy by `options` goes by the name of its origin."""
        own = self.function.__name__
        known = vars(sys.modules.get(self.function.__module__, inspect))
        for name in (own, *known):
            found = known.get(name)
            if isinstance(found, Component) and found.function is self.function:
                return name
        raise DeclarationError(f"{where(self.function)}: {own}() {_why_hidden(self.function)}")

    def main(self, argv: Sequence[str] | None = None) -> NoReturn:
        """Run the step from a command line, as its container does, and exit."""
        from argosy.step.program import leave, run_step

        leave(run_step(self, sys.argv[1:] if argv is None else argv))


def _why_hidden(function: Callable[..., Any]) -> str:
    outer = function.__qualname__.rpartition(".<locals>")[0]
    if not outer:
        hidden = vars(sys.modules.get(function.__module__, inspect)).get(function.__name__)
        if callable(hidden) and not isinstance(hidden, Component):
            return (
                "is hidden by a decorator that stands above @component, and a container would import that; "
                "put @component on top"
            )
        return f"is no component of the module '{function.__module__}' that a container could import"
    used = inspect.unwrap(function).__code__.co_freevars
    inputs = f", and make {', '.join(map(repr, used))} an input of it" if used else ""
    return (
        f"stands inside of {outer}(), where a container cannot import it; move it to the top level of the "
        f"module{inputs}"
    )


@functools.cache
def _source(module: ModuleType) -> str:
    try:
        return inspect.getsource(module)
    except (OSError, TypeError):
        return ""


def _ends_with(module: str, call: str) -> bool:
    """Whether the lines below `if __name__ == "__main__":` hold this call."""
    return call in _source(sys.modules[module]).partition(MAIN_GUARD)[2]


def _component(*marked: Any, image: str = "", name: str | None = None, **options: Any) -> Any:
    """Declare a step; the options are those of `ContainerSpec`.

    `name` is the step's name in YAML; by default the function's, with dashes.

    Raises:
        DeclarationError: the function, its signature or an option cannot become a step.
    """
    if marked or not image:
        raise DeclarationError(f"{_place(marked) or _site()}: {_WANTED}")
    try:
        if name is not None:
            expect_name("name", name)
        container = ContainerSpec.of(image, options)
    except DeclarationError as error:
        raise DeclarationError(f"{_site()}: component(): {error}") from None

    def declare(function: Callable[P, R]) -> Component[P, R]:
        check_function(function, "component")
        return Component(function, read_interface(function, name), container)

    return declare


def _site() -> str:
    from argosy.declare.source import call_site

    return call_site()


_WANTED = "a component names its image: write @component(image='python:3.11-slim')"


def _place(marked: tuple[Any, ...]) -> str:
    """Of the function that `@component` stands on without parentheses."""
    return where(marked[0]) if marked and inspect.isfunction(marked[0]) else ""


if TYPE_CHECKING:

    def component(
        *, image: str, name: str | None = None, **options: Unpack[ContainerOptions]
    ) -> Callable[[Callable[P, R]], Component[P, R]]:
        """Declare a step; the options are those of `ContainerSpec`."""

else:  # takes whatever it is given, to say in one line what it wants
    component = _component
    component.__name__ = component.__qualname__ = "component"
