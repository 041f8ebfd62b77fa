"""`@component`: a typed Python function becomes a step."""

import dataclasses
import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, NoReturn, ParamSpec, TypeVar, cast

from argosy.compose.context import current_composer
from argosy.container import ContainerSpec, Toleration
from argosy.environment import EnvValue
from argosy.errors import DeclarationError
from argosy.interface import Interface
from argosy.resources import Resources
from argosy.retry import Retry
from argosy.reuse.reference import TemplateRef
from argosy.signature import read_interface, where
from argosy.volumes import Volume

P = ParamSpec("P")
R = TypeVar("R")

MAIN_GUARD = 'if __name__ == "__main__":'


class Component(Generic[P, R]):
    """A step: its function, its interface and its container.

    Called as plain Python it runs the function.  Called while a pipeline is composed it adds a
    task and returns a handle with the fields of the result type; the handle's fields are
    references that other components, `couler.equal` and Couler's own steps accept.

    Attributes:
        arguments: of the container's command, where they do not follow from the interface.
        template_ref: the template of another WorkflowTemplate that does the work, if one does.
    """

    arguments: list[str] | None = None
    template_ref: TemplateRef | None = None

    def __init__(self, function: Callable[P, R], interface: Interface, container: ContainerSpec) -> None:
        self.function = function
        self.interface = interface
        self.container = container
        self.template_name = interface.name
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        composer = current_composer()
        if composer is None:
            return self.function(*args, **kwargs)
        return cast(R, composer.call(self.for_call(args, kwargs), args, kwargs))

    def __repr__(self) -> str:
        return f"<component {self.interface.name}>"

    def options(self, *, name: str | None = None, **container: Any) -> "Component[P, R]":
        """The same step under another name, or with other fields of its `ContainerSpec`."""
        try:
            changed = dataclasses.replace(self.container, **container)
        except TypeError as error:
            raise DeclarationError(f"{self.interface.name}.options(): {error}") from None
        interface = dataclasses.replace(self.interface, name=name or self.interface.name)
        other = self._copy(interface, changed)
        if not container:
            other.template_name = self.template_name
        return other

    def _copy(self, interface: Interface, container: ContainerSpec) -> "Component[P, R]":
        return Component(self.function, interface, container)

    def for_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> "Component[Any, Any]":
        """The component as one call needs it: itself, unless its command depends on what is given."""
        return self

    def render(self, name: str) -> dict[str, Any]:
        """The step's Argo template, under the name `name`."""
        from argosy.template import render_template

        return render_template(self, name)

    @property
    def module(self) -> str:
        """The importable name of the module that declares the step."""
        name = self.function.__module__
        if name != "__main__":
            return name
        spec = getattr(sys.modules["__main__"], "__spec__", None)
        return spec.name if spec else Path(inspect.getfile(self.function)).stem

    @property
    def command(self) -> list[str]:
        """The container's command: the module itself where it holds this one step.

        A module that holds several steps is entered through `argosy.step MODULE:FUNCTION`.
        """
        function = self.function.__name__
        if self.module.rpartition(".")[2] != function:
            return ["python", "-m", "argosy.step", f"{self.module}:{function}"]
        if MAIN_GUARD not in _source(self.function.__module__):
            raise DeclarationError(
                f"{where(self.function)}: {function}() has no entry point; end the file with "
                f"'{MAIN_GUARD}' and '    {function}.main()'"
            )
        return ["python", "-m", self.module]

    def main(self, argv: Sequence[str] | None = None) -> NoReturn:
        """Run the step from a command line, as its container does, and exit."""
        from argosy.step import leave, run_step

        leave(run_step(self, sys.argv[1:] if argv is None else argv))


@functools.cache
def _source(module: str) -> str:
    return inspect.getsource(sys.modules[module])


def component(
    *,
    image: str,
    name: str | None = None,
    resources: Resources | None = None,
    env: Mapping[str, EnvValue] | None = None,
    node_selector: Mapping[str, str] | None = None,
    tolerations: Sequence[Toleration] = (),
    volumes: Sequence[Volume] = (),
    retry: Retry | None = None,
    timeout: int | None = None,
    security_context: Mapping[str, Any] | None = None,
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = "IfNotPresent",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    template: Mapping[str, Any] | None = None,
) -> Callable[[Callable[P, R]], Component[P, R]]:
    """Declare a step; the options are those of `ContainerSpec`.

    `name` is the step's name in YAML; by default the function's, with dashes.

    Raises:
        DeclarationError: the signature or an option cannot become a step.
    """
    container = ContainerSpec(
        image=image,
        resources=resources or Resources(),
        env=env or {},
        node_selector=node_selector or {},
        tolerations=tuple(tolerations),
        volumes=tuple(volumes),
        retry=retry,
        timeout=timeout,
        security_context=security_context or {},
        image_pull_policy=image_pull_policy,
        labels=labels or {},
        annotations=annotations or {},
        template=template or {},
    )

    def declare(function: Callable[P, R]) -> Component[P, R]:
        return Component(function, read_interface(function, name), container)

    return declare
