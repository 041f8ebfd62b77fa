"""Couler as composing needs it: imported without its cluster client, and with the verbs that it lacks."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import wraps
from types import ModuleType
from typing import Any

from argosy.compose.training_jobs import STEPS, mistake
from argosy.manifest.parts import spec_of

# Verbs that have no counterpart here, and what to write instead.
_INSTEAD = {
    "fan_out": "loop with couler.map(function, list)",
    "katib": "give the Experiment's manifest to couler.run_job(manifest=..., success_condition=..., "
    "failure_condition=...), or loop over values with couler.map",
}


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
    try:
        importlib.import_module("couler.argo")
    finally:
        del sys.modules[_CLIENT]
