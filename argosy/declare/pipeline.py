"""`@pipeline`: a Couler program becomes a workflow, and its `Schedule` says when Argo starts one."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, TypeVar, get_args, overload

from argosy.declare.component import current_composer
from argosy.declare.fields import (
    expect,
    expect_annotations,
    expect_count,
    expect_labels,
    expect_object,
    expect_text,
)
from argosy.declare.groups import Group, gathered
from argosy.declare.retry import seconds
from argosy.declare.schedule import schedule_trouble, zone_exists
from argosy.declare.signature import check_function, read_pipeline, where
from argosy.errors import DeclarationError, UsageError
from argosy.step.interface import Interface, Port
from argosy.step.quiet import keep_couler_quiet

if TYPE_CHECKING:
    from typing import ParamSpec

    from typing_extensions import Unpack

    from argosy.declare.component import Component

    P = ParamSpec("P")
else:
    P = TypeVar("P")  # Python 3.9, which may read this in a container, has no ParamSpec
R = TypeVar("R")

PodGC = Literal["OnPodCompletion", "OnPodSuccess", "OnWorkflowCompletion", "OnWorkflowSuccess"]


@dataclass(frozen=True)
class Schedule:
    """The cron part of a CronWorkflow, in the form of Argo 3.6 and later.

    Attributes:
        cron: one cron expression of five fields, or several; "@daily", "@every 90m" and the like, too.
        timezone: an IANA name; None is the controller's.
        concurrency_policy: what happens when the one before still runs.
        starting_deadline: seconds after a missed time in which a start still counts.
        keep_succeeded, keep_failed: how many finished workflows Argo keeps.
    """

    cron: str | Sequence[str]
    timezone: str | None = None
    concurrency_policy: Literal["Allow", "Forbid", "Replace"] = "Forbid"
    starting_deadline: int | None = None
    keep_succeeded: int | None = None
    keep_failed: int | None = None

    def __post_init__(self) -> None:
        expect("schedule: cron", self.cron, "a cron expression, or a list of them", str, list, tuple)
        for expression in self.expressions:
            expect_text("schedule: cron", expression)
        for name in ("starting_deadline", "keep_succeeded", "keep_failed"):
            if (value := getattr(self, name)) is not None:
                expect_count(f"schedule: {name}", value)
        if not self.expressions:
            raise DeclarationError("schedule: no cron expression")
        for expression in self.expressions:
            if trouble := schedule_trouble(expression):
                raise DeclarationError(f"schedule: {expression!r} is no cron expression: {trouble}")
        if self.concurrency_policy not in ("Allow", "Forbid", "Replace"):
            raise DeclarationError(
                f"schedule: concurrency_policy {self.concurrency_policy!r} is none of Allow, Forbid, Replace"
            )
        if self.timezone is not None:
            expect_text("schedule: timezone", self.timezone)
            if not zone_exists(self.timezone):
                raise DeclarationError(
                    f"schedule: {self.timezone!r} is not a time zone; write an IANA name, 'Europe/Berlin'"
                )

    @property
    def expressions(self) -> list[str]:
        return [self.cron] if isinstance(self.cron, str) else list(self.cron)

    def to_dict(self) -> dict[str, Any]:
        """The fields of a CronWorkflow's spec beside `workflowSpec`."""
        pairs = {
            "schedules": self.expressions,
            "timezone": self.timezone,
            "concurrencyPolicy": self.concurrency_policy,
            "startingDeadlineSeconds": self.starting_deadline,
            "successfulJobsHistoryLimit": self.keep_succeeded,
            "failedJobsHistoryLimit": self.keep_failed,
        }
        return {key: value for key, value in pairs.items() if value is not None}


@dataclass(frozen=True)
class TTL:
    """How long Argo keeps a finished workflow, in seconds."""

    after_success: int | None = 7 * 86400
    after_failure: int | None = 30 * 86400

    def __post_init__(self) -> None:
        for name in ("after_success", "after_failure"):
            if (value := getattr(self, name)) is not None:
                expect_count(f"ttl: {name}", value)

    def to_dict(self) -> dict[str, int]:
        """Argo's `ttlStrategy`."""
        pairs = {"secondsAfterSuccess": self.after_success, "secondsAfterFailure": self.after_failure}
        return {key: value for key, value in pairs.items() if value is not None}


@dataclass(frozen=True)  # kw_only is not in Python 3.9, which reads this in a container
class WorkflowSpec:
    """Settings of a whole workflow.

    Attributes:
        service_account: the ServiceAccount of its pods.
        ttl: how long Argo keeps it.
        pod_gc: when Argo deletes its pods.
        timeout: until Argo stops it: seconds, or a text such as "1h30m".
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
    pod_gc: PodGC | None = "OnPodSuccess"
    timeout: int | str | None = None
    parallelism: int | None = None
    mutex: str | None = None
    schedule: Schedule | None = None
    spec: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    local: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "timeout", seconds("timeout", self.timeout))
        if self.service_account is not None:
            expect_object("service_account", self.service_account)
        if self.mutex is not None:
            expect_text("mutex", self.mutex)
        if self.pod_gc not in (*get_args(PodGC), None):
            raise DeclarationError(f"pod_gc {self.pod_gc!r} is none of {', '.join(get_args(PodGC))}")
        ttl: object = self.ttl
        schedule: object = self.schedule
        if ttl is not None:
            meant = f"TTL(after_success={ttl!r})" if isinstance(ttl, int) else ""
            expect("ttl", ttl, "TTL(...)", TTL, instead=meant)
        if schedule is not None:
            meant = f"Schedule({schedule!r})" if isinstance(schedule, str) else ""
            expect("schedule", schedule, "Schedule(...)", Schedule, instead=meant)
        if self.parallelism is not None:
            expect_count("parallelism", self.parallelism, 1)
        expect_labels("labels", self.labels)
        expect_annotations("annotations", self.annotations)
        for name in ("spec", "local"):
            expect(name, getattr(self, name), "a mapping", Mapping)


class Pipeline(Generic[P, R]):
    """A workflow: its program, its parameters and its spec.

    Called while another pipeline is composed, its tasks become part of that one; `by_reference` is
    a step that calls the WorkflowTemplate instead.
    """

    def __init__(
        self,
        function: Callable[P, R],
        interface: Interface,
        spec: WorkflowSpec,
        groups: Mapping[str, Group] | None = None,
    ) -> None:
        self.function = function
        self.interface = interface
        self.spec = spec
        self.groups = groups or {}
        functools.update_wrapper(self, function)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if current_composer() is None:
            raise UsageError(
                f"{self.interface.name} is a pipeline, and runs by 'argosy run {self._target}'; "
                "'argosy compile' prints its manifest"
            )
        return self.function(*args, **kwargs)

    @property
    def _target(self) -> str:
        """The pipeline as a command line names it."""
        if self.function.__module__.startswith("argosy.pipelines."):
            return self.interface.name
        return where(self.function).rpartition(":")[0]

    def composed(self, parameters: Mapping[str, Any]) -> Any:
        """Run the program with the workflow's parameters, by their flat Python names."""
        program: Callable[..., Any] = self.function
        return program(**gathered(self.groups, parameters))

    def __repr__(self) -> str:
        return f"<pipeline {self.interface.name}>"

    @property
    def by_reference(self) -> Component[P, R]:
        """This pipeline as one step: a `templateRef` to the WorkflowTemplate that it compiles to."""
        from argosy.declare.referenced import pipeline_reference

        return pipeline_reference(self.function, self.interface, self.groups)


class WorkflowOptions(TypedDict, total=False):
    """The fields of `WorkflowSpec`, as keyword arguments that a type checker knows."""

    service_account: str | None
    ttl: TTL | None
    pod_gc: PodGC | None
    timeout: int | str | None
    parallelism: int | None
    mutex: str | None
    schedule: Schedule | None
    spec: Mapping[str, Any]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    local: Mapping[str, str]


@overload
def pipeline(function: Callable[P, R], /) -> Pipeline[P, R]: ...
@overload
def pipeline(
    *, name: str | None = None, **spec: Unpack[WorkflowOptions]
) -> Callable[[Callable[P, R]], Pipeline[P, R]]: ...
def pipeline(function: Callable[P, R] | None = None, /, *, name: str | None = None, **spec: Any) -> Any:
    """Declare a pipeline, as `@pipeline` or `@pipeline(...)`; the options are those of `WorkflowSpec`.

    The function's parameters become the workflow's, with their defaults; one that is a NamedTuple or a
    dataclass is a group, whose fields become parameters by their own names.  A NamedTuple that it returns
    becomes the outputs of the entrypoint, for whoever calls it by `templateRef`; a field's default stands
    in where the step that it comes from did not run.

    Raises:
        DeclarationError: the function, a parameter or an option cannot become part of a workflow.
    """
    workflow_spec = _spec_of(spec)

    def declare(function: Callable[P, R]) -> Pipeline[P, R]:
        keep_couler_quiet()
        check_function(function, "pipeline", name)
        interface, groups = read_pipeline(function, name)
        _check_name(function, interface.name)
        names = [p.name for p in interface.inputs]
        unknown = next((local for local in workflow_spec.local if local not in names), None)
        if unknown:
            raise DeclarationError(
                f"{where(function)}: 'local' names no parameter: {unknown}; there is: {', '.join(names)}"
            )
        for port in interface.inputs:
            if port.name in workflow_spec.local:
                _check_local(function, port, workflow_spec.local[port.name])
        return Pipeline(function, interface, workflow_spec, groups)

    return declare if function is None else declare(function)


def _check_name(function: Callable[..., Any], name: str) -> None:
    try:
        expect_object("the name of a pipeline", name, 63)
    except DeclarationError as error:
        hint = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")[:63] or "pipeline"
        raise DeclarationError(f"{where(function)}: {error}: @pipeline(name={hint!r})") from None


def _check_local(function: Callable[..., Any], port: Port, value: Any) -> None:
    try:
        expect_text(f"local: '{port.name}'", value)
        port.type.decode(value)  # type: ignore[union-attr]  # a pipeline's parameters are no files
    except (DeclarationError, ValueError) as error:
        told = error if isinstance(error, DeclarationError) else f"local: '{port.name}': {error}"
        raise DeclarationError(f"{where(function)}: {told}") from None


def _spec_of(options: dict[str, Any]) -> WorkflowSpec:
    known = [field.name for field in fields(WorkflowSpec)]
    for name in options:
        if name not in known:
            raise _refusal(f"there is no option '{name}'", name, known)
    try:
        return WorkflowSpec(**options)
    except DeclarationError as error:
        raise _refusal(str(error)) from None


def _refusal(problem: str, name: str = "", known: Sequence[str] = ()) -> DeclarationError:
    """On the line of the decorator."""
    from argosy.declare.source import call_site
    from argosy.text import did_you_mean

    return DeclarationError(f"{call_site()}: pipeline(): {problem}{did_you_mean(name, known)}")
