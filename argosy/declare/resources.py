"""What a step may ask of its node: CPU, memory, GPUs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from argosy.errors import DeclarationError

# Kubernetes' quantity suffixes: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_SUFFIXES = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{s: Decimal(1000) ** n for n, s in enumerate(("k", "M", "G", "T", "P", "E"), start=1)},
    **{s: Decimal(1024) ** n for n, s in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)},
}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([A-Za-z]*)")


def quantity(text: str) -> Decimal:
    """A Kubernetes quantity as a number: `500m` is 0.5, `1Gi` is 1073741824.

    Raises:
        DeclarationError: the text is not a quantity.
    """
    match = _QUANTITY.fullmatch(text)
    if not match or match[2] not in _SUFFIXES:
        raise DeclarationError(f"{text!r} is not a quantity such as '500m', '2' or '1Gi'")
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
            pair = self._pair(name)
            if pair and quantity(pair[0]) > quantity(pair[1]):
                raise DeclarationError(f"{name}: the request {pair[0]} is above the limit {pair[1]}")
        if self.gpu < 0:
            raise DeclarationError(f"gpu: {self.gpu} is below 0")

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
