"""A component that somebody else published as a template: declared here, called by `templateRef`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar

from argosy.declare.component import Component
from argosy.declare.container import ContainerSpec
from argosy.declare.groups import Group
from argosy.declare.names import python_name
from argosy.declare.reference import TemplateRef
from argosy.declare.signature import read_interface
from argosy.errors import DeclarationError, UsageError
from argosy.step.interface import ENTRYPOINT, Interface, Port, argo_name

P = ParamSpec("P")
R = TypeVar("R")

# The container is the other team's: nothing of it is known, and nothing of it is written.
_ELSEWHERE = ContainerSpec(image="elsewhere")


class ReferencedComponent(Component[P, R]):
    """A step whose task calls a template of another WorkflowTemplate."""

    def __init__(self, function: Callable[P, R], interface: Interface, reference: TemplateRef) -> None:
        super().__init__(function, interface, _ELSEWHERE)
        self.template_ref: TemplateRef = reference

    def _copy(self, interface: Interface, container: ContainerSpec) -> "ReferencedComponent[P, R]":
        if container != _ELSEWHERE:
            owner = self.template_ref.workflow_template
            raise DeclarationError(
                f"{interface.name}: its container belongs to '{owner}'; only its name is ours"
            )
        copy: ReferencedComponent[P, R] = ReferencedComponent(self.function, interface, self.template_ref)
        copy.groups = self.groups
        return copy

    @property
    def module(self) -> str:
        """The WorkflowTemplate that holds the step."""
        return self.template_ref.workflow_template

    @property
    def command(self) -> list[str]:
        """None: the template elsewhere has one."""
        return []


def template_ref(
    workflow_template: str, template: str, *, cluster_scope: bool = False, name: str | None = None
) -> Callable[[Callable[P, R]], Component[P, R]]:
    """Declare a template of another WorkflowTemplate, to call it as a component.

    The function's signature says what goes in and out; its body is never run.  A port whose name in YAML is
    not the Python name with dashes is annotated with it: `run: Annotated[str, "runId"]`.  A default only says
    that the input may be left out: the value is the template's own.

        @template_ref("team-library", "promote")
        def promote(run_id: str, min_accuracy: float = 0.9) -> Promotion: ...

    Args:
        workflow_template: the WorkflowTemplate's name in the cluster.
        template: the template in it.
        cluster_scope: it is a ClusterWorkflowTemplate.
        name: of the step; by default the function's, with dashes.

    Raises:
        DeclarationError: a name, or the signature, cannot be one of Argo's.
    """
    reference = TemplateRef(workflow_template, template, cluster_scope)

    def declare(function: Callable[P, R]) -> Component[P, R]:
        found = read_interface(function, name)
        inputs, outputs = (tuple(map(_named, ports)) for ports in (found.inputs, found.outputs))
        interface = replace(found, inputs=inputs, outputs=outputs)
        component = ReferencedComponent(function, interface, reference)
        component.function = refusal(interface.name, reference)
        return component

    return declare


def pipeline_reference(
    function: Callable[P, R], interface: Interface, groups: Mapping[str, Group]
) -> Component[P, R]:
    """A pipeline as one step: its WorkflowTemplate's entrypoint, called by `templateRef`."""
    reference = TemplateRef(interface.name, ENTRYPOINT)
    step = ReferencedComponent(function, interface, reference)
    step.groups = groups
    step.function = refusal(interface.name, reference)
    return step


def _named(port: Port) -> Port:
    """Here the annotated text is the name in YAML: there is no file to name."""
    return replace(port, yaml_name="" if port.file_name == argo_name(port.name) else port.file_name)


def refusal(name: str, reference: TemplateRef) -> Callable[..., Any]:
    """A stand-in for the function that a step of our own has."""

    def function(*args: Any, **kwargs: Any) -> Any:
        place = f"template '{reference}' of '{reference.workflow_template}'"
        raise UsageError(f"{name}() is {place}, which a cluster runs; call it in a pipeline")

    function.__name__ = function.__qualname__ = python_name(name)
    return function
