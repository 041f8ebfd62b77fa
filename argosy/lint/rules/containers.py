"""ARG5: containers, container sets, mounts."""

from collections.abc import Iterator

from argosy.lint.graph import find_cycle
from argosy.lint.model import Entry, Template, mapping, sequence, text
from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.lint.violation import Severity


def _sets(subject: Subject) -> Iterator[tuple[Template, list[Entry]]]:
    for template in subject.templates:
        if template.type == "containerSet":
            yield template, template.entries("containerSet", "containers")


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
            if isinstance(body, dict) and not body.get("image") and not mapping(defaults.get(kind)).get("image"):
                yield Found(template.at(kind), f"{kind} of '{template.title}' has no image", "Add 'image:'.")


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
                yield Found(path, f"{what} is mounted at '{where}', as is {taken[where]}", "Mount one elsewhere.")
            elif isinstance(where, str) and where:
                taken[where] = what


def _mounts(template: Template) -> list[Entry]:
    return template.entries("container", "volumeMounts") + template.entries("containerSet", "volumeMounts")


@rule("ARG503", "container-set-empty")
def container_set_empty(subject: Subject) -> Iterator[Found]:
    """A container set has no containers.

    Why: Argo refuses it.

    Bad:
        containerSet: {containers: []}

    Good:
        containerSet: {containers: [{name: main, image: alpine}]}
    """
    for template, containers in _sets(subject):
        if not containers:
            yield Found(template.at("containerSet"), f"'{template.title}' has no containers", "Add 'containers:'.")


@rule("ARG504", "container-set-main")
def container_set_main(subject: Subject) -> Iterator[Found]:
    """A container set has artifacts or output parameters, but no container called main.

    Why: Argo collects outputs from main, and refuses a set without.

    Bad:
        containerSet: {containers: [{name: a, image: alpine}]}
        outputs: {parameters: [{name: id, valueFrom: {path: /tmp/id}}]}

    Good:
        containerSet: {containers: [{name: main, image: alpine}]}
        outputs: {parameters: [{name: id, valueFrom: {path: /tmp/id}}]}
    """
    for template, containers in _sets(subject):
        outputs = template.entries("outputs", "parameters") + template.entries("outputs", "artifacts")
        moves = outputs + template.entries("inputs", "artifacts")
        if containers and moves and all(c.name != "main" for c in containers):
            hint = "Name the container that reads and writes them 'main'."
            yield Found(template.at("containerSet"), f"'{template.title}' has no container 'main'", hint)


@rule("ARG505", "container-set-graph")
def container_set_graph(subject: Subject) -> Iterator[Found]:
    """Containers of a set depend on one that is not there, or on each other in a circle.

    Why: Argo refuses it.

    Bad:
        containers: [{name: a, image: alpine, dependencies: [b]}]

    Good:
        containers: [{name: b, image: alpine}, {name: a, image: alpine, dependencies: [b]}]
    """
    for template, containers in _sets(subject):
        names = {c.name for c in containers}
        for entry in containers:
            for i, name in enumerate(sequence(entry.get("dependencies"))):
                if name not in names:
                    message = f"container '{entry.name}' depends on '{name}', which is not defined"
                    yield Found(entry.at("dependencies", i), message, "Correct the name.")
        parents = {c.name: [d for d in sequence(c.get("dependencies")) if d in names] for c in containers}
        if cycle := find_cycle(parents):
            message = f"containers depend on each other: {' -> '.join(cycle)}"
            yield Found(template.at("containerSet", "containers"), message, "Break the circle.")


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
                yield Found(mount.at("name"), f"volume '{mount.name}' is not declared", "Add it to 'volumes:'.")


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
                yield Found(container.at("image"), f"image '{image}' is not pinned", "Add a version's tag or a digest.")


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
        if not any(mapping(b.get("resources")).get(k) for b in (body, default) for k in ("requests", "limits")):
            yield Found(template.at(kind), f"'{template.title}' asks for no resources", "Add 'resources: {requests: ...}'.")
