"""ARG4: loops and hooks of steps and tasks."""

import json
from collections.abc import Iterator

from argosy.lint.registry import Found, Severity, rule
from argosy.lint.subject import Subject
from argosy.manifest.model import Call, Template, mapping, text
from argosy.manifest.tagged import Tag, has_tag


@rule("ARG431", "loop-sources")
def loop_sources(subject: Subject) -> Iterator[Found]:
    """A step or task has more than one of withItems, withParam and withSequence.

    Why: Argo refuses it.

    Bad:
        {name: a, template: a, withItems: [1, 2], withParam: "[1, 2]"}

    Good:
        {name: a, template: a, withItems: [1, 2]}
    """
    for call in subject.calls:
        if len(call.loops) > 1:
            yield Found(call.at(call.loops[1]), f"'{call.name}' has {' and '.join(call.loops)}", "Keep one.")


@rule("ARG432", "sequence-bounds")
def sequence_bounds(subject: Subject) -> Iterator[Found]:
    """withSequence has both count and end.

    Why: Argo refuses it.

    Bad:
        withSequence: {count: "10", end: "9"}

    Good:
        withSequence: {start: "0", end: "9"}
    """
    for call in subject.calls:
        body = mapping(call.get("withSequence"))
        if body.get("count") is not None and body.get("end") is not None:
            yield Found(call.at("withSequence", "end"), "withSequence has count and end", "Keep one.")


@rule("ARG433", "sequence-numbers", Severity.WARNING)
def sequence_numbers(subject: Subject) -> Iterator[Found]:
    """withSequence has neither count nor end, or a bound that is no number.

    Why: the validator does not look; the workflow fails when it expands the loop.

    Bad:
        withSequence: {start: one, end: "3"}

    Good:
        withSequence: {start: "1", end: "3"}
    """
    for call in subject.calls:
        body = call.get("withSequence")
        if not isinstance(body, dict):
            continue
        if body.get("count") is None and body.get("end") is None:
            yield Found(call.at("withSequence"), "withSequence has no end", "Add 'count:' or 'end:'.")
        for key in ("start", "end", "count"):
            value = body.get(key)
            if value is not None and not has_tag(value) and not str(value).lstrip("+-").isdecimal():
                yield Found(
                    call.at("withSequence", key), f"{key} '{value}' is no number", "Write whole numbers."
                )


@rule("ARG437", "loop-list", Severity.WARNING)
def loop_list(subject: Subject) -> Iterator[Found]:
    """withParam is a text without tags that is no JSON list.

    Why: Argo's validator does not look; the step ends in Error: "withParam value could not be parsed as a
    JSON list".

    Bad:
        withParam: "a, b"

    Good:
        withParam: '["a", "b"]'
    """
    for call in subject.calls:
        given = call.get("withParam")
        if isinstance(given, str) and given and not has_tag(given) and not _is_list(given):
            message = f"withParam of '{call.name}' is no JSON list"
            yield Found(call.at("withParam"), message, "Write '[...]', or use withItems.")


def _is_list(given: str) -> bool:
    try:
        return isinstance(json.loads(given), list)
    except (ValueError, RecursionError):
        return False


@rule("ARG434", "loop-empty", Severity.WARNING)
def loop_empty(subject: Subject) -> Iterator[Found]:
    """withItems is an empty list.

    Why: Argo takes it for no loop at all, runs the step once, and {{item}} stays as it is.

    Bad:
        {name: a, template: a, withItems: []}

    Good:
        {name: a, template: a, withItems: [1]}
    """
    for call in subject.calls:
        if call.get("withItems") == [] and not call.loops:
            yield Found(
                call.at("withItems"), f"withItems of '{call.name}' is empty", "Add items, or remove it."
            )


def _gathered(subject: Subject) -> Iterator[tuple[Tag, Call, Call, Template]]:
    """Each tag in a call that reads what a loop beside it gathered: the tag, the loop, the call."""
    for template in subject.templates:
        loops = {call.name: call for call in template.calls if call.loops}
        tags = ((c, t) for c in template.calls if loops for t in subject.resource.tags.plain(c.path))
        for call, tag in tags:
            prefix, name, rest = (*tag.text.split(".", 2), "", "")[:3]
            if prefix in ("steps", "tasks") and name in loops and rest.startswith("outputs."):
                yield tag, loops[name], call, template


@rule("ARG435", "loop-result", Severity.WARNING)
def loop_result(subject: Subject) -> Iterator[Found]:
    """{{steps.…outputs.result}} or {{tasks.…outputs.result}} is read of a loop.

    The output of the items is gathered into a list of JSON values. Reported where nothing in the script says
    that it prints JSON.

    Why: where an item prints plain text, such as heads, the workflow ends in Error: "invalid character".

    Bad:
        - {name: flip, template: flip, withItems: [1, 2]}
        - name: show
          template: show
          arguments: {parameters: [{name: x, value: "{{steps.flip.outputs.result}}"}]}

    Good:
        - {name: flip, template: flip, withItems: [1, 2]}
        - name: show
          template: show
          arguments: {parameters: [{name: x, value: "{{steps.flip.outputs.parameters.side}}"}]}
    """
    for tag, loop, _, _ in _gathered(subject):
        target = subject.target(loop).template
        if tag.text.endswith(".outputs.result") and not (target and _prints_json(target)):
            message = f"'{{{{{tag.text}}}}}' fails unless every item of '{loop.name}' prints JSON"
            yield Found(tag.path, message, "Let the items print JSON, or give the step an output parameter.")


def _prints_json(template: Template) -> bool:
    return any(word in text(template.get("script", "source")) for word in ("json", "jq "))


@rule("ARG436", "loop-maybe-empty", Severity.WARNING)
def loop_maybe_empty(subject: Subject) -> Iterator[Found]:
    """A loop's gathered values are read in a step or task beside it, though the loop may have no items.

    A loop over withParam has no items where its list is empty; one with a count has none at 0. Not reported
    where each call of the template that holds both has a `when` of its own, nor where a task depends on the
    loop's success: it is then omitted.

    Why: an empty loop is skipped and gathers nothing; the controller waits for the value for ever.

    Bad:
        - {name: fit, template: fit, withParam: "{{steps.list.outputs.result}}"}
        - name: best
          template: best
          arguments: {parameters: [{name: all, value: "{{steps.fit.outputs.parameters.score}}"}]}

    Good:
        # fit and best in a template of their own, called by
        - {name: sweep, template: sweep, when: "'{{steps.list.outputs.result}}' != '[]'"}
        # or, in a DAG
        - {name: best, template: best, depends: fit.Succeeded}
    """
    guarded = _guarded(subject)
    for tag, loop, call, template in _gathered(subject):
        if _maybe_empty(loop) and template.name not in guarded and not _wants_success(call, loop):
            message = f"if the loop '{loop.name}' has no items, '{{{{{tag.text}}}}}' is waited for for ever"
            hint = (
                f"Write 'depends: {loop.name}.Succeeded'."
                if template.type == "dag"
                else "Put both into a template of their own, called with a 'when:'."
            )
            yield Found(tag.path, message, hint)


def _wants_success(call: Call, loop: Call) -> bool:
    """Whether a task runs only after the loop's items did: a term of its `depends` speaks of nothing else."""
    ends = {f"{loop.name}.{end}" for end in ("Succeeded", "Failed", "AnySucceeded")}
    terms = text(call.get("depends")).split("&&")
    return any({part.strip("() ") for part in term.split("||")} <= ends for term in terms)


def _guarded(subject: Subject) -> set[str]:
    """The templates that are called with a condition only."""
    called: dict[str, bool] = {subject.resource.entrypoint: False}
    for call in subject.calls:
        called[call.target] = called.get(call.target, True) and bool(call.get("when"))
    return {name for name, always in called.items() if always}


def _maybe_empty(call: Call) -> bool:
    if "withSequence" in call.loops:
        return has_tag(call.get("withSequence", "count"))
    return "withParam" in call.loops and has_tag(call.get("withParam"))


@rule("ARG441", "hook-expression")
def hook_expression(subject: Subject) -> Iterator[Found]:
    """A lifecycle hook other than `exit` has no expression.

    Why: the expression says when it fires; Argo refuses it without.

    Bad:
        hooks: {running: {template: notify}}

    Good:
        hooks: {running: {template: notify, expression: workflow.status == "Running"}}
    """
    for owner in (subject.resource.spec, *subject.calls):
        for name, hook in mapping(owner.get("hooks")).items():
            if name != "exit" and not mapping(hook).get("expression"):
                path = owner.at("hooks", name)
                yield Found(path, f"hook '{name}' has no expression", "Add 'expression:', or name it 'exit'.")


@rule("ARG442", "exit-hook-ignored", Severity.WARNING)
def exit_hook_ignored(subject: Subject) -> Iterator[Found]:
    """A workflow, step or task has `onExit` and a hook `exit`.

    Why: there is one exit handler, and Argo takes `onExit`; the hook never runs.

    Bad:
        onExit: clean
        hooks: {exit: {template: notify}}

    Good:
        hooks: {exit: {template: clean-and-notify}}
    """
    for owner in (subject.resource.spec, *subject.calls):
        if owner.get("onExit") and mapping(owner.get("hooks")).get("exit"):
            said = f"the hook 'exit' never runs: 'onExit' names '{owner.get('onExit')}'"
            yield Found(owner.at("hooks", "exit"), said, "Keep one of them; a template of steps may do both.")
