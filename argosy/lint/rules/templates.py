"""ARG21, ARG50 and ARG52: kinds of template, what only some may set, container sets, resource templates."""

from collections.abc import Iterator

import yaml

from argosy.declare.schedule import GO_DURATION
from argosy.lint.registry import Found, rule
from argosy.lint.rules.runs import DURATION
from argosy.lint.subject import Subject
from argosy.manifest.graph import find_cycle
from argosy.manifest.model import TYPES, Entry, Template, mapping, sequence, text, texts
from argosy.manifest.reading import Builder, Loader, Trouble
from argosy.manifest.tagged import has_tag, replace
from argosy.manifest.tree import Map, Seq

TYPE_NAMES = ", ".join(TYPES)


@rule("ARG210", "template-type-missing")
def template_type_missing(subject: Subject) -> Iterator[Found]:
    """A template says nothing about what it does.

    It has exactly one of container, containerSet, steps, dag, script, resource, data, suspend, http and
    plugin.

    Why: Argo refuses it: "template type unspecified". A key without a value counts as missing: write
    `suspend: {}`.

    Bad:
        - name: wait
          suspend:

    Good:
        - name: wait
          suspend: {}
    """
    for template in subject.templates:
        if not template.types:
            yield Found(
                template.path, f"template '{template.title}' has no type", f"Add one of {TYPE_NAMES}."
            )


@rule("ARG211", "template-types-many")
def template_types_many(subject: Subject) -> Iterator[Found]:
    """A template has two types at once.

    Why: Argo refuses it: "multiple template types specified".

    Bad:
        - name: both
          container: {image: alpine}
          script: {image: alpine, source: ls}

    Good:
        - name: one
          script: {image: alpine, source: ls}
    """
    for template in subject.templates:
        if len(template.types) > 1:
            message = f"template '{template.title}' has {' and '.join(template.types)}"
            yield Found(template.at(template.types[1]), message, "Keep one, or make two templates.")


@rule("ARG215", "steps-shape")
def steps_shape(subject: Subject) -> Iterator[Found]:
    """steps is not a list of lists.

    The outer list runs in sequence, each inner one in parallel.

    Why: Argo cannot read it; a single dash too few is the most common mistake of all.

    Bad:
        steps:
          - name: a
            template: a

    Good:
        steps:
          - - name: a
              template: a
    """
    for template in subject.templates:
        for i, group in enumerate(sequence(template.get("steps"))):
            if isinstance(group, Map):
                yield Found(
                    template.at("steps", i), "a step stands outside of a group", "Write '- - name: ...'."
                )
            elif group is not None and not isinstance(group, Seq):
                yield Found(
                    template.at("steps", i), "a group of steps is not a list", "Write '- - name: ...'."
                )


@rule("ARG216", "plugin-shape")
def plugin_shape(subject: Subject) -> Iterator[Found]:
    """A plugin template names no plugin, or several.

    Why: Argo reads exactly one key: the plugin's name.

    Bad:
        plugin: {}

    Good:
        plugin: {slack: {text: done}}
    """
    for template in subject.templates:
        plugin = template.get("plugin")
        if plugin is not None and (not isinstance(plugin, Map) or len(plugin) != 1):
            yield Found(template.at("plugin"), "a plugin template has exactly one key", "Name one plugin.")


@rule("ARG217", "data-template")
def data_template(subject: Subject) -> Iterator[Found]:
    """A data template has no source, or no transformation.

    Why: the controller fails when it starts it; the validator does not look.

    Bad:
        data: {transformation: [{expression: "data"}]}

    Good:
        data:
          source: {artifactPaths: {name: logs, s3: {bucket: logs}}}
          transformation: [{expression: 'filter(data, {# endsWith ".log"})'}]
    """
    for template in subject.templates:
        data = template.get("data")
        if isinstance(data, Map) and not data.get("source"):
            yield Found(
                template.at("data"), "a data template has no source", "Add 'source: {artifactPaths: ...}'."
            )


@rule("ARG218", "http-template")
def http_template(subject: Subject) -> Iterator[Found]:
    """An http template has no URL.

    Why: the agent fails when it makes the request; the validator does not look.

    Bad:
        http: {method: POST}

    Good:
        http: {method: POST, url: "https://example.com/hook"}
    """
    for template in subject.templates:
        http = template.get("http")
        if isinstance(http, Map) and not text(http.get("url")):
            yield Found(template.at("http"), "an http template has no url", "Add 'url:'.")


def _sets(subject: Subject) -> Iterator[tuple[Template, list[Entry]]]:
    for template in subject.templates:
        if template.type == "containerSet":
            yield template, template.entries("containerSet", "containers")


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
            yield Found(
                template.at("containerSet"), f"'{template.title}' has no containers", "Add 'containers:'."
            )


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
            for name in texts(entry.get("dependencies")):
                if name not in names:
                    message = f"container '{entry.name}' depends on '{name}', which is not defined"
                    yield Found(entry.at("dependencies"), message, "Correct the name.")
        parents = {c.name: [d for d in texts(c.get("dependencies")) if d in names] for c in containers}
        if cycle := find_cycle(parents):
            message = f"containers depend on each other: {' -> '.join(cycle)}"
            yield Found(template.at("containerSet", "containers"), message, "Break the circle.")


@rule("ARG212", "parallelism-on-leaf")
def parallelism_on_leaf(subject: Subject) -> Iterator[Found]:
    """A template that is neither steps nor dag sets parallelism, or one whose list of steps is empty.

    Why: it runs one pod, or nothing; Argo refuses the field there.

    Bad:
        - {name: train, parallelism: 2, container: {image: alpine}}

    Good:
        - {name: all, parallelism: 2, dag: {tasks: [{name: train, template: train}]}}
    """
    for template in subject.templates:
        emptied = template.type == "steps" and not template.get("steps")
        parallel = template.get("parallelism") is not None and bool(template.types)
        if parallel and (emptied or not template.is_graph):
            what = "a template without steps" if emptied else f"{template.type} templates"
            message = f"parallelism is not for {what}"
            yield Found(
                template.at("parallelism"),
                message,
                "Set it on the steps or dag template, or on the workflow.",
            )


@rule("ARG213", "deadline")
def deadline(subject: Subject) -> Iterator[Found]:
    """activeDeadlineSeconds is on a steps or dag template, is negative, or is no number of seconds.

    A tag such as "{{inputs.parameters.seconds}}" may stand for the number.

    Why: Argo refuses it. For a whole graph, set it on the workflow.

    Bad:
        - {name: all, activeDeadlineSeconds: 60, steps: [[{name: a, template: a}]]}

    Good:
        - {name: a, activeDeadlineSeconds: 60, container: {image: alpine}}
    """
    for template in subject.templates:
        value = template.get("activeDeadlineSeconds")
        if value is None or not template.types:
            continue
        if template.is_graph:
            message = f"activeDeadlineSeconds is not for {template.type} templates"
            yield Found(
                template.at("activeDeadlineSeconds"), message, "Set it on each leaf, or on the workflow."
            )
        elif not has_tag(value) and not _seconds(value):
            message = f"activeDeadlineSeconds '{value}' is no positive number of seconds"
            yield Found(template.at("activeDeadlineSeconds"), message, "Write whole seconds, such as 60.")


def _seconds(value: object) -> bool:
    try:
        return int(value) >= 0 and not isinstance(value, bool)  # type: ignore[call-overload,no-any-return]
    except (TypeError, ValueError):
        return False


@rule("ARG214", "timeout")
def timeout(subject: Subject) -> Iterator[Found]:
    """timeout or pendingTimeout is on a template that has none, or is no duration; nor is that of a suspend.

    A number without a unit is seconds to suspend, and none to the others.

    Why: Argo refuses a timeout, and a step that suspends ends in Error; a duration has a unit: 30s, 5m, 1h.

    Bad:
        - {name: train, timeout: "60", container: {image: alpine}}

    Good:
        - {name: train, timeout: 60s, container: {image: alpine}}
    """
    for template in subject.templates:
        for key in ("timeout", "pendingTimeout"):
            value = template.get(key)
            if value in (None, "") or not template.types:
                continue
            if not template.is_leaf:
                message = f"{key} is not for {template.type} templates"
                yield Found(template.at(key), message, "Set it on the leaves.")
            elif isinstance(value, int) or (isinstance(value, str) and value.lstrip("+-").isdecimal()):
                yield Found(template.at(key), f"{key} '{value}' has no unit", f"Write '{value}s'.")
            elif isinstance(value, str) and not has_tag(value) and not GO_DURATION.fullmatch(value):
                yield Found(template.at(key), f"{key} '{value}' is no duration", _DURATION_HINT)
        waits = template.get("suspend", "duration")
        if isinstance(waits, str) and waits and not has_tag(waits) and not DURATION.fullmatch(waits):
            message = f"duration '{waits}' of a suspend is no duration"
            yield Found(template.at("suspend", "duration"), message, _DURATION_HINT)


_DURATION_HINT = "Write '30s', '5m' or '1h'."


@rule("ARG219", "pod-settings")
def pod_settings(subject: Subject) -> Iterator[Found]:
    """podResources or resourceClaims is on a template that has no pod of its own.

    Why: http and plugin templates share the agent's pod, and steps, dag and suspend have none; Argo refuses
    the field there.

    Bad:
        - {name: ping, podResources: {limits: {cpu: "1"}}, http: {url: "https://example.org"}}

    Good:
        - {name: ping, podResources: {limits: {cpu: "1"}}, container: {image: alpine}}
    """
    graphs = ("steps", "dag", "suspend")
    without = {"podResources": ("http", "plugin"), "resourceClaims": ("http", "plugin", *graphs)}
    for template in subject.templates:
        for key, types in without.items():
            if template.get(key) is not None and template.type in types:
                message = f"{key} is not for {template.type} templates"
                yield Found(template.at(key), message, "Set it on the templates that run a pod.")


@rule("ARG220", "pod-resource-name")
def pod_resource_name(subject: Subject) -> Iterator[Found]:
    """podResources asks for something other than cpu, memory and huge pages.

    Why: Kubernetes budgets only these for a whole pod, and Argo refuses the others; a GPU belongs to a
    container.

    Bad:
        podResources: {limits: {nvidia.com/gpu: 1}}

    Good:
        podResources: {limits: {cpu: "2", memory: 4Gi}}
    """
    for holder in (subject.resource.spec, *subject.templates):
        resources = mapping(holder.get("podResources"))
        for key in ("limits", "requests"):
            for name in mapping(resources.get(key)):
                if name not in ("cpu", "memory") and not str(name).startswith("hugepages-"):
                    where = holder.at("podResources", key, name)
                    yield Found(where, f"a pod cannot ask for '{name}'", "Ask for it in the container.")
        if resources.get("claims"):
            yield Found(holder.at("podResources", "claims"), "a pod cannot claim here", "Use resourceClaims.")


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
        if _writes(entry) and manifest and (problem := _yaml_problem(_replaced(manifest))):
            yield Found(entry.at("manifest"), f"the manifest is not YAML: {problem}", "Correct it.")


def _replaced(manifest: str) -> str:
    def known(tag: str, expression: bool) -> str | None:
        return "placeholder" if expression or tag.startswith(("=", *REPLACED)) else None

    return replace(manifest, known)


def _yaml_problem(source: str) -> str:
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
