"""ARG515 and ARG516: pods that the API server refuses, or that are others than meant, before one is made."""

import re
from collections.abc import Iterable, Iterator
from decimal import Decimal

from argosy.declare.fields import INT32
from argosy.declare.names import is_label
from argosy.declare.pod import quantity
from argosy.errors import DeclarationError
from argosy.lint.registry import Found, Severity, rule
from argosy.lint.subject import Subject
from argosy.manifest.model import Entry, Template, mapping, text
from argosy.manifest.scalars import as_text
from argosy.manifest.tagged import has_tag

_TAGS = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_LAST_PORT = 65_535


@rule("ARG515", "pod-refused")
def pod_refused(subject: Subject) -> Iterator[Found]:
    """A container, a volume or a toleration is one that Kubernetes refuses.

    A variable has a name without '=', and a value or a valueFrom. Ports are 1 to 65535. No quantity is
    negative, a request is not above its limit, and devices such as GPUs are whole. Volumes, sidecars and
    init containers have names of their own, of small letters, digits and '-'; a volume has one source. A
    toleration with the operator Exists has no value.

    Why: the API server refuses the pod when it is made, after earlier steps have run. Of two volumes of one
    name Argo mounts the first only.

    Bad:
        env: [{name: A, value: a, valueFrom: {secretKeyRef: {name: s, key: a}}}]

    Good:
        env: [{name: A, valueFrom: {secretKeyRef: {name: s, key: a}}}]
    """
    spec = subject.resource.spec
    patched = bool(spec.get("podSpecPatch") or spec.get("templateDefaults"))
    for holder in (spec, *subject.templates):
        yield from _volumes(holder.entries("volumes"))
        yield from _tolerations(holder.entries("tolerations"))
    for template in subject.templates:
        yield from _names(template)
        for container in template.containers:
            yield from _environment(container.entries("env"))
            yield from _ports(container.entries("ports"))
            if not patched and not template.get("podSpecPatch"):
                yield from _resources(container)


@rule("ARG516", "volume-hidden", Severity.WARNING)
def volume_hidden(subject: Subject) -> Iterator[Found]:
    """A volume of a template hides one of the workflow that has the same name.

    Volumes of the workflow are those of spec.volumes and spec.volumeClaimTemplates; the first hide the
    second.

    Why: Argo mounts the template's own, in silence; what other templates wrote into the workflow's is not
    there.

    Bad:
        spec:
          volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
          templates:
            - name: read
              volumes: [{name: data, emptyDir: {}}]

    Good:
        spec:
          volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
          templates:
            - name: read
              volumes: [{name: scratch, emptyDir: {}}]
    """
    spec = subject.resource.spec
    claims = {
        text(mapping(claim.get("metadata")).get("name")) for claim in spec.entries("volumeClaimTemplates")
    }
    own = {entry.name for entry in spec.entries("volumes")}
    hint = "Give it another name, or remove one."
    for entry in spec.entries("volumes"):
        if entry.name and entry.name in claims:
            yield Found(entry.path, f"volume '{entry.name}' hides the claim of that name", hint)
    for template in subject.templates:
        for entry in template.entries("volumes"):
            if entry.name and entry.name in own | claims:
                message = f"volume '{entry.name}' of '{template.title}' hides the workflow's of that name"
                yield Found(entry.path, message, hint)


def _environment(variables: Iterable[Entry]) -> Iterator[Found]:
    for entry in variables:
        if entry.get("value") and entry.get("valueFrom") is not None:
            message = f"variable '{entry.name}' has both value and valueFrom"
            yield Found(entry.at("valueFrom"), message, "Keep one of them.")
        if entry.get("name") == "" or "=" in _TAGS.sub("", entry.name):
            message = f"'{entry.name}' is not the name of a variable"
            yield Found(entry.at("name"), message, "Give a name without '='.")


def _ports(ports: Iterable[Entry]) -> Iterator[Found]:
    for entry in ports:
        for key, first in (("containerPort", 1), ("hostPort", 0)):
            port = entry.get(key)
            if not isinstance(port, int) or not INT32[0] <= port <= INT32[1]:  # ARG007 speaks of it
                continue
            if not first <= port <= _LAST_PORT:
                yield Found(entry.at(key), f"there is no port {port}", f"Use one of 1 to {_LAST_PORT}.")


def _resources(container: Entry) -> Iterator[Found]:
    limits = mapping(container.get("resources", "limits"))
    requests = mapping(container.get("resources", "requests"))
    for name, value in requests.items():
        wanted, most = _amount(value), _amount(limits.get(name))
        at = container.at("resources", "requests", name)
        if wanted is not None and most is not None and wanted > most:
            message = f"the request of {name}, {value}, is above its limit, {limits[name]}"
            yield Found(at, message, "Raise the limit, or lower the request.")
        elif _is_device(name) and (name not in limits or wanted != most):
            message = f"the request of {name} is not its limit"
            yield Found(at, message, "Give the limit alone; devices are not shared.")
    for kind, amounts in (("limits", limits), ("requests", requests)):
        for name, value in amounts.items():
            amount = _amount(value)
            if isinstance(value, str | int | float) and as_text(value).startswith("-"):
                where = container.at("resources", kind, name)
                yield Found(where, f"{value} of {name} is negative", "Give what is needed, or 0.")
            if _is_device(name) and amount is not None and amount % 1:
                where = container.at("resources", kind, name)
                yield Found(where, f"{value} is no whole number of {name}", "Devices are not divided.")


def _is_device(name: str) -> bool:
    """True for an extended resource, such as nvidia.com/gpu."""
    prefix, slash, _ = name.partition("/")
    return bool(slash) and not prefix.endswith("kubernetes.io")


def _amount(value: object) -> Decimal | None:
    """A quantity as a number; None of what is none (ARG009 speaks of it), or has an exponent."""
    try:
        return quantity(as_text(value)) if isinstance(value, str | int | float) else None
    except DeclarationError:
        return None


def _volumes(volumes: list[Entry]) -> Iterator[Found]:
    names: set[str] = set()
    for entry in volumes:
        if entry.name in names:
            yield Found(entry.path, f"a second volume has the name '{entry.name}'", "Give it another name.")
        names.add(entry.name)
        if "name" in entry.body and not has_tag(entry.name) and not is_label(entry.name):
            message = f"'{entry.name}' is not the name of a volume"
            yield Found(entry.at("name"), message, "Use a-z, 0-9 and '-'.")
        sources = [key for key, value in entry.body.items() if key != "name" and value is not None]
        if len(sources) > 1:
            message = f"volume '{entry.name}' has {' and '.join(sources)}"
            yield Found(entry.at(sources[1]), message, "Keep one, or make two volumes.")


def _tolerations(tolerations: Iterable[Entry]) -> Iterator[Found]:
    for entry in tolerations:
        if entry.get("operator") == "Exists" and text(entry.get("value")):
            yield Found(
                entry.at("value"), "a toleration of what exists has a value", "Remove it, or use Equal."
            )


def _names(template: Template) -> Iterator[Found]:
    """Sidecars and init containers: each has a name, and no other container of the pod has it."""
    names = {entry.name for entry in template.entries("containerSet", "containers")}
    for kind in ("sidecars", "initContainers"):
        for entry in template.entries(kind):
            what = "a sidecar" if kind == "sidecars" else "an init container"
            if not entry.name and kind == "sidecars":  # ARG506 speaks of init containers
                yield Found(entry.path, f"{what} has no name", "Add 'name:'.")
            if not entry.name:
                continue
            if entry.name in names:
                yield Found(entry.at("name"), f"a second container has the name '{entry.name}'", "Rename it.")
            elif not has_tag(entry.name) and not is_label(entry.name):
                yield Found(
                    entry.at("name"), f"'{entry.name}' is not the name of {what}", "Use a-z, 0-9 and '-'."
                )
            names.add(entry.name)
