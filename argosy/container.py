"""The complete container spec of a step: everything of a template except its ports."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from argosy.environment import EnvValue
from argosy.errors import DeclarationError
from argosy.resources import Resources
from argosy.retry import Retry
from argosy.volumes import Volume

_LABEL = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")


@dataclass(frozen=True)
class Toleration:
    """A taint that the step's pod tolerates; without a value, any value is tolerated."""

    key: str
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = "NoSchedule"

    def to_dict(self) -> dict[str, str]:
        """Kubernetes' `toleration`."""
        entry = {"key": self.key, "operator": "Equal" if self.value else "Exists"}
        if self.value:
            entry["value"] = self.value
        if self.effect:
            entry["effect"] = self.effect
        return entry


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """How a step's pod is made.

    Attributes:
        image: the image's full name, with a tag or a digest.
        resources: requests and limits.
        env: environment variables: text, or `FromSecret`, `FromConfigMap`, `FromField`.
        node_selector: labels that the node must have.
        tolerations: taints that the pod tolerates.
        volumes: volumes and where they are mounted.
        retry: when Argo runs the step again; None: never.
        timeout: seconds until Argo stops the step; None: no limit.
        security_context: the container's `securityContext`, in Kubernetes' words.
        image_pull_policy: `Always`, `IfNotPresent` or `Never`.
        labels, annotations: of the pod.
        template: further fields of Argo's template, in Argo's words: sidecars, initContainers,
            affinity, memoize, metrics, synchronization, podSpecPatch, hooks, ...
    """

    image: str
    resources: Resources = field(default_factory=Resources)
    env: Mapping[str, EnvValue] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Toleration] = ()
    volumes: Sequence[Volume] = ()
    retry: Retry | None = None
    timeout: int | None = None
    security_context: Mapping[str, Any] = field(default_factory=dict)
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = "IfNotPresent"
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    template: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.image or any(c.isspace() for c in self.image):
            raise DeclarationError(f"image {self.image!r} is not the name of an image")
        if self.timeout is not None and self.timeout <= 0:
            raise DeclarationError(f"timeout {self.timeout} is not a number of seconds above 0")
        paths = [v.mount_path for v in self.volumes]
        twice = next((p for p in paths if paths.count(p) > 1), None)
        if twice:
            raise DeclarationError(f"two volumes are mounted at {twice}")
        if reserved := {"name", "inputs", "outputs"} & set(self.template):
            raise DeclarationError(f"template: '{min(reserved)}' comes from the component's signature")
        for key, value in self.labels.items():
            if len(value) > 63 or not _LABEL.fullmatch(value):
                raise DeclarationError(f"label {key}: {value!r} is not a label's value")
