"""Couler as composing needs it: imported without its cluster client, and with the verbs that it lacks.

Among them is `couler.steps`: distributed training as a job of Kubeflow's training operator, which the step
waits for.
"""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import wraps
from types import FrameType, ModuleType
from typing import Any

from argosy.declare.source import call_site
from argosy.errors import ComposeError
from argosy.manifest.parts import spec_of

Resources = Mapping[str, Any] | str
# The name of a resource in Couler's programs, and in Kubernetes.
_RESOURCES = {"gpu": "nvidia.com/gpu", "disk": "ephemeral-storage", "cpu": "cpu", "memory": "memory"}
_OF_A_ROLE = ("image", "command", "resources", "restart_policy")
# Verbs that have no counterpart here, and what to write instead.
_INSTEAD = {
    "fan_out": "loop with couler.map(function, list)",
    "katib": "give the Experiment's manifest to couler.run_job(manifest=..., success_condition=..., "
    "failure_condition=...), or loop over values with couler.map",
}


@dataclass(frozen=True)
class Trainer:
    """One kind of job.

    Attributes:
        kind: of the job, as Kubernetes names it.
        name: of its containers, and of the step.
        replicas: the field of the job's spec that holds its roles.
        leader: the role of which there is one.
        others: the other roles; what `train` is told of a role begins with the role's name.
        optional: whether the leader is left out unless `no_LEADER=False` is given.
    """

    kind: str
    name: str
    replicas: str
    leader: str
    others: tuple[str, ...] = ("Worker",)
    optional: bool = False

    def train(
        self,
        image: str | None = None,
        command: Any = "",
        secret: str | None = None,
        *,
        num_workers: int = 0,
        clean_pod_policy: str = "Running",
        timeout: int | None = None,
        **of_roles: Any,
    ) -> Any:
        """Add a step that makes the job and ends as its workers do.

        Raises:
            ComposeError: the job has no role at all, a role has no image, or an argument is unknown.
        """
        import couler.argo as couler

        counts = self._counts(num_workers, of_roles)
        shared = {"image": image, "command": command, "secret": secret}
        specs = {role: self._role(role, count, shared, of_roles) for role, count in counts.items() if count}
        if unknown := next(iter(of_roles), None):
            raise mistake(f"train() of a {self.kind} has no argument '{unknown}'")
        if not specs:
            raise mistake(f"a {self.kind} without workers trains nothing; give num_workers=1")
        watched = "Worker" if "Worker" in specs else next(iter(specs))
        return couler.run_job(
            manifest=self._manifest(specs, clean_pod_policy),
            success_condition=f"status.replicaStatuses.{watched}.succeeded == {counts[watched]}",
            failure_condition=f"status.replicaStatuses.{watched}.failed > 0",
            step_name=f"{self.name}-train",
            timeout=timeout,
        )

    def _counts(self, workers: int, of_roles: dict[str, Any]) -> dict[str, int]:
        without_leader = of_roles.pop(f"no_{self.leader.lower()}", self.optional)
        counts = {self.leader: int(not without_leader)}
        for role in self.others:
            counts[role] = workers if role == "Worker" else of_roles.pop(f"num_{role.lower()}", 0)
        return counts

    def _role(self, role: str, count: int, shared: Mapping[str, Any], of_roles: dict[str, Any]) -> Any:
        own = {key: of_roles.pop(f"{role.lower()}_{key}", None) for key in _OF_A_ROLE}
        image, command = own["image"] or shared["image"], own["command"] or shared["command"]
        if not image:
            raise mistake(f"the {role} of a {self.kind} needs an image")
        container: dict[str, Any] = {"name": self.name, "image": image}
        if command:
            container["command"] = [command] if isinstance(command, str) else list(command)
        if shared["secret"] is not None:
            container["env"] = _secret_variables(shared["secret"])
        if own["resources"]:
            container["resources"] = {"limits": _limits(own["resources"])}
        policy = own["restart_policy"] or "Never"
        return {"replicas": count, "restartPolicy": policy, "template": {"spec": {"containers": [container]}}}

    def _manifest(self, specs: Mapping[str, Any], clean_pod_policy: str) -> str:
        from argosy.manifest.emit import to_yaml

        return to_yaml(
            {
                "apiVersion": "kubeflow.org/v1",
                "kind": self.kind,
                "metadata": {"generateName": f"{self.name}-train-"},
                "spec": {"runPolicy": {"cleanPodPolicy": clean_pod_policy}, self.replicas: specs},
            }
        )


def mistake(problem: str) -> ComposeError:
    """An error in what a program says, with the line that says it."""
    return ComposeError(f"{call_site()}: {problem}")


def _secret_variables(secret: str) -> list[Any]:
    from couler.core import states

    known = states._secrets.get(secret)
    if known is None:
        raise mistake(f"there is no Secret '{secret}'; make it with couler.create_secret")
    found: list[Any] = known.to_env_list()
    return found


def _limits(resources: Resources) -> dict[str, str]:
    """`cpu=1,memory=1Gi,gpu=1`, or a mapping, under Kubernetes' names."""
    pairs = resources.items() if isinstance(resources, Mapping) else _pairs(resources)
    unknown = next((key for key, _ in pairs if key not in _RESOURCES and "/" not in key), None)
    if unknown is not None:
        raise mistake(f"a training step has no resource '{unknown}'; one of {', '.join(_RESOURCES)}")
    return {_RESOURCES.get(key, key): str(value) for key, value in pairs}


def _pairs(resources: str) -> list[tuple[str, str]]:
    found = []
    for word in resources.split(","):
        key, _, value = (part.strip() for part in word.partition("="))
        if not key or not value:
            raise mistake(f"resources {resources!r} are not of the form 'cpu=1,memory=1Gi'")
        found.append((key, value))
    return found


_TRAINERS = (
    Trainer("MPIJob", "mpi", "mpiReplicaSpecs", "Launcher"),
    Trainer("PyTorchJob", "pytorch", "pytorchReplicaSpecs", "Master"),
    Trainer("TFJob", "tensorflow", "tfReplicaSpecs", "Chief", ("PS", "Worker"), optional=True),
)
STEPS: Mapping[str, Callable[..., Any]] = {trainer.name: trainer.train for trainer in _TRAINERS}
"""`train` of each module of `couler.steps`, by the module's name."""


@dataclass
class Toleration:
    """A taint of nodes that the workflow's pods put up with, as Kubernetes words it."""

    key: str
    effect: str
    operator: str

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        return asdict(self)


@dataclass
class DnsConfigOption:
    """An option of the resolver, such as `ndots`."""

    name: str
    value: Any = None

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        return {"name": self.name} | ({} if self.value is None else {"value": str(self.value)})


@dataclass
class DnsConfig:
    """Where the workflow's pods look up names."""

    nameservers: Sequence[str] | None = None
    options: Sequence[DnsConfigOption] | None = None
    searches: Sequence[str] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        lists = {"nameservers": self.nameservers, "searches": self.searches}
        found: dict[str, Any] = {key: list(names) for key, names in lists.items() if names}
        return found | ({"options": [o.to_dict() for o in self.options]} if self.options else {})


@dataclass
class ImagePullSecret:
    """The Secret with which images are pulled."""

    name: str

    def to_dict(self) -> dict[str, Any]:
        """As it stands in a manifest."""
        return {"name": self.name}


class _Extras:
    """Additions to Couler's class of workflows; `extras` is kept with the workflow's own state."""

    @staticmethod
    def add_toleration(workflow: Any, toleration: Toleration) -> None:
        found = _extras(workflow).setdefault("tolerations", [])
        if toleration.to_dict() not in found:
            found.append(toleration.to_dict())

    @staticmethod
    def add_image_pull_secret(workflow: Any, image_pull_secret: ImagePullSecret) -> None:
        found = _extras(workflow).setdefault("imagePullSecrets", [])
        if image_pull_secret.to_dict() not in found:
            found.append(image_pull_secret.to_dict())

    @staticmethod
    def set_dns(workflow: Any, dns_policy: str | None, dns_config: DnsConfig | None) -> None:
        given = {"dnsPolicy": dns_policy, "dnsConfig": dns_config and dns_config.to_dict()}
        _extras(workflow).update({key: value for key, value in given.items() if value})


def _extras(workflow: Any) -> dict[str, Any]:
    found: dict[str, Any] = vars(workflow).setdefault("extras", {})
    return found


def add_toleration(toleration: Toleration) -> None:
    """Let the workflow's pods run on nodes with a taint."""
    _workflow().add_toleration(toleration)


def add_image_pull_secret(image_pull_secret: ImagePullSecret) -> None:
    """Pull the workflow's images with a Secret."""
    _workflow().add_image_pull_secret(image_pull_secret)


def set_dns(dns_policy: str | None = None, dns_config: DnsConfig | None = None) -> None:
    """Say where the workflow's pods look up names."""
    _workflow().set_dns(dns_policy, dns_config)


def obtain_secret(secret_keys: Sequence[str], namespace: str = "default", name: str | None = None) -> str:
    """Use a Secret that is in the cluster already; returns its name.

    Raises:
        ComposeError: it has no name, or no keys are named.
    """
    from couler.core import states
    from couler.core.templates import Secret

    if not name or not secret_keys:
        raise mistake("couler.obtain_secret wants the keys and the name of a Secret that is there")
    # A dry run is Couler's word for a Secret that is read, and not made.
    states._secrets[name] = Secret(namespace, dict.fromkeys(secret_keys, ""), name=name, dry_run=True)
    return name


def set_default_submitter(submitter: Any) -> None:
    """The submitter of `couler.run()` where it is given nothing else."""
    couler: Any = importlib.import_module("couler.argo")
    couler.run.__defaults__ = (submitter,)


def _workflow() -> Any:
    from couler.core import states

    return states.workflow


def _refused(name: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise mistake(f"the installed Couler has no {name}; {_INSTEAD[name]}")

    return refuse


_VERBS: Mapping[str, Callable[..., Any]] = {
    "add_toleration": add_toleration,
    "add_image_pull_secret": add_image_pull_secret,
    "set_dns": set_dns,
    "obtain_secret": obtain_secret,
    "set_default_submitter": set_default_submitter,
    "fan_out": _refused("fan_out"),
}
_MODULES: Mapping[str, Mapping[str, Any]] = {
    "couler.core.templates.toleration": {"Toleration": Toleration},
    "couler.core.templates.image_pull_secret": {"ImagePullSecret": ImagePullSecret},
    "couler.core.templates.dns": {"DnsConfig": DnsConfig, "DnsConfigOption": DnsConfigOption},
    "couler.steps": {},
    **{f"couler.steps.{name}": {"train": train} for name, train in STEPS.items()},
    "couler.steps.katib": {"run": _refused("katib")},
}


def complete_couler() -> None:
    """Add what the installed Couler lacks; once, and nothing where it lacks nothing."""
    couler: Any = importlib.import_module("couler.argo")
    for name, verb in _VERBS.items():
        if not hasattr(couler, name):
            setattr(couler, name, verb)
    for name, members in _MODULES.items():
        if not _is_there(name):
            _add_module(name, members)
    _complete_workflow(type(couler.workflow))


def _is_there(module: str) -> bool:
    try:
        return module in sys.modules or importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _add_module(name: str, members: Mapping[str, Any]) -> None:
    module = ModuleType(name, "Added by Argosy: the installed Couler lacks it.")
    vars(module).update(members)
    if name == "couler.steps":
        module.__path__ = []
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    setattr(sys.modules[parent], child, module)


def _complete_workflow(kind: Any) -> None:
    """A class of workflows that has no tolerations has them afterwards, and writes them."""
    if hasattr(kind, "add_toleration"):
        return
    to_dict, cleanup = kind.to_dict, kind.cleanup

    @wraps(to_dict)
    def written(self: Any) -> dict[str, Any]:
        manifest: dict[str, Any] = to_dict(self)
        spec_of(manifest).update(vars(self).get("extras", {}))
        return manifest

    @wraps(cleanup)
    def cleaned(self: Any) -> None:
        cleanup(self)
        vars(self).pop("extras", None)

    kind.to_dict, kind.cleanup = written, cleaned
    kind.add_toleration = _Extras.add_toleration
    kind.add_image_pull_secret = _Extras.add_image_pull_secret
    kind.set_dns = _Extras.set_dns


_CLIENT = "kubernetes"
_PARTS = ("client", "config")


class Later(ModuleType):
    """A module that is imported when something of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


def import_couler() -> None:
    """Import Couler, if nobody has, and add what it lacks; `import kubernetes` stays what it was."""
    if not ("couler.argo" in sys.modules or _CLIENT in sys.modules):
        _import_quickly()
    complete_couler()


def _import_quickly() -> None:
    package = ModuleType(_CLIENT)
    for part in _PARTS:
        setattr(package, part, Later(f"{_CLIENT}.{part}"))
    sys.modules[_CLIENT] = package
    stack = inspect.stack
    inspect.stack = _frames  # type: ignore[assignment]
    try:
        importlib.import_module("couler.argo")
    finally:
        inspect.stack = stack
        del sys.modules[_CLIENT]


def _frames(_context: int = 1) -> list[tuple[FrameType]]:
    """The calls under way, as `inspect.stack` has them, without a search for the source of each.

    Couler asks at its import which file runs, and for that alone: the search is half of the import's time.
    """
    frame: FrameType | None = sys._getframe(1)
    found = []
    while frame is not None:
        found.append((frame,))
        frame = frame.f_back
    return found
