"""ARG4: `when`."""

from collections.abc import Iterator

from argosy.lint.entry import text
from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.lint.truth import never_true
from argosy.lint.violation import Severity
from argosy.manifest.conditions import ConditionError, check
from argosy.manifest.tree import Path


def _conditions(subject: Subject) -> Iterator[tuple[str, Path]]:
    for call in subject.calls:
        if when := text(call.get("when")):
            yield when, call.at("when")


@rule("ARG421", "when-syntax")
def when_syntax(subject: Subject) -> Iterator[Found]:
    """when is not an expression that Argo can evaluate.

    Comparisons (==, !=, <, =~, in) joined by && and ||; texts need quotes once they hold more than a word.

    Why: the validator does not read it; the step fails when its turn comes.

    Bad:
        when: "{{steps.flip.outputs.result}} == "

    Good:
        when: "{{steps.flip.outputs.result}} == heads"
    """
    for when, path in _conditions(subject):
        try:
            check(when)
        except ConditionError as error:
            fix = f"{error.fix[:1].upper()}{error.fix[1:]}." if error.fix else "Correct it."
            yield Found(path, f"when '{when[:60]}' cannot be read: {error.why}", fix)


@rule("ARG422", "when-never-true", Severity.WARNING)
def when_never_true(subject: Subject) -> Iterator[Found]:
    """when can never be true, so the step never runs.

    Two different constants that are compared; one value that is to equal two; a status that does not exist.

    Why: a skipped step is no error, so nobody notices.

    Bad:
        when: "{{tasks.train.status}} == Success"

    Good:
        when: "{{tasks.train.status}} == Succeeded"
    """
    for when, path in _conditions(subject):
        if reason := never_true(when):
            yield Found(path, f"when '{when[:60]}' is never true: {reason}", "Correct or remove it.")
