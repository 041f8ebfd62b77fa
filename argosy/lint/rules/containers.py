"""ARG50, ARG51 and ARG7: containers, scripts, what is mounted into them, their code, and their secrets."""

import itertools
import re
from collections.abc import Iterator

from argosy.declare.container import CODE_ANNOTATION
from argosy.lint.names import is_image
from argosy.lint.registry import Found, Severity, rule
from argosy.lint.subject import Subject
from argosy.manifest.code import STEP, VOLUME, in_images, is_in_every_image, module_in
from argosy.manifest.model import Entry, Template, mapping, sequence, text, texts
from argosy.manifest.reading import Unreadable, plain
from argosy.manifest.tagged import has_tag, split
from argosy.manifest.tree import Path


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


@rule("ARG513", "image-invalid")
def image_invalid(subject: Subject) -> Iterator[Found]:
    """An image's name is one that no runtime takes.

    Small letters and digits, with '.', '_' and '-' between them, in parts that '/' divides; a registry may
    stand before them, a tag (`:1.0`) or a digest (`@sha256:...`) after them.

    Why: the API server takes the pod, and it waits for ever: InvalidImageName.

    Bad:
        image: registry.example/Vision/Train:1.0

    Good:
        image: registry.example/vision/train:1.0
    """
    for template in subject.templates:
        for container in template.containers:
            image = text(container.get("image"))
            if image and not has_tag(image) and not is_image(image):
                hint = "Use small letters and digits, and no spaces."
                yield Found(container.at("image"), f"'{image}' is not the name of an image", hint)


@rule("ARG514", "pod-spec-patch")
def pod_spec_patch(subject: Subject) -> Iterator[Found]:
    """podSpecPatch is no mapping, in YAML or JSON.

    One with tags is read only once they are filled in.

    Why: Argo's validator does not look; the step ends in Error when its pod is made.

    Bad:
        podSpecPatch: "containers: [{name: main"

    Good:
        podSpecPatch: '{"containers": [{"name": "main", "tty": true}]}'
    """
    spec = subject.resource.spec
    defaults = Entry(spec.at("templateDefaults"), mapping(spec.get("templateDefaults")))
    for holder in (spec, defaults, *subject.templates):
        patch = text(holder.get("podSpecPatch"))
        if patch.strip() and not has_tag(patch) and not _is_mapping(patch):
            hint = "Write it as a pod's spec has it."
            yield Found(holder.at("podSpecPatch"), "the podSpecPatch is not a mapping", hint)


def _is_mapping(patch: str) -> bool:
    try:
        return isinstance(plain(patch), dict)
    except Unreadable:
        return False


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


@rule("ARG512", "code-missing", Severity.WARNING)
def code_missing(subject: Subject) -> Iterator[Found]:
    """A step's command names a Python module that neither a bundle nor its image is known to have.

    Known images are those of Argosy's own components, those in argosy.images.yaml and those that begin as an
    entry of codeInImages in argosy.yaml. A bundle's content is looked up where its ConfigMap is among the
    files given. In manifests that Argosy did not compile, steps of argosy.step alone are looked at.

    Why: the pod fails with "No module named ...", whatever the machine has that compiled it.

    Bad:
        container: {image: "python:3.11-slim", command: [python, -m, argosy.step, "hello:greet"]}

    Good:
        metadata: {annotations: {argosy.dev/code: image}}
        container: {image: "registry.example/hello:1.0", command: [python, -m, argosy.step, "hello:greet"]}
    """
    labels = mapping(subject.resource.metadata.get("labels"))
    compiled = labels.get("app.kubernetes.io/managed-by") == "argosy"
    for template in subject.templates:
        command = texts(template.get("container", "command"))
        module = module_in(command)
        if module and (compiled or STEP in command) and not has_tag(module):
            problem = _code_problem(subject, template, module)
            if problem:
                yield Found(
                    template.at("container", "command"),
                    f"module '{module}' of '{template.title}' {problem}",
                    "Compile with 'argosy compile -o', or list the image under codeInImages in argosy.yaml.",
                )


def _code_problem(subject: Subject, template: Template, module: str) -> str:
    """Why a step will not find its module, if so."""
    image = text(template.get("container", "image"))
    bundle = next((v for v in template.entries("volumes") if v.name == VOLUME), None)
    if bundle is not None:
        name = text(bundle.get("configMap", "name"))
        files = subject.library.bundle(name)
        path = module.replace(".", "/")
        lacks = files is not None and not {f"{path}.py", f"{path}/__init__.py"} & files
        return f"is not in its bundle, ConfigMap '{name}'" if lacks else ""
    declared = mapping(template.get("metadata", "annotations")).get(CODE_ANNOTATION) == "image"
    known = in_images(module, image, subject.library.images) or is_in_every_image(module)
    if declared or known or has_tag(image):
        return ""
    return f"is in no bundle, and image '{image}' is not known to hold it"


SHELLS = ("sh", "bash", "ash", "dash", "zsh", "ksh")
FOREIGN = ("inputs.parameters.", "workflow.parameters.", "item", "steps.", "tasks.", "workflow.labels.")
_SECRET = re.compile(
    r"(^|[-_.])(password|passwd|pwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key)([-_.]|$)", re.I
)
_PLACE = re.compile(r"(name|file|path|dir|url|uri|ref|id|ttl|type|endpoint|bucket|mount|version)$", re.I)
_CREDENTIAL = re.compile(r"\b(AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|-----BEGIN [A-Z ]*PRIVATE KEY-----)")


def _shell_texts(template: Template) -> Iterator[tuple[Path, str]]:
    """Texts that a shell or an interpreter reads as a program."""
    for container in template.containers:
        command = [c for c in sequence(container.get("command")) if isinstance(c, str)]
        if template.type == "script" and container.path[-1] == "script" and command:
            yield container.at("source"), text(container.get("source"))
        words = [(container.at("command", i), c) for i, c in enumerate(sequence(container.get("command")))]
        words += [(container.at("args", i), a) for i, a in enumerate(sequence(container.get("args")))]
        if not command or command[0].rpartition("/")[2] not in SHELLS:
            continue
        for (_, flag), (path, script) in itertools.pairwise(words):
            if isinstance(flag, str) and re.fullmatch(r"-[a-z]*c", flag) and isinstance(script, str):
                yield path, script
                break


def _fixed_inputs(subject: Subject) -> dict[str, frozenset[str]]:
    """By template, the tags of inputs whose value is a text of the manifest wherever it is called."""
    if subject.resource.is_reusable:
        return {}
    found: dict[str, frozenset[str]] = dict.fromkeys(_called_otherwise(subject), frozenset())
    for call in subject.calls:
        given = call.entries("arguments", "parameters")
        texts = [e.name for e in given if e.get("value") is not None and not has_tag(e.get("value"))]
        fixed = frozenset(f"inputs.parameters.{name}" for name in texts)
        found[call.target] = found[call.target] & fixed if call.target in found else fixed
    return found


def _called_otherwise(subject: Subject) -> Iterator[str]:
    """Templates that are reached by no step or task, or beside one."""
    spec = subject.resource.spec
    yield from (text(spec.get("entrypoint")), text(spec.get("onExit")))
    hooks = [h for h in mapping(spec.get("hooks")).values() if isinstance(h, dict)]
    yield from (text(h.get("template")) for h in hooks)
    for call in subject.calls:
        yield text(call.get("onExit"))
        yield from (text(h.get("template")) for h in call.hooks.values())


@rule("ARG701", "shell-injection", Severity.WARNING)
def shell_injection(subject: Subject) -> Iterator[Found]:
    """A parameter is written into the text of a shell command or a script.

    Argo pastes the value into the text before the shell reads it, so quotes around the tag do not help. Not
    reported of an input to which every call in the manifest gives a fixed text.

    Why: a value such as `; rm -rf /work` is run. Pass it as an environment variable or as an argument of
    its own.

    Bad:
        command: [sh, -c]
        args: ["echo {{inputs.parameters.name}}"]

    Good:
        command: [sh, -c]
        args: ['echo "$NAME"']
        env: [{name: NAME, value: "{{inputs.parameters.name}}"}]
    """
    fixed = _fixed_inputs(subject)
    for template in subject.templates:
        for path, script in _shell_texts(template):
            pasted = dict.fromkeys(i for i, _ in split(script) if i.startswith(FOREIGN) or ".parameters" in i)
            known = fixed.get(template.name, frozenset()) if template.caller is None else frozenset()
            pasted = {i: None for i in pasted if not i.endswith(".path") and i not in known}
            if pasted:
                shown = ", ".join(f"{{{{{i}}}}}" for i in list(pasted)[:3])
                yield Found(path, f"{shown} is pasted into a program's text", "Pass it through 'env:'.")


@rule("ARG702", "secret-in-plain", Severity.WARNING)
def secret_in_plain(subject: Subject) -> Iterator[Found]:
    """A value that looks like a secret stands in the manifest.

    An environment variable or parameter whose name says password, secret, token or key and whose value is a
    constant; a value that has the form of a cloud key or a private key.

    Why: manifests are in git, in the API server and on the screen of everyone who may look at workflows.

    Bad:
        env: [{name: DB_PASSWORD, value: hunter2}]

    Good:
        env: [{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}]
    """
    for entry in _valued(subject):
        value = entry.get("value")
        if not isinstance(value, str) or not value.strip() or has_tag(value):
            continue
        named = bool(_SECRET.search(entry.name)) and not _PLACE.search(entry.name)
        if named or _CREDENTIAL.search(value):
            yield Found(
                entry.at("value"), f"'{entry.name}' holds what looks like a secret", "Use secretKeyRef."
            )


def _valued(subject: Subject) -> Iterator[Entry]:
    for template in subject.templates:
        for container in template.containers:
            yield from container.entries("env")
    yield from (entry for _, entry in subject.arguments("parameters"))
    yield from (entry for _, _, entry in subject.declared("parameters", "inputs"))
