"""ARG6: CronWorkflows."""

from collections.abc import Iterator

from argosy.lint.entry import Entry, mapping, sequence
from argosy.lint.registry import Found, rule
from argosy.lint.schedule import trouble, zone_exists, zone_names
from argosy.lint.subject import Subject
from argosy.lint.suggest import did_you_mean

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
            if problem := trouble(str(schedule)):
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
            hint = did_you_mean(zone, zone_names(), "Use a name such as Europe/Berlin.")
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
