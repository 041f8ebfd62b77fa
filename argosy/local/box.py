"""A container's image and confinement, as the manifest has them: what only `--runner podman|docker` heeds.

Reading raises nothing, as steps that run as processes heed none of it: what an engine cannot be told is kept
as a refusal. Of the fields of `securityContext` the container's own win over the pod's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from argosy.declare.pod import quantity
from argosy.errors import DeclarationError
from argosy.local.mounts import SHARED_MEMORY

TERMINATION_LOG = "/dev/termination-log"
"""Where a pod's program may say why it failed, unless the container names another file."""


@dataclass(frozen=True)
class Box:
    """The words for an engine about one container. Texts may hold tags.

    Attributes:
        image: its name; empty where the manifest has none.
        pull: `Always`, `IfNotPresent`, `Never`, or empty.
        user: a number; None for the image's own.
        groups: further groups of its processes.
        non_root: it must not be started as root.
        read_only: its root file system cannot be written.
        hardened: no program in it gains rights (`allowPrivilegeEscalation: false`).
        cpu: processors.
        memory: bytes.
        gpus: how many the manifest asks for; none is handed on.
        shared_memory: bytes of /dev/shm; 0: as many as the machine has, None: the engine's own default.
        refusals: fields that cannot be heeded, a line each, without the place.
    """

    image: str = ""
    pull: str = ""
    user: int | None = None
    group: int | None = None
    groups: tuple[int, ...] = ()
    non_root: bool = False
    read_only: bool = False
    hardened: bool = False
    added: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    unconfined: bool = False
    cpu: Decimal | None = None
    memory: int | None = None
    gpus: int = 0
    shared_memory: int | None = None
    termination: str = TERMINATION_LOG
    refusals: tuple[str, ...] = ()


def parse_box(body: Mapping[str, Any], raw: Mapping[str, Any], spec: Mapping[str, Any]) -> Box:
    """The box of a container `body` in a template `raw` of a workflow `spec`."""
    pod = _mapping(raw.get("securityContext") or spec.get("securityContext"))
    own = {**pod, **_mapping(body.get("securityContext"))}
    reader = _Reader(own)
    limits = _mapping(_mapping(body.get("resources")).get("limits"))
    capabilities = _mapping(own.get("capabilities"))
    memory = reader.amount("resources.limits.memory", limits.get("memory"))
    return Box(
        image=str(body.get("image") or ""),
        pull=str(body.get("imagePullPolicy") or ""),
        user=reader.number("runAsUser"),
        group=reader.number("runAsGroup"),
        groups=tuple(reader.numbers("supplementalGroups", "fsGroup")),
        non_root=own.get("runAsNonRoot") is True,
        read_only=own.get("readOnlyRootFilesystem") is True,
        hardened=own.get("allowPrivilegeEscalation") is False,
        added=tuple(map(str, capabilities.get("add") or ())),
        dropped=tuple(map(str, capabilities.get("drop") or ())),
        unconfined=_mapping(own.get("seccompProfile")).get("type") == "Unconfined",
        cpu=reader.amount("resources.limits.cpu", limits.get("cpu")),
        memory=None if memory is None else int(memory),
        gpus=sum(int(str(n)) for name, n in limits.items() if name.endswith("/gpu") and str(n).isdecimal()),
        shared_memory=_shared_memory(body, raw, spec, reader),
        termination=str(body.get("terminationMessagePath") or TERMINATION_LOG),
        refusals=(*reader.refusals, *_refusals(own, body)),
    )


class _Reader:
    """Fields of a security context; what is malformed becomes a refusal."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._context = context
        self.refusals: list[str] = []

    def number(self, field: str) -> int | None:
        return next(self.numbers(field), None)

    def numbers(self, *fields: str) -> Iterator[int]:
        for field in fields:
            value = self._context.get(field)
            for one in value if isinstance(value, list) else [] if value is None else [value]:
                if isinstance(one, int) and not isinstance(one, bool) and one >= 0:
                    yield one
                else:
                    self.refusals.append(f"securityContext.{field}: {one!r} is not a number")

    def amount(self, field: str, value: Any) -> Decimal | None:
        if value is None:
            return None
        try:
            return quantity(str(value))
        except DeclarationError as error:
            self.refusals.append(f"{field}: {error}")
            return None


def _refusals(context: Mapping[str, Any], body: Mapping[str, Any]) -> Iterator[str]:
    if context.get("privileged") is True:
        yield "securityContext.privileged: a step is not given the machine; add the capabilities it needs"
    for field in ("sysctls", "procMount"):
        if context.get(field):
            yield f"securityContext.{field}: an engine is not told of it; remove it, or run on a cluster"
    kind = _mapping(context.get("seccompProfile")).get("type")
    if kind not in (None, "RuntimeDefault", "Unconfined"):
        yield f"securityContext.seccompProfile: {kind} is a node's; RuntimeDefault and Unconfined are known"
    if not str(body.get("image") or ""):
        yield "no image; name one, as a cluster needs it"


def _shared_memory(
    body: Mapping[str, Any], raw: Mapping[str, Any], spec: Mapping[str, Any], reader: _Reader
) -> int | None:
    """The size that a volume mounted at /dev/shm asks for."""
    for mount in body.get("volumeMounts") or ():
        if str(_mapping(mount).get("mountPath")).rstrip("/") != SHARED_MEMORY:
            continue
        for volume in (*(raw.get("volumes") or ()), *(spec.get("volumes") or ())):
            if _mapping(volume).get("name") == mount.get("name"):
                limit = _mapping(volume.get("emptyDir")).get("sizeLimit")
                return int(reader.amount(f"the volume at {SHARED_MEMORY}", limit) or 0)
        return 0
    return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
