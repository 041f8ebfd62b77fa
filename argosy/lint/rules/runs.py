"""ARG6: metrics, CronWorkflows, retries, garbage collection, locks and caches."""

import re
from collections.abc import Iterator

from argosy.declare.retry import RETRY_POLICIES
from argosy.declare.schedule import schedule_trouble, zone_exists, zone_names
from argosy.lint.registry import Found, Severity, rule
from argosy.lint.subject import Subject
from argosy.manifest.model import Entry, mapping, sequence, text
from argosy.manifest.tagged import has_tag
from argosy.text import remedy

METRIC_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
METRIC_KINDS = ("gauge", "counter", "histogram")


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
        if not METRIC_NAME.fullmatch(metric.name):
            yield Found(
                metric.at("name"), f"metric name '{metric.name}' is invalid", "Use letters, digits and '_'."
            )
        for label in metric.entries("labels"):
            key = label.get("key")
            if not (isinstance(key, str) and METRIC_NAME.fullmatch(key)):
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
        for kind in METRIC_KINDS:
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


TTL = ("secondsAfterCompletion", "secondsAfterSuccess", "secondsAfterFailure")
HISTORY = ("successfulJobsHistoryLimit", "failedJobsHistoryLimit")
POLICIES = ("Allow", "Forbid", "Replace")


def _cron(subject: Subject) -> Iterator[Entry]:
    if subject.resource.kind == "CronWorkflow":
        yield Entry(("spec",), mapping(subject.resource.body.get("spec")))


@rule("ARG611", "schedule-missing")
def schedule_missing(subject: Subject) -> Iterator[Found]:
    """A CronWorkflow has no schedule.

    Why: Argo refuses it.

    Bad:
        spec: {schedules: [], workflowSpec: {...}}

    Good:
        spec: {schedules: ["0 2 * * *"], workflowSpec: {...}}
    """
    for spec in _cron(subject):
        if not sequence(spec.get("schedules")) and spec.get("schedule") is None:
            yield Found(spec.path, "the CronWorkflow has no schedule", "Add 'schedules: [\"0 2 * * *\"]'.")


@rule("ARG612", "schedule-malformed")
def schedule_malformed(subject: Subject) -> Iterator[Found]:
    """A schedule is not one that cron understands.

    Five fields: minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly,
    @yearly, @every 90m. "TZ=Europe/Berlin " may stand before it.

    Why: Argo refuses it.

    Bad:
        schedules: ["0 25 * * *"]

    Good:
        schedules: ["0 23 * * *"]
    """
    for spec in _cron(subject):
        places = [(spec.at("schedules", i), s) for i, s in enumerate(sequence(spec.get("schedules")))]
        if spec.get("schedule") is not None:
            places.append((spec.at("schedule"), spec.get("schedule")))
        for path, schedule in places:
            if problem := schedule_trouble(str(schedule)):
                yield Found(path, f"schedule '{schedule}' is malformed: {problem}", "Correct it.")


@rule("ARG613", "timezone-unknown")
def timezone_unknown(subject: Subject) -> Iterator[Found]:
    """A CronWorkflow's time zone does not exist.

    Why: Argo refuses it.

    Bad:
        timezone: Europe/Bonn

    Good:
        timezone: Europe/Berlin
    """
    for spec in _cron(subject):
        zone = spec.get("timezone")
        if isinstance(zone, str) and zone and not zone_exists(zone):
            hint = remedy(zone, zone_names(), "Use a name such as Europe/Berlin.")
            yield Found(spec.at("timezone"), f"time zone '{zone}' does not exist", hint)


@rule("ARG614", "concurrency-policy")
def concurrency_policy(subject: Subject) -> Iterator[Found]:
    """concurrencyPolicy is none of Allow, Forbid and Replace.

    Why: Argo refuses it.

    Bad:
        concurrencyPolicy: forbid

    Good:
        concurrencyPolicy: Forbid
    """
    for spec in _cron(subject):
        policy = spec.get("concurrencyPolicy")
        if policy and policy not in POLICIES:
            hint = f"Use one of {', '.join(POLICIES)}."
            yield Found(spec.at("concurrencyPolicy"), f"concurrencyPolicy '{policy}' is unknown", hint)


@rule("ARG615", "starting-deadline")
def starting_deadline(subject: Subject) -> Iterator[Found]:
    """startingDeadlineSeconds is negative.

    Why: Argo refuses it.

    Bad:
        startingDeadlineSeconds: -5

    Good:
        startingDeadlineSeconds: 60
    """
    for spec in _cron(subject):
        seconds = spec.get("startingDeadlineSeconds")
        if isinstance(seconds, int) and seconds < 0:
            message = f"startingDeadlineSeconds is {seconds}"
            yield Found(spec.at("startingDeadlineSeconds"), message, "Give 0 or more seconds.")


@rule("ARG616", "negative-limit", Severity.WARNING)
def negative_limit(subject: Subject) -> Iterator[Found]:
    """A history limit, or the seconds of a ttlStrategy, is negative.

    Why: Argo's validator does not look. The finished workflow is deleted at once, with its record.

    Bad:
        ttlStrategy: {secondsAfterCompletion: -1}

    Good:
        ttlStrategy: {secondsAfterCompletion: 86400}
    """
    spec = subject.resource.spec
    places = [(Entry(spec.at("ttlStrategy"), mapping(spec.get("ttlStrategy"))), key) for key in TTL]
    places += [(cron, key) for cron in _cron(subject) for key in HISTORY]
    for entry, key in places:
        number = entry.get(key)
        if isinstance(number, int | float) and number < 0:
            yield Found(entry.at(key), f"{key} is {number}", "Give 0 or more, or leave it out.")


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
