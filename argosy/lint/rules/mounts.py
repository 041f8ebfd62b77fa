"""ARG50: volumes and where they are mounted."""

from collections.abc import Iterator

from argosy.lint.entry import Entry, mapping, text
from argosy.lint.model import Template
from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.lint.violation import Severity


@rule("ARG502", "mount-collision")
def mount_collision(subject: Subject) -> Iterator[Found]:
    """Two volumes, or a volume and an input artifact, are mounted at one path of a container.

    Why: one would hide the other; Argo refuses it. Of a container set only the volumes are compared.

    Bad:
        inputs: {artifacts: [{name: code, path: /src}]}
        container: {image: alpine, volumeMounts: [{name: work, mountPath: /src}]}

    Good:
        inputs: {artifacts: [{name: code, path: /src}]}
        container: {image: alpine, volumeMounts: [{name: work, mountPath: /work}]}
    """
    for template in subject.templates:
        taken: dict[str, str] = {}
        mounts = [(e.at("mountPath"), e.get("mountPath"), f"volume '{e.name}'") for e in _mounts(template)]
        if template.type == "container":
            artifacts = template.entries("inputs", "artifacts")
            mounts += [(e.at("path"), e.get("path"), f"artifact '{e.name}'") for e in artifacts]
        for path, where, what in mounts:
            if isinstance(where, str) and where in taken:
                yield Found(
                    path, f"{what} is mounted at '{where}', as is {taken[where]}", "Mount one elsewhere."
                )
            elif isinstance(where, str) and where:
                taken[where] = what


def _mounts(template: Template) -> list[Entry]:
    return template.entries("container", "volumeMounts") + template.entries("containerSet", "volumeMounts")


@rule("ARG507", "volume-unknown", Severity.WARNING)
def volume_unknown(subject: Subject) -> Iterator[Found]:
    """A container mounts a volume that neither the template nor the workflow declares.

    Not reported in WorkflowTemplates, whose callers may declare it, nor beside a podSpecPatch.

    Why: the pod is refused when it is created.

    Bad:
        container: {image: alpine, volumeMounts: [{name: work, mountPath: /work}]}

    Good:
        volumes: [{name: work, emptyDir: {}}]
        container: {image: alpine, volumeMounts: [{name: work, mountPath: /work}]}
    """
    spec = subject.resource.spec
    if subject.resource.is_reusable or spec.get("podSpecPatch") or spec.get("templateDefaults"):
        return
    declared = {e.name for e in spec.entries("volumes")}
    declared |= {text(mapping(e.get("metadata")).get("name")) for e in spec.entries("volumeClaimTemplates")}
    for template in subject.templates:
        known = declared | {e.name for e in template.entries("volumes")}
        if template.get("podSpecPatch"):
            continue
        mounts = [m for c in template.containers for m in c.entries("volumeMounts")]
        for mount in mounts + template.entries("containerSet", "volumeMounts"):
            if mount.name and mount.name not in known and "{{" not in mount.name:
                yield Found(
                    mount.at("name"), f"volume '{mount.name}' is not declared", "Add it to 'volumes:'."
                )
