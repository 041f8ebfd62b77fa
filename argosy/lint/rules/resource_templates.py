"""ARG5: resource templates."""

from collections.abc import Iterator

import yaml

from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.manifest.builder import Builder, Loader, Trouble
from argosy.manifest.model import Entry, Template, mapping, text
from argosy.manifest.tagged import replace

ACTIONS = ("get", "create", "apply", "delete", "replace", "patch")
# Tags of these are replaced before Argo reads the manifest.
REPLACED = ("inputs.", "workflow.", "pod.", "outputs.", "retries", "lastRetry.")


def _resources(subject: Subject) -> Iterator[tuple[Template, Entry]]:
    for template in subject.templates:
        if isinstance(template.get("resource"), dict):
            yield template, Entry(template.at("resource"), mapping(template.get("resource")))


def _writes(entry: Entry) -> bool:
    return entry.get("action") not in ("get", "delete")


@rule("ARG521", "resource-action")
def resource_action(subject: Subject) -> Iterator[Found]:
    """A resource template's action is none of get, create, apply, delete, replace and patch.

    Why: Argo refuses it.

    Bad:
        resource: {action: update, manifest: "..."}

    Good:
        resource: {action: apply, manifest: "..."}
    """
    for _, entry in _resources(subject):
        action = text(entry.get("action"))
        if action not in ACTIONS and "{{" not in action:
            yield Found(
                entry.at("action"), f"action '{action}' is unknown", f"Use one of {', '.join(ACTIONS)}."
            )


@rule("ARG522", "resource-manifest")
def resource_manifest(subject: Subject) -> Iterator[Found]:
    """A resource template that writes has no manifest, or both manifest and manifestFrom.

    Why: Argo refuses it; get and delete may do with flags.

    Bad:
        resource: {action: create}

    Good:
        resource: {action: create, manifestFrom: {artifact: {name: manifest}}}
    """
    for _, entry in _resources(subject):
        given = [k for k in ("manifest", "manifestFrom") if entry.get(k)]
        if _writes(entry) and not given:
            yield Found(
                entry.path, "a resource template has no manifest", "Add 'manifest:' or 'manifestFrom:'."
            )
        elif _writes(entry) and len(given) > 1:
            yield Found(entry.at("manifestFrom"), "manifest and manifestFrom exclude each other", "Keep one.")


@rule("ARG523", "resource-manifest-artifact")
def resource_manifest_artifact(subject: Subject) -> Iterator[Found]:
    """manifestFrom names an artifact that is not an input of the template.

    Why: Argo refuses it.

    Bad:
        resource: {action: create, manifestFrom: {artifact: {name: manifest}}}

    Good:
        inputs: {artifacts: [{name: manifest, path: /tmp/manifest.yaml}]}
        resource: {action: create, manifestFrom: {artifact: {name: manifest}}}
    """
    for template, entry in _resources(subject):
        artifact = Entry(entry.path, mapping(entry.get("manifestFrom", "artifact")))
        names = {a.name for a in template.entries("inputs", "artifacts")}
        if _writes(entry) and artifact.body and artifact.name not in names:
            path = entry.at("manifestFrom", "artifact", "name")
            yield Found(
                path,
                f"'{artifact.name}' is not an input artifact",
                "Declare it under inputs.artifacts.",
            )


@rule("ARG524", "resource-manifest-yaml")
def resource_manifest_yaml(subject: Subject) -> Iterator[Found]:
    """A resource template's manifest is not YAML.

    Tags of inputs and of the workflow may stand in it anywhere; they are replaced first.

    Why: Argo refuses it.

    Bad:
        manifest: |
          kind ConfigMap
          metadata:
            name: x

    Good:
        manifest: |
          kind: ConfigMap
          metadata:
            name: x
    """
    for _, entry in _resources(subject):
        manifest = text(entry.get("manifest"))
        if _writes(entry) and manifest and (problem := _problem(_replaced(manifest))):
            yield Found(entry.at("manifest"), f"the manifest is not YAML: {problem}", "Correct it.")


def _replaced(manifest: str) -> str:
    def known(tag: str, expression: bool) -> str | None:
        return "placeholder" if expression or tag.startswith(("=", *REPLACED)) else None

    return replace(manifest, known)


def _problem(source: str) -> str:
    """The error that keeps the first document from being read, or the empty string."""
    builder = Builder()
    try:
        for event in yaml.parse(source, Loader=Loader):
            if builder.feed(event) is not None:
                return ""
    except Trouble as trouble:
        return trouble.message
    except (yaml.YAMLError, ValueError) as error:
        return str(getattr(error, "problem", None) or error).split("\n", 1)[0]
    return ""
