"""The complete container spec of a step: everything of a template except its ports."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any, Literal, TypedDict

from argosy.declare.fields import (
    expect,
    expect_annotations,
    expect_labels,
    expect_list,
    expect_qualified,
    expect_text,
    expect_variables,
)
from argosy.declare.pod import EnvValue, FromConfigMap, FromField, FromSecret, Resources, Volume
from argosy.declare.retry import Retry, seconds
from argosy.errors import DeclarationError

# A package as pip takes it from an index, or a wheel by its address: what can be locked for a pod. A file of
# this machine, a repository and options cannot. The part behind `;` is looked at when it is resolved.
_VERSION = r"(?:===?|[<>~!]=|[<>])\s*[\w.*+!-]+"
_VERSIONS = rf"{_VERSION}(?:\s*,\s*{_VERSION})*"
_WHEEL = r"@\s*https?://[^\s#]+\.whl(?:#\S*)?"
_PACKAGE = re.compile(
    r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?\s*(?:\[[\w.,\s-]*\]\s*)?"
    rf"(?:{_WHEEL}|{_VERSIONS}|\(\s*{_VERSIONS}\s*\))?\s*(?:;.*)?"
)


_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_PULLS = ("Always", "IfNotPresent", "Never")


@dataclass(frozen=True)
class Toleration:
    """A taint that the step's pod tolerates; without a value, any value is tolerated."""

    key: str
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = "NoSchedule"

    def __post_init__(self) -> None:
        for name in ("key", "value", "effect"):
            if (value := getattr(self, name)) is not None or name == "key":
                expect_text(f"toleration: {name}", value)
        if self.key:
            expect_qualified("toleration", self.key)
        if self.effect not in (*_EFFECTS, None):
            raise DeclarationError(f"toleration: effect {self.effect!r} is none of {', '.join(_EFFECTS)}")

    def to_dict(self) -> dict[str, str]:
        """Kubernetes' `toleration`."""
        entry = {"key": self.key, "operator": "Equal" if self.value else "Exists"}
        if self.value:
            entry["value"] = self.value
        if self.effect:
            entry["effect"] = self.effect
        return entry


@dataclass(frozen=True)  # kw_only is not in Python 3.9, which reads this in a container
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
        timeout: until Argo stops the step: seconds, or a text such as "90s" or "1h30m"; None: no limit.
        security_context: the container's `securityContext`, in Kubernetes' words.
        image_pull_policy: `Always`, `IfNotPresent` or `Never`.
        labels, annotations: of the pod.
        code: "bundle": the step's code travels with the workflow; "image": its image holds it; None: by the
            rule of `argosy.code.bundle.attach`.
        template: further fields of Argo's template, in Argo's words: sidecars, initContainers,
            affinity, memoize, metrics, synchronization, podSpecPatch, hooks, ...
        cache: a run on one machine takes the outputs of an earlier run, where code, inputs, image and spec
            are the same.
        changes_world: the step changes what is outside of the workflow, or asks how that is: it is never
            reused.
        packages: what the step's code imports beyond its image, as pip reads it: `pandas==2.2.3`.
    """

    image: str
    resources: Resources = field(default_factory=Resources)
    env: Mapping[str, EnvValue] = field(default_factory=dict)
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Toleration] = ()
    volumes: Sequence[Volume] = ()
    retry: Retry | None = None
    timeout: int | str | None = None
    security_context: Mapping[str, Any] = field(default_factory=dict)
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = "IfNotPresent"
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    code: Literal["bundle", "image"] | None = None
    template: Mapping[str, Any] = field(default_factory=dict)
    packages: Sequence[str] = ()
    cache: bool = False
    changes_world: bool = False

    @classmethod
    def of(cls, image: str, options: Mapping[str, Any]) -> ContainerSpec:
        """The spec with these fields; None stands for an empty one.

        Raises:
            DeclarationError: there is no such field, or a value does not fit it.
        """
        return cls(image=image, **_known(options))

    def but(self, options: Mapping[str, Any]) -> ContainerSpec:
        """This spec with other values in some of its fields; raises as `of`."""
        return replace(self, **_known(options))

    def __post_init__(self) -> None:
        self._check_types()
        object.__setattr__(self, "timeout", seconds("timeout", self.timeout))
        if self.cache and self.changes_world:
            raise DeclarationError("cache: a step that changes the world is never reused; leave one out")
        if self.code not in (None, "bundle", "image"):
            raise DeclarationError(f"code {self.code!r} is neither 'bundle' nor 'image'")
        if not self.image or any(c.isspace() for c in self.image):
            raise DeclarationError(f"image {self.image!r} is not the name of an image")
        paths = [v.mount_path for v in self.volumes]
        twice = next((p for p in paths if paths.count(p) > 1), None)
        if twice:
            raise DeclarationError(f"two volumes are mounted at {twice}")
        for package in self.packages:
            if not package.isprintable() or not _PACKAGE.fullmatch(package):
                raise DeclarationError(f"packages: {package!r} is not a package such as 'pandas==2.2.3'")
        if reserved := {"name", "inputs", "outputs"} & set(self.template):
            raise DeclarationError(f"template: '{min(reserved)}' comes from the component's signature")
        if (patch := self.template.get("podSpecPatch")) is not None:
            expect_text("template: podSpecPatch", patch)

    def _check_types(self) -> None:
        expect_text("image", self.image)
        meant = _as_resources(self.resources)
        expect("resources", self.resources, "Resources(...)", Resources, instead=meant)
        expect_variables("env", self.env, FromSecret, FromConfigMap, FromField)
        for name in ("node_selector", "labels"):
            expect_labels(name, getattr(self, name))
        expect_annotations("annotations", self.annotations)
        expect_list("tolerations", self.tolerations, "Toleration(...)", Toleration)
        expect_list("volumes", self.volumes, "SharedMemory(...), Scratch(...) or Volume(...)", Volume)
        expect_list("packages", self.packages, "texts", str)
        if self.retry is not None:
            given: object = self.retry
            meant = f"Retry(limit={given!r})" if isinstance(given, int) else ""
            expect("retry", given, "Retry(...)", Retry, instead=meant)
        for name in ("security_context", "template"):
            expect(name, getattr(self, name), "a mapping", Mapping)
        for name in ("cache", "changes_world"):
            expect(name, getattr(self, name), "True or False", bool)
        if self.image_pull_policy not in (*_PULLS, None):
            raise DeclarationError(
                f"image_pull_policy {self.image_pull_policy!r} is none of {', '.join(_PULLS)}"
            )


CODE_ANNOTATION = "argosy.dev/code"
"""Where a component's code is, on the template of one that declares it: "bundle" or "image"."""
CACHE_ANNOTATION = "argosy.dev/cache"
WORLD_ANNOTATION = "argosy.dev/changes-world"


class ContainerOptions(TypedDict, total=False):
    """The fields of `ContainerSpec` but the image, as keyword arguments that a type checker knows."""

    resources: Resources | None
    env: Mapping[str, EnvValue] | None
    node_selector: Mapping[str, str] | None
    tolerations: Sequence[Toleration]
    volumes: Sequence[Volume]
    retry: Retry | None
    timeout: int | str | None
    security_context: Mapping[str, Any] | None
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None
    labels: Mapping[str, str] | None
    annotations: Mapping[str, str] | None
    code: Literal["bundle", "image"] | None
    template: Mapping[str, Any] | None
    packages: Sequence[str]
    cache: bool
    changes_world: bool


class AllOptions(ContainerOptions, total=False):
    """The same, and the image."""

    image: str


_FIELDS = {field.name: field for field in fields(ContainerSpec)}
_OF_RESOURCES = [field.name for field in fields(Resources)]


def _as_resources(value: object) -> str:
    """The declaration that a mapping stands for, for the message; empty if it does not look like one."""
    if not isinstance(value, Mapping) or not value or not set(value) <= set(_OF_RESOURCES):
        return ""
    return f"Resources({', '.join(f'{name}={part!r}' for name, part in value.items())})"


def _known(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, without None where a field is made empty by itself."""
    for name in options:
        if name not in _FIELDS:
            from argosy.text import did_you_mean

            if name in _OF_RESOURCES:
                hint = f"; write resources=Resources({name}={options[name]!r})"
            else:
                hint = did_you_mean(name, _FIELDS)
            raise DeclarationError(f"there is no option '{name}'{hint}")
    return {
        name: value
        for name, value in options.items()
        if value is not None or _FIELDS[name].default_factory is MISSING
    }
