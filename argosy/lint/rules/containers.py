"""ARG50: containers, scripts, and what is mounted into them."""

from collections.abc import Iterator

from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.lint.violation import Severity
from argosy.manifest.model import Entry, Template, mapping, text


@rule("ARG501", "image-missing")
def image_missing(subject: Subject) -> Iterator[Found]:
    """A container or script template has no image, and templateDefaults gives none.

    Why: Argo refuses it.

    Bad:
        container: {command: [train]}

    Good:
        container: {image: "python:3.11-slim", command: [train]}
    """
    defaults = mapping(subject.resource.spec.get("templateDefaults"))
    for template in subject.templates:
        for kind in ("container", "script"):
            body = template.get(kind)
            if (
                isinstance(body, dict)
                and not body.get("image")
                and not mapping(defaults.get(kind)).get("image")
            ):
                yield Found(template.at(kind), f"{kind} of '{template.title}' has no image", "Add 'image:'.")


@rule("ARG506", "init-container-name")
def init_container_name(subject: Subject) -> Iterator[Found]:
    """An init container has no name.

    Why: Argo refuses it.

    Bad:
        initContainers: [{image: alpine, command: [sleep, "5"]}]

    Good:
        initContainers: [{name: warm-up, image: alpine, command: [sleep, "5"]}]
    """
    for template in subject.templates:
        for entry in template.entries("initContainers"):
            if not entry.name:
                yield Found(entry.path, "an init container has no name", "Add 'name:'.")


@rule("ARG508", "script-source", Severity.WARNING)
def script_source(subject: Subject) -> Iterator[Found]:
    """A script template has no source.

    Why: it runs an empty file; a container template was meant, or the source got lost.

    Bad:
        script: {image: "python:3.11-slim", command: [python]}

    Good:
        script: {image: "python:3.11-slim", command: [python], source: print(1)}
    """
    for template in subject.templates:
        script = template.get("script")
        if isinstance(script, dict) and not script.get("source"):
            yield Found(template.at("script"), f"script '{template.title}' has no source", "Add 'source:'.")


@rule("ARG509", "image-unpinned", Severity.WARNING)
def image_unpinned(subject: Subject) -> Iterator[Found]:
    """An image has the tag latest, or none.

    Why: the same manifest runs another program tomorrow, and a retry may differ from the first try.

    Bad:
        image: python:latest

    Good:
        image: python:3.11-slim
    """
    for template in subject.templates:
        for container in template.containers:
            image = text(container.get("image"))
            if image and "{{" not in image and _floating(image):
                yield Found(
                    container.at("image"),
                    f"image '{image}' is not pinned",
                    "Add a version's tag or a digest.",
                )


def _floating(image: str) -> bool:
    name = image.rpartition("/")[2]
    return "@" not in image and (":" not in name or name.endswith(":latest"))


@rule("ARG510", "resources-missing", Severity.WARNING)
def resources_missing(subject: Subject) -> Iterator[Found]:
    """A template's main container has no resource requests.

    Why: the scheduler takes it for free, puts it on a full node, and the node's trouble is everybody's.

    Bad:
        container: {image: "python:3.11-slim"}

    Good:
        container: {image: "python:3.11-slim", resources: {requests: {cpu: 100m, memory: 128Mi}}}
    """
    defaults = mapping(subject.resource.spec.get("templateDefaults"))
    for template in subject.templates:
        kind = template.type
        if kind not in ("container", "script") or template.get("podSpecPatch"):
            continue
        body, default = mapping(template.get(kind)), mapping(defaults.get(kind))
        if not any(
            mapping(b.get("resources")).get(k) for b in (body, default) for k in ("requests", "limits")
        ):
            yield Found(
                template.at(kind),
                f"'{template.title}' asks for no resources",
                "Add 'resources: {requests: ...}'.",
            )


@rule("ARG511", "plugin-sidecar")
def plugin_sidecar(subject: Subject) -> Iterator[Found]:
    """An executor plugin's sidecar lacks a port, resource requests or limits, or a security context.

    Why: Argo insists on all of them, because the sidecar runs in the agent's pod of every workflow.

    Bad:
        executorPlugins:
          - {metadata: {name: greet}, spec: {sidecar: {container: {name: greet, image: "greet:1"}}}}

    Good:
        executorPlugins:
          - metadata: {name: greet}
            spec:
              sidecar:
                container:
                  name: greet
                  image: greet:1
                  ports: [{containerPort: 4355}]
                  resources: {requests: {cpu: 100m}, limits: {cpu: 200m}}
                  securityContext: {runAsNonRoot: true}
    """
    for plugin in subject.resource.spec.entries("executorPlugins"):
        container = mapping(plugin.get("spec", "sidecar", "container"))
        place = plugin.at("spec", "sidecar", "container")
        if not container.get("ports"):
            yield Found(place, f"the sidecar of plugin '{_title(plugin)}' has no port", "Add 'ports:'.")
        for key in ("requests", "limits"):
            if mapping(container.get("resources")).get(key) is None:
                message = f"the sidecar of plugin '{_title(plugin)}' has no resource {key}"
                yield Found(place, message, f"Add 'resources: {{{key}: ...}}'.")
        if container.get("securityContext") is None:
            message = f"the sidecar of plugin '{_title(plugin)}' has no security context"
            yield Found(place, message, "Add 'securityContext:'.")


def _title(plugin: Entry) -> str:
    return text(plugin.get("metadata", "name"))


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
