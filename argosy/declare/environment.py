"""Where a container's environment variables come from, besides plain text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Union


@dataclass(frozen=True)
class FromSecret:
    """A key of a Kubernetes Secret."""

    name: str
    key: str
    optional: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Kubernetes' `valueFrom`."""
        return {"secretKeyRef": _reference(self.name, self.key, self.optional)}


@dataclass(frozen=True)
class FromConfigMap:
    """A key of a ConfigMap."""

    name: str
    key: str
    optional: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Kubernetes' `valueFrom`."""
        return {"configMapKeyRef": _reference(self.name, self.key, self.optional)}


@dataclass(frozen=True)
class FromField:
    """A field of the pod itself (the downward API), such as `metadata.name`."""

    path: str

    def to_dict(self) -> dict[str, Any]:
        """Kubernetes' `valueFrom`."""
        return {"fieldRef": {"fieldPath": self.path}}


EnvValue = Union[str, FromSecret, FromConfigMap, FromField]  # noqa: UP007 - Python 3.9 reads this in a container


def env_entry(name: str, value: EnvValue) -> dict[str, Any]:
    """One entry of Kubernetes' `env`."""
    if isinstance(value, str):
        return {"name": name, "value": value}
    return {"name": name, "valueFrom": value.to_dict()}


def _reference(name: str, key: str, optional: bool) -> dict[str, Any]:
    reference: dict[str, Any] = {"name": name, "key": key}
    if optional:
        reference["optional"] = True
    return reference
