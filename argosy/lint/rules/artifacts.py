"""ARG32: where artifacts come from, who uses them, and where they lie in the container."""

import posixpath
from collections.abc import Iterator

from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.lint.violation import Severity
from argosy.manifest.model import Entry, Template, has_location, mapping, text
from argosy.manifest.tagged import Tag

PLACES = ("inputs", "outputs")


def _of_templates(subject: Subject) -> Iterator[tuple[Template, str, Entry]]:
    for template in subject.templates:
        for place in PLACES:
            for entry in template.entries(place, "artifacts"):
                yield template, place, entry


def _arguments(subject: Subject) -> Iterator[Entry]:
    yield from subject.resource.spec.entries("arguments", "artifacts")
    for call in subject.calls:
        yield from call.entries("arguments", "artifacts")


@rule("ARG321", "artifact-without-location")
def artifact_without_location(subject: Subject) -> Iterator[Found]:
    """An artifact is passed, but nothing says where it comes from.

    It has `from`, or a location with at least a key: s3, gcs, oss, azure, git, http, raw, hdfs, artifactory.

    Why: Argo refuses it.

    Bad:
        arguments: {artifacts: [{name: model}]}

    Good:
        arguments: {artifacts: [{name: model, from: "{{tasks.train.outputs.artifacts.model}}"}]}
    """
    for entry in _arguments(subject):
        if not entry.get("from") and not has_location(entry):
            yield Found(
                entry.path,
                f"artifact '{entry.name}' has no location",
                "Add 'from:' or a location such as 's3:'.",
            )


@rule("ARG322", "artifact-two-sources")
def artifact_two_sources(subject: Subject) -> Iterator[Found]:
    """An artifact that is passed has both from and fromExpression.

    Why: Argo refuses it.

    Bad:
        {name: model, from: "{{tasks.a.outputs.artifacts.m}}", fromExpression: "tasks.a.outputs.artifacts.m"}

    Good:
        {name: model, from: "{{tasks.a.outputs.artifacts.m}}"}
    """
    for entry in _arguments(subject):
        if entry.get("from") and entry.get("fromExpression"):
            yield Found(entry.at("fromExpression"), f"artifact '{entry.name}' has two sources", "Keep one.")


@rule("ARG323", "input-artifact-from")
def input_artifact_from(subject: Subject) -> Iterator[Found]:
    """An input artifact says `from`.

    Why: where it comes from is for the caller to say, in its arguments; Argo refuses it here.

    Bad:
        inputs: {artifacts: [{name: model, path: /m, from: "{{tasks.a.outputs.artifacts.m}}"}]}

    Good:
        inputs: {artifacts: [{name: model, path: /m}]}
    """
    for _, place, entry in _of_templates(subject):
        if place == "inputs" and entry.get("from"):
            yield Found(
                entry.at("from"),
                f"input artifact '{entry.name}' has 'from'",
                "Move it to the call's arguments.",
            )


@rule("ARG327", "artifact-location-incomplete")
def artifact_location_incomplete(subject: Subject) -> Iterator[Found]:
    """A git or HDFS location lacks what it cannot do without.

    git needs repo; hdfs needs addresses, an absolute path, and a user or a Kerberos secret.

    Why: Argo refuses it.

    Bad:
        {name: code, path: /src, git: {revision: main}}

    Good:
        {name: code, path: /src, git: {repo: "https://example.com/code.git", revision: main}}
    """
    places = [e for _, place, e in _of_templates(subject) if place == "inputs"]
    for template in subject.templates:
        places.append(Entry(template.at("archiveLocation"), mapping(template.get("archiveLocation"))))
    for entry in places:
        git, hdfs = entry.get("git"), entry.get("hdfs")
        if isinstance(git, dict) and not git.get("repo"):
            yield Found(entry.at("git"), "a git location has no repo", "Add 'repo:'.")
        if isinstance(hdfs, dict):
            yield from (
                Found(entry.at("hdfs"), f"an HDFS location {what}", f"Add {add}.")
                for what, add in _hdfs(hdfs)
            )


def _hdfs(hdfs: dict[str, object]) -> Iterator[tuple[str, str]]:
    if not hdfs.get("addresses"):
        yield "has no addresses", "'addresses:'"
    if not str(hdfs.get("path") or "").startswith("/"):
        yield "has no absolute path", "'path:', starting with '/'"
    if not (hdfs.get("hdfsUser") or hdfs.get("krbCCacheSecret") or hdfs.get("krbKeytabSecret")):
        yield "has no user", "'hdfsUser:', 'krbCCacheSecret:' or 'krbKeytabSecret:'"
    needed = ("krbServicePrincipalName", "krbConfigConfigMap", "krbUsername", "krbRealm")
    if hdfs.get("krbKeytabSecret") and not all(hdfs.get(k) for k in needed):
        yield "with a keytab is incomplete", ", ".join(needed)


@rule("ARG328", "artifact-unused", Severity.WARNING)
def artifact_unused(subject: Subject) -> Iterator[Found]:
    """An output artifact of a step is stored, but nobody uses it.

    Reported in Workflows and CronWorkflows, for outputs without a location of their own and without a
    globalName, of templates that are called.

    Why: every run uploads a file that is never read; often a consumer was renamed.

    Bad:
        outputs: {artifacts: [{name: model, path: /tmp/model}]}       # no task takes it

    Good:
        arguments: {artifacts: [{name: model, from: "{{tasks.train.outputs.artifacts.model}}"}]}
    """
    if subject.resource.is_reusable or subject.resource.template_ref is not None:
        return
    used = {name for tag in subject.resource.tags.tags for name in _artifact_names(tag)}
    expressions = [text(e.get("fromExpression")) for e, _ in subject.artifacts()]
    for template, place, entry in _of_templates(subject):
        kept = has_location(entry) or entry.get("globalName") or template.name == subject.resource.entrypoint
        if place == "inputs" or kept or not template.is_leaf or entry.name in used:
            continue
        if not any(entry.name in e for e in expressions):
            hint = "Pass it on, or remove it."
            yield Found(entry.path, f"nobody uses artifact '{entry.name}' of '{template.title}'", hint)


def _artifact_names(tag: Tag) -> Iterator[str]:
    if tag.expression:
        yield from tag.text.replace("'", " ").replace('"', " ").replace(".", " ").split()
    elif ".outputs.artifacts." in f".{tag.text}":
        yield tag.text.rpartition("outputs.artifacts.")[2]


def _paths_of_templates(subject: Subject) -> Iterator[tuple[Template, str, Entry]]:
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
    for template, place, entry in _paths_of_templates(subject):
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
    for template, _, entry in _paths_of_templates(subject):
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
    for template, _, entry in _paths_of_templates(subject):
        path = text(entry.get("path"))
        if template.is_leaf and "/.." in path and _escapes(path):
            yield Found(entry.at("path"), f"path '{path}' leaves its folder", "Write the path without '..'.")


def _escapes(path: str) -> bool:
    at = path.find("/../")
    safe = path[:at] if at >= 0 else path[:-3] if path.endswith("/..") else ""
    cleaned = posixpath.normpath(path)
    return bool(safe) and not (cleaned.startswith(safe + "/") and len(cleaned) > len(safe) + 1)
