"""A manifest as the runner sees it. Text is kept with its tags; nothing is looked up yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from argosy.local.box import Box
from argosy.local.kept import Source
from argosy.local.mounts import Mount
from argosy.local.shared import Lock, Memo


@dataclass(frozen=True)
class Parameter:
    """A parameter that is taken, or given: a file's content, a task's output, or an expression's value.

    For one that is taken `value` and `default` both stand in for an argument. One that a suspend template
    gives is its default, or what whoever approves supplies.
    """

    name: str
    value: str | None = None
    default: str | None = None
    enum: tuple[str, ...] = ()
    path: str | None = None
    parameter: str | None = None
    expression: str | None = None
    global_name: str | None = None

    @property
    def fallback(self) -> str | None:
        """The value if nobody passes one; None if it has to be passed."""
        return self.value if self.value is not None else self.default


@dataclass(frozen=True)
class Artifact:
    """A file or folder that a template takes or gives, or that a task passes.

    It is at `path`, or another one, which `source` names with a tag and `expression` chooses, or the text
    `raw`. `fetched` names the kind of place that it comes from, `location` is that place, and `unpacked`
    whether an archive there is unpacked.
    """

    name: str
    path: str | None = None
    source: str | None = None
    expression: str | None = None
    raw: str | None = None
    sub_path: str | None = None
    optional: bool = False
    mode: int | None = None
    fetched: str | None = None
    location: Mapping[str, Any] = field(default_factory=dict)
    unpacked: bool = True
    global_name: str | None = None


@dataclass(frozen=True)
class Arguments:
    """The arguments of a template, by name."""

    parameters: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)


@dataclass(frozen=True)
class EnvVar:
    """An environment variable: a value, a field of the pod, or a key kept outside of the manifest."""

    name: str
    value: str | None = None
    field_path: str | None = None
    source: Source | None = None
    optional: bool = False


@dataclass(frozen=True)
class EnvFrom:
    """All keys of a Secret or ConfigMap as environment variables."""

    kind: str
    name: str
    prefix: str = ""
    optional: bool = False


@dataclass(frozen=True)
class Probe:
    """One question: a request, a connection or a program; `ports` are those that the container names."""

    kind: str
    body: Mapping[str, Any]
    timeout: float = 1.0
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Container:
    """A program. `source` is the text of a script, whose file becomes the last argument.

    Without a `command` the image's own is meant, which only a container engine knows.
    """

    command: tuple[str, ...]
    args: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    working_dir: str | None = None
    source: str | None = None
    mounts: tuple[Mount, ...] = ()
    env_from: tuple[EnvFrom, ...] = ()
    name: str = "main"
    ready: Probe | None = None
    box: Box = field(default_factory=Box)
    dependencies: tuple[str, ...] = ()
    """Of a container of a set: those that have to end with 0 before it starts."""


@dataclass(frozen=True)
class SetRetry:
    """How often each container of a set is tried, a number or a tag, and the seconds between two tries."""

    attempts: str = "1"
    pause: str = "0"


@dataclass(frozen=True)
class Request:
    """The request of an http template; a header's value may come from a Secret."""

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str | Source], ...] = ()
    body: str | None = None
    content: bytes | None = None
    condition: str | None = None
    timeout: float = 30.0
    verified: bool = True


@dataclass(frozen=True)
class Retry:
    """A retryStrategy; `limit` None retries for ever. Durations are seconds."""

    limit: str | None = None
    policy: str = "OnFailure"
    expression: str | None = None
    duration: float | None = 0.0
    """Before the second attempt; None where a back-off is wanted that does not say it."""
    factor: float = 1.0
    max_duration: float | None = None
    cap: float | None = None


@dataclass(frozen=True)
class Hook:
    """A template to run when something ends, or as soon as the expression holds."""

    template: str
    arguments: Arguments = field(default_factory=Arguments)
    expression: str | None = None


@dataclass(frozen=True)
class Loop:
    """The items that a task is repeated over: exactly one of the three."""

    items: tuple[Any, ...] | None = None
    param: str | None = None
    sequence: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Call:
    """A DAG task or a step: a template, what it gets, when it runs. `depends`: None where none is written."""

    name: str
    template: str
    arguments: Arguments = field(default_factory=Arguments)
    dependencies: tuple[str, ...] = ()
    depends: str | None = None
    when: str | None = None
    loop: Loop | None = None
    continue_on_failed: bool = False
    continue_on_error: bool = False
    exit_hook: Hook | None = None
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    """What runs once while it runs or has ended, by name."""

    @property
    def called(self) -> tuple[str, ...]:
        """The templates that it and its hooks run."""
        hooks = (*([self.exit_hook] if self.exit_hook else ()), *self.hooks.values())
        return (self.template, *(hook.template for hook in hooks))


@dataclass(frozen=True)
class Template:
    """One template; `kind` says what it is: `container`, `dag`, `steps`, ...

    Of a container set `container` is `main`, or the first where none has that name.
    """

    name: str
    kind: str
    parameters: tuple[Parameter, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    outputs: tuple[Parameter, ...] = ()
    output_artifacts: tuple[Artifact, ...] = ()
    container: Container | None = None
    init_containers: tuple[Container, ...] = ()
    sidecars: tuple[Container, ...] = ()
    containers: tuple[Container, ...] = ()
    """Those of a container set."""
    set_retry: SetRetry = field(default_factory=SetRetry)
    daemon: bool = False
    request: Request | None = None
    groups: tuple[tuple[Call, ...], ...] = ()
    """Its steps; the tasks of a DAG are one group."""
    results: frozenset[str] = frozenset()
    """Names, results among them, that the tags and expressions of a DAG or of steps read."""
    retry: Retry | None = None
    timeout: str | None = None
    deadline: str | None = None
    parallelism: int | None = None
    fail_fast: bool = False
    """The template's own `failFast`."""
    locks: tuple[Lock, ...] = ()
    """Mutexes and semaphores that it holds while it runs."""
    memo: Memo | None = None
    """Under which key its outputs are remembered."""
    suspended: str | None = None
    """How long a suspend template waits; empty until somebody approves, None of other templates."""
    dag_fail_fast: bool = True
    """A DAG's `failFast`: whether the first or the last branch that failed gives the DAG its phase."""
    target: str = ""

    @property
    def is_leaf(self) -> bool:
        """Whether it is a program, not a composition."""
        return self.container is not None

    @property
    def programs(self) -> tuple[Container, ...]:
        """All containers of its pod."""
        own = (self.container,) if self.container and not self.containers else self.containers
        return (*self.init_containers, *own, *self.sidecars)

    def place(self, container: Container) -> str:
        """Where one of them stands in the manifest, for messages."""
        lists = {
            "initContainers": self.init_containers,
            "containerSet": self.containers,
            "sidecars": self.sidecars,
        }
        within = next((field for field, found in lists.items() if container in found), None)
        return f"template '{self.name}'" + (f".{within}[{container.name}]" if within else "")

    @property
    def acts(self) -> bool:
        """Whether it does something itself: a program, or a request."""
        return self.is_leaf or self.request is not None

    @property
    def paths(self) -> dict[str, str]:
        """The paths it declares, by the tags that give their places (`outputs.artifacts.model.path`)."""
        ports = {
            "inputs.artifacts": [(port.name, port.path) for port in self.artifacts],
            "outputs.artifacts": [(port.name, port.path) for port in self.output_artifacts],
            "outputs.parameters": [(port.name, port.path) for port in self.outputs],
        }
        return {f"{kind}.{name}.path": path for kind, found in ports.items() for name, path in found if path}

    @property
    def calls(self) -> tuple[Call, ...]:
        """Its tasks or steps, in order."""
        return tuple(call for group in self.groups for call in group)


@dataclass(frozen=True)
class Workflow:
    """A whole manifest, every template parsed that can be reached."""

    name: str | None
    generate_name: str | None
    namespace: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    entrypoint: str
    parameters: tuple[Parameter, ...]
    artifacts: Mapping[str, Artifact]
    templates: Mapping[str, Template]
    on_exit: Hook | None = None
    hooks: Mapping[str, Hook] = field(default_factory=dict)
    locks: tuple[Lock, ...] = ()
    deadline: float | None = None
    parallelism: int | None = None
    service_account: str = "default"
    priority: str = "0"
