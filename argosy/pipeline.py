"""`@pipeline`: a Couler program becomes a workflow."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, overload

from argosy.compose.context import current_composer
from argosy.errors import DeclarationError, UsageError
from argosy.interface import Interface
from argosy.quiet import keep_couler_quiet
from argosy.schedule import Schedule
from argosy.signature import read_pipeline, where

if TYPE_CHECKING:
    from argosy.component import Component

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class TTL:
    """How long Argo keeps a finished workflow, in seconds."""

    after_success: int | None = 7 * 86400
    after_failure: int | None = 30 * 86400

    def to_dict(self) -> dict[str, int]:
        """Argo's `ttlStrategy`."""
        pairs = {"secondsAfterSuccess": self.after_success, "secondsAfterFailure": self.after_failure}
        return {key: value for key, value in pairs.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class WorkflowSpec:
    """What holds for a whole workflow.

    Attributes:
        service_account: the ServiceAccount of its pods.
        ttl: how long Argo keeps it.
        pod_gc: when Argo deletes its pods.
        timeout: seconds until Argo stops it.
        parallelism: how many of its pods run at a time.
        mutex: the name of a lock that one workflow holds at a time; it may name parameters:
            `"deploy-{{workflow.parameters.model-name}}"`.
        schedule: when Argo starts it; only then it compiles to a CronWorkflow.
        labels, annotations: of the workflow object.
        spec: further fields of Argo's workflow spec, in Argo's words.
        local: values that parameters take on one machine, where nobody set them; by Python name.
    """

    service_account: str | None = None
    ttl: TTL | None = field(default_factory=TTL)
    pod_gc: Literal["OnPodCompletion", "OnPodSuccess", "OnWorkflowCompletion", "OnWorkflowSuccess"] | None = (
        "OnPodSuccess"
    )
    timeout: int | None = None
    parallelism: int | None = None
    mutex: str | None = None
    schedule: Schedule | None = None
    spec: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    local: Mapping[str, str] = field(default_factory=dict)


class Pipeline(Generic[P, R]):
    """A workflow: its program, its parameters and its spec.

    Called while another pipeline is composed, its tasks become part of that one; `by_reference` is
    a step that calls the WorkflowTemplate instead.
    """

    def __init__(self, function: Callable[P, R], interface: Interface, spec: WorkflowSpec) -> None:
        self.function = function
        self.interface = interface
        self.spec = spec
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if current_composer() is None:
            name = self.interface.name
            raise UsageError(f"{name} is a pipeline: compile it, or run it with 'argosy run {name}'")
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<pipeline {self.interface.name}>"

    @property
    def by_reference(self) -> "Component[P, R]":
        """This pipeline as one step: a `templateRef` to the WorkflowTemplate that it compiles to."""
        from argosy.reuse.referenced import pipeline_reference

        return pipeline_reference(self)


@overload
def pipeline(function: Callable[P, R], /) -> Pipeline[P, R]: ...
@overload
def pipeline(*, name: str | None = None, **spec: Any) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...
def pipeline(function: Callable[P, R] | None = None, /, *, name: str | None = None, **spec: Any) -> Any:
    """Declare a pipeline, as `@pipeline` or `@pipeline(...)`; the options are those of `WorkflowSpec`.

    The function's parameters become the workflow's, with their defaults.  A NamedTuple that it returns
    becomes the outputs of the entrypoint, for whoever calls it by `templateRef`; a field's default stands
    in where the step that it comes from did not run.

    Raises:
        DeclarationError: a parameter or an option cannot become part of a workflow.
    """
    try:
        workflow_spec = WorkflowSpec(**spec)
    except TypeError as error:
        raise DeclarationError(f"pipeline(): {error}") from None

    def declare(function: Callable[P, R]) -> Pipeline[P, R]:
        keep_couler_quiet()
        interface = read_pipeline(function, name)
        unknown = set(workflow_spec.local) - {p.name for p in interface.inputs}
        if unknown:
            raise DeclarationError(
                f"{where(function)}: 'local' names no parameter: {', '.join(sorted(unknown))}"
            )
        return Pipeline(function, interface, workflow_spec)

    return declare if function is None else declare(function)
