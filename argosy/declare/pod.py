"""Declarations about a step's pod: resources, environment variables, volumes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Union

from argosy.declare.fields import expect, expect_count, expect_key, expect_label, expect_object, expect_text
from argosy.errors import DeclarationError

# Kubernetes' quantity suffixes: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_SUFFIXES = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{s: Decimal(1000) ** n for n, s in enumerate(("k", "M", "G", "T", "P", "E"), start=1)},
    **{s: Decimal(1024) ** n for n, s in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
}
_FIELD = re.compile(
    r"metadata\.(?:name|namespace|uid|labels|annotations|(?:labels|annotations)\['[^']+'\])"
    r"|spec\.(?:nodeName|serviceAccountName)|status\.(?:host|pod)IPs?"
)
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([A-Za-z]*)")


def quantity(text: str, what: str = "") -> Decimal:
    """A Kubernetes quantity as a number: `500m` is 0.5, `1Gi` is 1073741824.

    `what` is the field that it is of, for the message.

    Raises:
        DeclarationError: the text is not a quantity.
    """
    expect(what or "a quantity", text, "a text such as '500m', '2' or '1Gi'", str)
    match = _QUANTITY.fullmatch(text)
    if not match or match[2] not in _SUFFIXES:
        of = f"{what}: " if what else ""
        raise DeclarationError(f"{of}{text!r} is not a quantity such as '500m', '2' or '1Gi'")
    return Decimal(match[1]) * _SUFFIXES[match[2]]


@dataclass(frozen=True)
class Resources:
    """CPU and memory as (request, limit), and whole GPUs.

    A plain text stands for an equal request and limit.  GPUs are a limit alone: Kubernetes
    sets the request of an extended resource to its limit.
    """

    cpu: tuple[str, str] | str | None = None
    memory: tuple[str, str] | str | None = None
    gpu: int = 0
    gpu_resource: str = "nvidia.com/gpu"

    def __post_init__(self) -> None:
        for name in ("cpu", "memory"):
            if (value := getattr(self, name)) is not None:
                expect(name, value, "a quantity such as '2', or a pair (request, limit)", str, tuple, list)
            pair = self._pair(name)
            if pair and len(pair) != 2:
                raise DeclarationError(f"{name}: {pair!r} is not a pair (request, limit)")
            if pair and quantity(pair[0], name) > quantity(pair[1], name):
                raise DeclarationError(f"{name}: the request {pair[0]} is above the limit {pair[1]}")
        expect_count("gpu", self.gpu)
        expect_text("gpu_resource", self.gpu_resource)

    def _pair(self, name: str) -> tuple[str, str] | None:
        value = getattr(self, name)
        return (value, value) if isinstance(value, str) else value

    def to_dict(self) -> dict[str, dict[str, str]]:
        """Kubernetes' `resources`."""
        pairs = {name: pair for name in ("cpu", "memory") if (pair := self._pair(name))}
        requests = {name: pair[0] for name, pair in pairs.items()}
        limits = {name: pair[1] for name, pair in pairs.items()}
        if self.gpu:
            limits[self.gpu_resource] = str(self.gpu)
        return {key: value for key, value in (("requests", requests), ("limits", limits)) if value}


@dataclass(frozen=True)
class Volume:
    """A volume and where it is mounted; `source` is Kubernetes' own (`{"emptyDir": {}}`)."""

    name: str
    mount_path: str
    source: Mapping[str, Any] | tuple[tuple[str, Any], ...]
    read_only: bool = False

    def __post_init__(self) -> None:
        expect_label("volume: name", self.name)
        expect_text(f"volume '{self.name}': mount_path", self.mount_path)
        if not self.mount_path.startswith("/"):
            raise DeclarationError(f"volume '{self.name}': {self.mount_path!r} is not an absolute path")
        if not isinstance(self.source, tuple):
            wanted = "Kubernetes' own mapping, such as {'persistentVolumeClaim': {'claimName': 'data'}}"
            expect(f"volume '{self.name}': source", self.source, wanted, Mapping)

    def to_volume(self) -> dict[str, Any]:
        """An entry of the template's `volumes`."""
        return {"name": self.name, **dict(self.source)}

    def to_mount(self) -> dict[str, Any]:
        """An entry of the container's `volumeMounts`."""
        mount: dict[str, Any] = {"name": self.name, "mountPath": self.mount_path}
        if self.read_only:
            mount["readOnly"] = True
        return mount


def _directory(**settings: str) -> tuple[tuple[str, Any], ...]:
    return (("emptyDir", settings),)


def SharedMemory(size: str) -> Volume:
    """`/dev/shm` of this size, in memory; the default of 64 MB starves PyTorch's data loaders."""
    quantity(size, "SharedMemory")
    return Volume("dshm", "/dev/shm", _directory(medium="Memory", sizeLimit=size))


def Scratch(mount_path: str, size: str | None = None, name: str = "scratch") -> Volume:
    """An empty directory that lives as long as the pod."""
    if size:
        quantity(size, "Scratch: size")
    return Volume(name, mount_path, _directory(**({"sizeLimit": size} if size else {})))


@dataclass(frozen=True)
class _FromKey:
    name: str
    key: str
    optional: bool = False

    _field: ClassVar[str]

    def __post_init__(self) -> None:
        expect_object(f"{type(self).__name__}: name", self.name)
        expect_key(f"{type(self).__name__}: key", self.key)

    def to_dict(self) -> dict[str, Any]:
        """Kubernetes' `valueFrom`."""
        reference: dict[str, Any] = {"name": self.name, "key": self.key}
        return {self._field: {**reference, **({"optional": True} if self.optional else {})}}


@dataclass(frozen=True)
class FromSecret(_FromKey):
    """A key of a Kubernetes Secret."""

    _field = "secretKeyRef"


@dataclass(frozen=True)
class FromConfigMap(_FromKey):
    """A key of a ConfigMap."""

    _field = "configMapKeyRef"


@dataclass(frozen=True)
class FromField:
    """A field of the pod itself (the downward API), such as `metadata.name`."""

    path: str

    def __post_init__(self) -> None:
        expect_text("FromField: path", self.path)
        if not _FIELD.fullmatch(self.path):
            raise DeclarationError(
                f"FromField: {self.path!r} is no field that a pod tells of itself: metadata.name, "
                ".namespace, .uid, .labels['KEY'], .annotations['KEY']; spec.nodeName, .serviceAccountName; "
                "status.hostIP, .podIP"
            )

    def to_dict(self) -> dict[str, Any]:
        """Kubernetes' `valueFrom`."""
        return {"fieldRef": {"fieldPath": self.path}}


EnvValue = Union[str, FromSecret, FromConfigMap, FromField]  # noqa: UP007 - Python 3.9 reads this in a container


def env_entry(name: str, value: EnvValue) -> dict[str, Any]:
    """One entry of Kubernetes' `env`."""
    if isinstance(value, str):
        return {"name": name, "value": value}
    return {"name": name, "valueFrom": value.to_dict()}
