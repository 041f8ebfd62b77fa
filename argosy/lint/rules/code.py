"""ARG512: where the code of a step is."""

from collections.abc import Iterator

from argosy.declare.container import CODE_ANNOTATION
from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.lint.violation import Severity
from argosy.manifest.code import (
    STEP,
    VOLUME,
    in_images,
    is_in_every_image,
    module_in,
)
from argosy.manifest.model import Template, mapping, text, texts
from argosy.manifest.tagged import has_tag


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
            problem = _problem(subject, template, module)
            if problem:
                yield Found(
                    template.at("container", "command"),
                    f"module '{module}' of '{template.title}' {problem}",
                    "Compile with 'argosy compile -o', or list the image under codeInImages in argosy.yaml.",
                )


def _problem(subject: Subject, template: Template, module: str) -> str:
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
