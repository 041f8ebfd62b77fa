"""Volumes that a step mounts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from argosy.declare.resources import quantity
from argosy.errors import DeclarationError


@dataclass(frozen=True)
class Volume:
    """A volume and where it is mounted; `source` is Kubernetes' own (`{"emptyDir": {}}`)."""

    name: str
    mount_path: str
    source: tuple[tuple[str, Any], ...]
    read_only: bool = False

    def __post_init__(self) -> None:
        if not self.mount_path.startswith("/"):
            raise DeclarationError(f"volume '{self.name}': {self.mount_path!r} is not an absolute path")

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
    quantity(size)
    return Volume("dshm", "/dev/shm", _directory(medium="Memory", sizeLimit=size))


def Scratch(mount_path: str, size: str | None = None, name: str = "scratch") -> Volume:
    """An empty directory that lives as long as the pod."""
    if size:
        quantity(size)
    return Volume(name, mount_path, _directory(**({"sizeLimit": size} if size else {})))
