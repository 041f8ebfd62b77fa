"""ARG21: what only some types of template may set."""

from collections.abc import Iterator

from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.manifest.model import mapping
from argosy.manifest.tagged import has_tag


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
    """timeout or pendingTimeout is on a template that has none, or is a number without a unit.

    Why: Argo refuses both; a duration has a unit: 30s, 5m, 1h.

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
