"""ARG32: where artifacts lie in the container."""

import posixpath
from collections.abc import Iterator

from argosy.lint.entry import Entry, text
from argosy.lint.model import Template
from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject

PLACES = ("inputs", "outputs")


def _of_templates(subject: Subject) -> Iterator[tuple[Template, str, Entry]]:
    for template in subject.templates:
        for place in PLACES:
            for entry in template.entries(place, "artifacts"):
                yield template, place, entry


@rule("ARG324", "artifact-path-missing")
def artifact_path_missing(subject: Subject) -> Iterator[Found]:
    """An artifact of a template that runs something has no path.

    Why: the path is where the file lies in the container; Argo refuses it without.

    Bad:
        outputs: {artifacts: [{name: model}]}

    Good:
        outputs: {artifacts: [{name: model, path: /tmp/model.onnx}]}
    """
    for template, place, entry in _of_templates(subject):
        if template.is_leaf and not entry.get("path"):
            yield Found(entry.path, f"{place[:-1]} artifact '{entry.name}' has no path", "Add 'path:'.")


@rule("ARG325", "artifact-path-misplaced")
def artifact_path_misplaced(subject: Subject) -> Iterator[Found]:
    """An artifact of a steps, dag or suspend template has a path.

    Why: they have no container, so no files; Argo refuses it. An output passes on with `from`.

    Bad:
        - name: all
          dag: {tasks: [{name: a, template: a}]}
          outputs: {artifacts: [{name: m, path: /m}]}

    Good:
        - name: all
          dag: {tasks: [{name: a, template: a}]}
          outputs: {artifacts: [{name: m, from: "{{tasks.a.outputs.artifacts.m}}"}]}
    """
    for template, _, entry in _of_templates(subject):
        if template.types and not template.is_leaf and entry.get("path"):
            message = f"artifact '{entry.name}' of a {template.type} template has a path"
            yield Found(entry.at("path"), message, "Remove it.")


@rule("ARG326", "artifact-path-escapes")
def artifact_path_escapes(subject: Subject) -> Iterator[Found]:
    """An artifact's path climbs out of its folder with '..'.

    Why: Argo refuses it, so that a parameter in the path cannot reach other files.

    Bad:
        {name: model, path: /work/../etc/passwd}

    Good:
        {name: model, path: /work/model}
    """
    for template, _, entry in _of_templates(subject):
        path = text(entry.get("path"))
        if template.is_leaf and "/.." in path and _escapes(path):
            yield Found(entry.at("path"), f"path '{path}' leaves its folder", "Write the path without '..'.")


def _escapes(path: str) -> bool:
    at = path.find("/../")
    safe = path[:at] if at >= 0 else path[:-3] if path.endswith("/..") else ""
    cleaned = posixpath.normpath(path)
    return bool(safe) and not (cleaned.startswith(safe + "/") and len(cleaned) > len(safe) + 1)
