"""ARG6: metrics."""

import re
from collections.abc import Iterator

from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.manifest.model import Entry

NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
KINDS = ("gauge", "counter", "histogram")


def _metrics(subject: Subject) -> Iterator[Entry]:
    yield from subject.resource.spec.entries("metrics", "prometheus")
    for template in subject.templates:
        yield from template.entries("metrics", "prometheus")


@rule("ARG601", "metric-name")
def metric_name(subject: Subject) -> Iterator[Found]:
    """A metric or one of its labels has a name that Prometheus does not allow.

    Letters, digits and '_', not starting with a digit.

    Why: Argo refuses it.

    Bad:
        prometheus: [{name: train.duration, help: how long, gauge: {value: "{{duration}}"}}]

    Good:
        prometheus: [{name: train_duration, help: how long, gauge: {value: "{{duration}}"}}]
    """
    for metric in _metrics(subject):
        if not NAME.fullmatch(metric.name):
            yield Found(
                metric.at("name"), f"metric name '{metric.name}' is invalid", "Use letters, digits and '_'."
            )
        for label in metric.entries("labels"):
            key = label.get("key")
            if not (isinstance(key, str) and NAME.fullmatch(key)):
                yield Found(
                    label.at("key"), f"metric label '{key}' is invalid", "Use letters, digits and '_'."
                )


@rule("ARG602", "metric-help")
def metric_help(subject: Subject) -> Iterator[Found]:
    """A metric has no help text.

    Why: Argo refuses it.

    Bad:
        prometheus: [{name: train_duration, gauge: {value: "{{duration}}"}}]

    Good:
        prometheus: [{name: train_duration, help: how long training took, gauge: {value: "{{duration}}"}}]
    """
    for metric in _metrics(subject):
        if not metric.get("help"):
            yield Found(metric.path, f"metric '{metric.name}' has no help", "Add 'help:'.")


@rule("ARG603", "metric-value")
def metric_value(subject: Subject) -> Iterator[Found]:
    """A gauge, counter or histogram has no value, or a real-time gauge measures resources.

    resourcesDuration is known only when the step is over.

    Why: Argo refuses it.

    Bad:
        gauge: {realtime: true, value: "{{resourcesDuration.cpu}}"}

    Good:
        gauge: {realtime: true, value: "{{duration}}"}
    """
    for metric in _metrics(subject):
        for kind in KINDS:
            body = metric.get(kind)
            if isinstance(body, dict) and body.get("value") in (None, ""):
                yield Found(
                    metric.at(kind), f"{kind} of metric '{metric.name}' has no value", "Add 'value:'."
                )
        realtime, value = metric.get("gauge", "realtime"), metric.get("gauge", "value")
        if realtime is True and "resourcesDuration." in str(value):
            yield Found(
                metric.at("gauge", "value"), "resourcesDuration is not known in real time", "Use duration."
            )
