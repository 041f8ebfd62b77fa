"""Embedded stacks: the servers of a product on one machine, and a workflow's parameters that they stand for.

A product declares its stack in the entry point group `argosy.stacks`, as a `StackKind`. Argosy's own is
`image-classification`. Where several are installed, the setting `stack` names the one of a project.

A parameter that nobody set, and whose name the project's stack knows, is pointed at the embedded stack; one
set by hand stays as it is. While the data are the embedded ones, too, the pipeline's own values for one
machine (the annotation `argosy.dev/local-parameters`) take the place of its production defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import yaml

from argosy.compose.given import LOCAL_PARAMETERS, without_password
from argosy.compose.settings import Settings
from argosy.errors import ManifestError, StackError, UsageError
from argosy.local.node import Node
from argosy.manifest.parts import parameters_of
from argosy.step.values import shown
from argosy.text import did_you_mean

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "argosy.stacks"

Health = Literal["healthy", "unhealthy", "dead", "stopped"]
Report = Callable[[str], None]
"""Takes one line of progress."""
Told = Mapping[str, Sequence[Mapping[str, Any]]]
"""What servers tell of a finished run, for the views `training` and `deployments` of its page.

A training: `step`, `runId`, and either `metrics` (a list of [step, value] by name), `artifacts` (`name`,
`path`, `size`, `kind` "image" or "csv", `content`) and `link`, or `problem`, a line. A deployment: `step`,
`model`, `before` and `after` (versions by alias; `before` None where nobody knows), `links` (addresses by
what is there).
"""


class Endpoints(Protocol):
    """Where the servers listen."""

    def to_dict(self) -> dict[str, object]:
        """All that a client needs, for `argosy status --output json`, which adds `healthy` and `services`."""
        ...

    def told(self) -> Mapping[str, str]:
        """Addresses by the servers' names, for people."""
        ...

    def details(self) -> Sequence[str]:
        """Lines with what else a client needs, without a secret."""
        ...

    def pages(self) -> Mapping[str, str]:
        """Web pages on which people look at a run, by name."""
        ...


@dataclass(frozen=True)
class ServiceStatus:
    """One server: `dead` has ended on its own, `stopped` was never started or was stopped by `down`."""

    name: str
    health: Health
    address: str
    pid: int | None = None
    problem: str = ""
    """What is wrong, with the last lines of the log; empty for a healthy or stopped server."""


@dataclass(frozen=True)
class StackStatus:
    """All servers of a stack; `endpoints` is None where the stack has never been up."""

    services: tuple[ServiceStatus, ...]
    endpoints: Endpoints | None

    @property
    def healthy(self) -> bool:
        """Whether every server is up and answers."""
        return bool(self.services) and all(service.health == "healthy" for service in self.services)

    def to_dict(self) -> dict[str, Any]:
        """JSON: the servers, and beside them the endpoints, unless all are stopped."""
        is_up = self.endpoints is not None and any(one.health != "stopped" for one in self.services)
        where = self.endpoints.to_dict() if self.endpoints is not None and is_up else {}
        return {**where, "healthy": self.healthy, "services": [asdict(one) for one in self.services]}

    def require_healthy(self) -> Endpoints:
        """The endpoints; StackError, which says what is wrong, unless everything is healthy."""
        if self.endpoints is not None and self.healthy:
            return self.endpoints
        problems = [service.problem for service in self.services if service.problem]
        raise StackError("\n".join(problems) or "the stack is not up; run `argosy up`")


class Stack(Protocol):
    """The servers that belong to one state folder; what fails raises StackError."""

    def prepare(self, report: Report) -> str:
        """Install what the servers need and start nothing; the line that says where."""
        ...

    def up(self, report: Report) -> Endpoints:
        """Start what does not run, mend what is not well."""
        ...

    def down(self, report: Report) -> None:
        """Stop all servers; their data stay."""
        ...

    def status(self) -> StackStatus:
        """Ask every server how it is; changes nothing."""
        ...

    def endpoints(self) -> Endpoints:
        """Where the servers listen; StackError if the stack is not up."""
        ...

    def environment(self) -> dict[str, str]:
        """Variables that a step needs."""
        ...

    def parameters(self) -> dict[str, str]:
        """Values by the names of the workflow parameters that point a pipeline at this stack."""
        ...


@dataclass(frozen=True)
class StepImports:
    """The imports that a product's steps share, which a run makes once for all of them (forks.py).

    Attributes:
        steps: the package whose modules are run as steps, `python -m PACKAGE.MODULE`. They import the SDK
            before anything that would notice that it is there.
        packages: names at the top whose import is the same in every process: it starts no thread, writes
            nothing, has no seed, and reads no variable that begins with `ARGOSY_`, nor `TMPDIR`.
    """

    steps: str
    packages: frozenset[str] = frozenset()

    def of(self, module: str) -> bool:
        """Whether a module is one of the steps."""
        return module == self.steps or module.startswith(f"{self.steps}.")


@dataclass(frozen=True)
class StackKind:
    """A product's embedded stack, before anything that runs it is imported.

    Attributes:
        parameters: names of workflow parameters that the stack fills in, where nobody set them; a workflow
            that has one needs the stack.
        beside: names that it fills in, too, where something else needs it.
        data: the parameter of `parameters` that names the data. Set by hand, a pipeline's own values for one
            machine do not hold.
        open: the stack of a state folder; raises UsageError if the packages that run it are not installed.
        told: what the product's servers tell of a run, by the run's parameters and its nodes; raises nothing
            for a server that does not answer.
        step_imports: the imports that the product's steps share; None: each step makes its own.
    """

    parameters: tuple[str, ...]
    beside: tuple[str, ...]
    data: str
    open: Callable[[Path], Stack]
    told: Callable[[Mapping[str, str], Sequence[Node]], Told] | None = None
    step_imports: StepImports | None = None


def stack_kind() -> StackKind | None:
    """The stack of this project: the one that its settings name, else the one that is installed.

    Raises:
        UsageError: the settings name none that is installed, or several are and they name none.
        StackError: what the entry point names is no `StackKind`.
    """
    from importlib.metadata import entry_points

    installed = {one.name: one for one in entry_points(group=GROUP)}
    named = Settings.find().stack
    if named is not None:
        if named not in installed:
            raise UsageError(f"no stack '{named}' is installed{did_you_mean(named, installed)}")
        return _load(installed[named])
    if len(installed) > 1:
        names = ", ".join(sorted(installed))
        raise UsageError(f"several stacks are installed ({names}); name one as `stack:` in argosy.yaml")
    return _load(*installed.values()) if installed else None


def step_imports() -> StepImports | None:
    """The imports that the steps of this project's product share; None where it says nothing of them."""
    try:
        kind = stack_kind()
    except Exception:  # it only makes steps start sooner: whoever needs the stack says what is wrong
        return None
    return kind.step_imports if kind is not None else None


def _load(entry: EntryPoint) -> StackKind:
    kind: Any = entry.load()
    if not isinstance(kind, StackKind):
        raise StackError(f"the entry point '{entry.name}' of {GROUP} ({entry.value}) is no StackKind")
    return kind


def open_stack(state_dir: Path) -> Stack:
    """The stack of a folder; UsageError where none is installed, or not all that runs it."""
    kind = stack_kind()
    if kind is None:
        raise UsageError(f"no embedded stack is installed: nothing declares the entry point {GROUP}")
    return kind.open(state_dir)


@dataclass(frozen=True)
class Binding:
    """A workflow's parameters on one machine.

    Attributes:
        given: as the user set them.
        laptop: the pipeline's own values for one machine.
        from_stack: names that the embedded stack will fill in; none: it is not needed.
    """

    given: Mapping[str, str]
    laptop: Mapping[str, str] = field(default_factory=dict)
    from_stack: tuple[str, ...] = ()

    def parameters(self, stack: Stack | None) -> dict[str, str]:
        """All values that differ from the manifest's; without a stack its names stand for themselves."""
        places = stack.parameters() if stack else {name: name for name in self.from_stack}
        return {**self.laptop, **{name: places[name] for name in self.from_stack}, **self.given}

    def told(self, stack: Stack | None) -> list[str]:
        """`name = value` of each parameter that is set here, with a word for those that the user set."""
        values = self.parameters(stack).items()
        return [f"{n} = {_one_line(v)} (as given)" if n in self.given else f"{n} = {v}" for n, v in values]


def _one_line(value: str) -> str:
    """A user's value on one line, cut where it is long, without a password."""
    text = without_password(value)
    return text if text.isprintable() and len(text) < 100 else shown(text)


def bind_locally(manifest: Mapping[str, Any], given: Mapping[str, str]) -> Binding:
    """The values that `argosy run` sets beside the user's own parameters.

    Raises:
        ManifestError: the manifest's annotation is not a mapping of texts.
        UsageError: the project's stack is not installed, or several are.
    """
    declared = _declared_parameters(manifest)
    kind = stack_kind()
    from_stack = tuple(n for n in kind.parameters if n in declared and n not in given) if kind else ()
    if kind is None or not from_stack:
        return Binding(given)
    from_stack += tuple(n for n in kind.beside if n in declared and n not in given)
    own_data = kind.data in given
    return Binding(given, {} if own_data else _laptop_values(manifest, declared), from_stack)


def _declared_parameters(manifest: Mapping[str, Any]) -> set[str]:
    return {p["name"] for p in parameters_of(manifest)}


def _laptop_values(manifest: Mapping[str, Any], declared: set[str]) -> dict[str, str]:
    metadata = manifest.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    text = (annotations or {}).get(LOCAL_PARAMETERS)
    if text is None:
        return {}
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError:
        values = None
    if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
        raise ManifestError(f"metadata.annotations: {LOCAL_PARAMETERS} is not a mapping of names to texts")
    return {name: value for name, value in values.items() if name in declared}
