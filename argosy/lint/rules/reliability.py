"""ARG6: retries, garbage collection, locks, caches."""

import re
from collections.abc import Iterator

from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.lint.violation import Severity
from argosy.manifest.model import Entry, mapping, sequence, text
from argosy.manifest.tagged import has_tag

RETRY_POLICIES = ("Always", "OnFailure", "OnError", "OnTransientError")
POD_GC = ("OnPodCompletion", "OnPodSuccess", "OnWorkflowCompletion", "OnWorkflowSuccess")
OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist")
DURATION = re.compile(r"\d+|([0-9.]+(ns|us|ms|s|m|h|d))+")


def _retries(subject: Subject) -> Iterator[Entry]:
    spec = subject.resource.spec
    yield Entry(spec.at("retryStrategy"), mapping(spec.get("retryStrategy")))
    for template in subject.templates:
        yield Entry(template.at("retryStrategy"), mapping(template.get("retryStrategy")))


@rule("ARG621", "retry-policy")
def retry_policy(subject: Subject) -> Iterator[Found]:
    """retryPolicy is none of Always, OnFailure, OnError and OnTransientError.

    Why: Argo refuses it.

    Bad:
        retryStrategy: {limit: 3, retryPolicy: OnFail}

    Good:
        retryStrategy: {limit: 3, retryPolicy: OnFailure}
    """
    for entry in _retries(subject):
        policy = entry.get("retryPolicy")
        if policy and policy not in RETRY_POLICIES and not has_tag(policy):
            hint = f"Use one of {', '.join(RETRY_POLICIES)}."
            yield Found(entry.at("retryPolicy"), f"retryPolicy '{policy}' is unknown", hint)


@rule("ARG622", "retry-numbers", Severity.WARNING)
def retry_numbers(subject: Subject) -> Iterator[Found]:
    """A retry's limit, factor or durations are not what they should be.

    limit and factor are whole numbers, duration and maxDuration seconds or durations such as 30s or 1h.

    Why: the validator does not look; the step fails instead of being tried again.

    Bad:
        retryStrategy: {limit: three, backoff: {duration: soon}}

    Good:
        retryStrategy: {limit: 3, backoff: {duration: 10s, factor: 2, maxDuration: 5m}}
    """
    for entry in _retries(subject):
        numbers = [("limit",), ("backoff", "factor")]
        durations = [("backoff", "duration"), ("backoff", "maxDuration"), ("backoff", "cap")]
        for keys in numbers + durations:
            value = entry.get(*keys)
            if value is None or value == "" or has_tag(value):
                continue
            fits = DURATION.fullmatch(str(value)) if keys in durations else str(value).lstrip("+").isdecimal()
            if not fits:
                wanted = "a duration such as 30s" if keys in durations else "a whole number"
                yield Found(entry.at(*keys), f"{keys[-1]} '{value}' is not {wanted}", f"Write {wanted}.")


@rule("ARG631", "pod-gc-strategy")
def pod_gc_strategy(subject: Subject) -> Iterator[Found]:
    """podGC.strategy is unknown.

    Why: Argo refuses it.

    Bad:
        podGC: {strategy: OnSuccess}

    Good:
        podGC: {strategy: OnPodSuccess}
    """
    spec = subject.resource.spec
    strategy = mapping(spec.get("podGC")).get("strategy")
    if strategy and strategy not in POD_GC:
        yield Found(
            spec.at("podGC", "strategy"),
            f"strategy '{strategy}' is unknown",
            f"Use one of {', '.join(POD_GC)}.",
        )


@rule("ARG632", "pod-gc-selector")
def pod_gc_selector(subject: Subject) -> Iterator[Found]:
    """podGC.labelSelector has an operator that Kubernetes does not know, or values that do not fit it.

    In and NotIn need values, Exists and DoesNotExist have none.

    Why: Argo refuses it.

    Bad:
        matchExpressions: [{key: keep, operator: Is, values: ["true"]}]

    Good:
        matchExpressions: [{key: keep, operator: NotIn, values: ["true"]}]
    """
    spec = subject.resource.spec
    for entry in spec.entries("podGC", "labelSelector", "matchExpressions"):
        operator, values = entry.get("operator"), sequence(entry.get("values"))
        if operator not in OPERATORS:
            yield Found(
                entry.at("operator"),
                f"operator '{operator}' is unknown",
                f"Use one of {', '.join(OPERATORS)}.",
            )
        elif bool(values) != (operator in ("In", "NotIn")):
            wanted = "needs values" if operator in ("In", "NotIn") else "has no values"
            yield Found(entry.at("values"), f"operator '{operator}' {wanted}", "Correct 'values:'.")


@rule("ARG641", "synchronization", Severity.WARNING)
def synchronization(subject: Subject) -> Iterator[Found]:
    """A lock says too little: a mutex without a name, a semaphore without its limit's place.

    Why: the validator does not look; the workflow fails when it asks for the lock.

    Bad:
        synchronization: {semaphores: [{namespace: default}]}

    Good:
        synchronization: {semaphores: [{configMapKeyRef: {name: limits, key: gpu}}]}
    """
    places = [Entry(t.path, t.body) for t in subject.templates] + [subject.resource.spec]
    for entry in places:
        for mutex in entry.entries("synchronization", "mutexes"):
            if not mutex.name:
                yield Found(mutex.path, "a mutex has no name", "Add 'name:'.")
        for semaphore in entry.entries("synchronization", "semaphores"):
            if not semaphore.get("configMapKeyRef") and not semaphore.get("database"):
                yield Found(
                    semaphore.path, "a semaphore has no limit", "Add 'configMapKeyRef:' or 'database:'."
                )


_TAG = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_NO_KEY = re.compile(r"[^-a-zA-Z0-9]|^-")  # of what the key has besides its tags


@rule("ARG642", "memoize", Severity.WARNING)
def memoize(subject: Subject) -> Iterator[Found]:
    """memoize has no key, one that Argo refuses, or nowhere to keep what it remembers.

    Why: the validator does not look; the step fails, or is never found again.

    Bad:
        memoize: {key: "{{inputs.parameters.id}}"}

    Good:
        memoize: {key: "{{inputs.parameters.id}}", maxAge: 24h, cache: {configMap: {name: results}}}
    """
    for template in subject.templates:
        body = template.get("memoize")
        if isinstance(body, dict):
            for key in ("key", "cache"):
                if not body.get(key):
                    yield Found(template.at("memoize"), f"memoize has no '{key}'", f"Add '{key}:'.")
            if bad := _NO_KEY.search(_TAG.sub("x", text(body.get("key")))):
                yield Found(
                    template.at("memoize", "key"),
                    f"the key has '{bad[0]}' where Argo takes letters and digits, and dashes after the first",
                    "Write {{=sprig.sha256sum(inputs.parameters.NAME)}} for a value of other characters.",
                )
            age = text(body.get("maxAge"))
            if age and not has_tag(age) and not DURATION.fullmatch(age):
                yield Found(
                    template.at("memoize", "maxAge"), f"maxAge '{age}' is no duration", "Write '24h'."
                )
