"""ARG30, ARG31 and ARG32: inputs and outputs of templates, what callers pass, and where artifacts lie."""

import posixpath
from collections.abc import Iterator

from argosy.lint.registry import Found, Severity, rule
from argosy.lint.subject import Subject
from argosy.manifest.model import Call, Entry, Resource, Template, has_location, mapping, text
from argosy.manifest.tagged import Tag
from argosy.manifest.tree import Path
from argosy.text import remedy


def _supplied(given: Entry | None, wanted: Entry, by_call: bool) -> bool:
    """True if an input parameter gets a value, from its argument or by itself."""
    if given is not None:
        if given.get("value") is not None or (by_call and given.get("valueFrom") is None):
            return True
        return mapping(given.get("valueFrom")).get("configMapKeyRef") is not None
    own = wanted.get("value") is not None or wanted.get("default") is not None
    return own or mapping(wanted.get("valueFrom")).get("configMapKeyRef") is not None


def _lacking(template: Template, given: Entry) -> Iterator[str]:
    """The inputs that a template needs and `given` does not pass; an argument without a value is ARG302's."""
    by_call = isinstance(given, Call)
    parameters = {e.name: e for e in given.entries("arguments", "parameters")}
    artifacts = {e.name for e in given.entries("arguments", "artifacts")}
    for wanted in template.entries("inputs", "parameters"):
        if wanted.name and not _supplied(parameters.get(wanted.name), wanted, by_call):
            yield f"parameter '{wanted.name}'"
    for wanted in template.entries("inputs", "artifacts"):
        optional = wanted.get("optional") is True or has_location(wanted)
        if wanted.name and not optional and wanted.name not in artifacts:
            yield f"artifact '{wanted.name}'"


@rule("ARG301", "input-not-supplied")
def input_not_supplied(subject: Subject) -> Iterator[Found]:
    """A template is called without an input that it needs.

    An input needs no argument if it has a value, a default or a valueFrom of a ConfigMap; an artifact, if
    it is optional or says where it is. The entrypoint and the exit handler get the workflow's arguments.

    Why: Argo refuses it: "inputs.parameters.NAME was not supplied".

    Bad:
        - {name: train, template: train}       # train has the input 'epochs'

    Good:
        - {name: train, template: train, arguments: {parameters: [{name: epochs, value: "20"}]}}
    """
    for call in subject.calls:
        target = subject.target(call).template
        if target is not None:
            for what in _lacking(target, call):
                message = f"'{call.name}' does not supply {what} of '{target.title}'"
                yield Found(call.path, message, "Add it to 'arguments:'.")
    if not subject.resource.is_reusable:
        yield from _from_workflow(subject)


def _from_workflow(subject: Subject) -> Iterator[Found]:
    resource, ref = subject.resource, subject.resource.template_ref
    spec = resource
    given = Entry(resource.spec.path, resource.spec.body)
    if ref is not None:
        found = subject.library.resource(ref, resource)
        if found is None:
            return
        spec = found
    for key in ("entrypoint", "onExit"):
        name = resource.spec.get(key) or spec.spec.get(key)
        template = spec.by_name.get(name) if isinstance(name, str) else None
        for what in _lacking(template, given) if template is not None else ():
            if key == "onExit" or not _inherited(what, spec, ref is not None):
                path = resource.spec.at(key) if ref is None else ref.path
                yield Found(
                    path,
                    f"the workflow does not supply {what} of its {key} '{name}'",
                    "Add it to 'arguments:'.",
                )


def _inherited(what: str, spec: Resource, referenced: bool) -> bool:
    """True if the WorkflowTemplate that a workflow refers to brings the argument along."""
    if not referenced:
        return False
    kind, name = what.split(" ", 1)
    brought = [e for e in spec.spec.entries("arguments", kind + "s") if f"'{e.name}'" == name]
    return any(kind == "artifact" or e.get("value") is not None or e.get("valueFrom") for e in brought)


@rule("ARG306", "argument-unknown", Severity.WARNING)
def argument_unknown(subject: Subject) -> Iterator[Found]:
    """A step or task passes an argument that its template does not have as an input.

    Why: Argo ignores it, so a misspelt name leaves the default in place.

    Bad:
        arguments: {parameters: [{name: epoch, value: "20"}]}      # the input is 'epochs'

    Good:
        arguments: {parameters: [{name: epochs, value: "20"}]}
    """
    for call in subject.calls:
        target = subject.target(call).template
        if target is None:
            continue
        for kind in ("parameters", "artifacts"):
            known = {e.name for e in target.entries("inputs", kind)}
            for path, name in _named(call, kind):
                if name not in known:
                    hint = remedy(name, known, "Remove it, or declare the input.")
                    yield Found(path, f"'{target.title}' has no input {kind[:-1]} '{name}'", hint)


def _named(call: Call, kind: str) -> Iterator[tuple[Path, str]]:
    yield from ((e.at("name"), e.name) for e in call.entries("arguments", kind) if e.name)


SOURCES = ("path", "jqFilter", "jsonPath", "parameter", "expression")
WANTED = {
    "container": ("path",),
    "containerSet": ("path",),
    "script": ("path",),
    "resource": ("jqFilter", "jsonPath"),
    "dag": ("parameter", "expression"),
    "steps": ("parameter", "expression"),
}


def _sources(entry: Entry) -> list[str]:
    source = mapping(entry.get("valueFrom"))
    return [k for k in SOURCES if source.get(k)] + (
        ["supplied"] if source.get("supplied") is not None else []
    )


@rule("ARG311", "output-without-value")
def output_without_value(subject: Subject) -> Iterator[Found]:
    """An output parameter says neither its value nor where it comes from, or says both.

    Why: Argo refuses it.

    Bad:
        outputs: {parameters: [{name: accuracy}]}

    Good:
        outputs: {parameters: [{name: accuracy, valueFrom: {path: /tmp/accuracy}}]}
    """
    for _, _, entry in subject.declared("parameters", "outputs"):
        value, source = entry.get("value"), entry.get("valueFrom")
        if value is None and source is None:
            yield Found(entry.path, f"output '{entry.name}' has no value", "Add 'valueFrom:'.")
        elif value is not None and source is not None:
            yield Found(entry.at("value"), f"output '{entry.name}' has value and valueFrom", "Keep one.")


@rule("ARG312", "output-source")
def output_source(subject: Subject) -> Iterator[Found]:
    """An output parameter's valueFrom names no source, or several.

    Exactly one of path, jqFilter, jsonPath, parameter, expression and supplied; `default` may stand beside.

    Why: Argo refuses it.

    Bad:
        valueFrom: {path: /tmp/id, jqFilter: .id}

    Good:
        valueFrom: {path: /tmp/id, default: ""}
    """
    for _, _, entry in subject.declared("parameters", "outputs"):
        if entry.get("value") is not None or entry.get("valueFrom") is None:
            continue
        sources = _sources(entry)
        if not sources:
            hint = f"Add one of {', '.join(SOURCES)} or supplied."
            yield Found(entry.at("valueFrom"), f"output '{entry.name}' has no source", hint)
        elif len(sources) > 1:
            yield Found(
                entry.at("valueFrom"), f"output '{entry.name}' has {' and '.join(sources)}", "Keep one."
            )


@rule("ARG313", "output-source-type")
def output_source_type(subject: Subject) -> Iterator[Found]:
    """An output parameter's source does not fit its template's type.

    container, containerSet and script read a file (path); resource reads the object (jqFilter, jsonPath);
    steps and dag pass on what their calls gave (parameter, expression).

    Why: Argo refuses it.

    Bad:
        - name: all
          steps: [[{name: a, template: a}]]
          outputs: {parameters: [{name: id, valueFrom: {path: /tmp/id}}]}

    Good:
        - name: all
          steps: [[{name: a, template: a}]]
          outputs: {parameters: [{name: id, valueFrom: {parameter: "{{steps.a.outputs.parameters.id}}"}}]}
    """
    for template, _, entry in subject.declared("parameters", "outputs"):
        wanted, sources = WANTED.get(template.type, ()), _sources(entry)
        fits = not wanted or any(k in wanted for k in sources)
        if entry.get("value") is None and len(sources) == 1 and not fits:
            message = f"output '{entry.name}' of a {template.type} template has {sources[0]}"
            yield Found(entry.at("valueFrom", sources[0]), message, f"Use {' or '.join(wanted)}.")


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
    for _, entry in subject.arguments("artifacts"):
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
    for _, entry in subject.arguments("artifacts"):
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
    for _, _, entry in subject.declared("artifacts", "inputs"):
        if entry.get("from"):
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
    places = [entry for _, _, entry in subject.declared("artifacts", "inputs")]
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
    expressions = [text(e.get("fromExpression")) for e in subject.ports("artifacts")]
    for template, _, entry in subject.declared("artifacts", "outputs"):
        kept = has_location(entry) or entry.get("globalName") or template.name == subject.resource.entrypoint
        if kept or not template.is_leaf or entry.name in used:
            continue
        if not any(entry.name in e for e in expressions):
            hint = "Pass it on, or remove it."
            yield Found(entry.path, f"nobody uses artifact '{entry.name}' of '{template.title}'", hint)


def _artifact_names(tag: Tag) -> Iterator[str]:
    if tag.expression:
        yield from tag.text.replace("'", " ").replace('"', " ").replace(".", " ").split()
    elif ".outputs.artifacts." in f".{tag.text}":
        yield tag.text.rpartition("outputs.artifacts.")[2]


@rule("ARG324", "artifact-path-missing")
def artifact_path_missing(subject: Subject) -> Iterator[Found]:
    """An artifact of a template that runs something has no path.

    Why: the path is where the file lies in the container; Argo refuses it without.

    Bad:
        outputs: {artifacts: [{name: model}]}

    Good:
        outputs: {artifacts: [{name: model, path: /tmp/model.onnx}]}
    """
    for template, place, entry in subject.declared("artifacts", "inputs", "outputs"):
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
    for template, _, entry in subject.declared("artifacts", "inputs", "outputs"):
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
    for template, _, entry in subject.declared("artifacts", "inputs", "outputs"):
        path = text(entry.get("path"))
        if template.is_leaf and "/.." in path and _escapes(path):
            yield Found(entry.at("path"), f"path '{path}' leaves its folder", "Write the path without '..'.")


def _escapes(path: str) -> bool:
    at = path.find("/../")
    safe = path[:at] if at >= 0 else path[:-3] if path.endswith("/..") else ""
    cleaned = posixpath.normpath(path)
    return bool(safe) and not (cleaned.startswith(safe + "/") and len(cleaned) > len(safe) + 1)
