"""ARG30 and ARG33: the values of arguments, variables without a value, and tags that nobody replaces."""

from collections.abc import Iterator

from argosy.lint.registry import Found, Severity, render, rule
from argosy.lint.subject import Subject, Unresolved, input_names, item_names
from argosy.manifest.model import mapping, within
from argosy.manifest.scalars import as_text
from argosy.manifest.tagged import AT_RUN_TIME, PREFIXES, Tag, has_tag
from argosy.text import remedy

ONLY_ELSEWHERE = ("path", "jsonPath", "parameter", "expression")


@rule("ARG302", "argument-without-value")
def argument_without_value(subject: Subject) -> Iterator[Found]:
    """A step or task passes a parameter but gives it no value.

    Why: Argo refuses it: "value or valueFrom is required". An empty text is written `value: ""`.

    Bad:
        arguments: {parameters: [{name: epochs}]}

    Good:
        arguments: {parameters: [{name: epochs, value: "20"}]}
    """
    for call, entry in subject.arguments("parameters"):
        scheduled = call is None and subject.resource.kind == "CronWorkflow"
        merged = scheduled and subject.resource.template_ref is not None
        lacking = entry.get("value") is None and entry.get("valueFrom") is None
        if lacking and not merged and (scheduled or call is not None):
            yield Found(entry.path, f"argument '{entry.name}' has no value", "Add 'value:' or 'valueFrom:'.")


@rule("ARG303", "parameter-to-be-given", Severity.WARNING)
def parameter_to_be_given(subject: Subject) -> Iterator[Found]:
    """A parameter of a Workflow has no value.

    Why: it can only be submitted with `-p NAME=VALUE`; `kubectl create` makes a workflow that fails.

    Bad:
        arguments: {parameters: [{name: epochs}]}

    Good:
        arguments: {parameters: [{name: epochs, value: "20"}]}
    """
    if subject.resource.kind == "Workflow":
        for entry in subject.resource.parameters:
            if entry.get("value") is None and entry.get("valueFrom") is None:
                yield Found(
                    entry.path, f"parameter '{entry.name}' has no value", "Submit with -p, or give a value."
                )


@rule("ARG304", "argument-source")
def argument_source(subject: Subject) -> Iterator[Found]:
    """An argument's valueFrom is of a kind that only outputs have.

    Arguments allow configMapKeyRef (with default), supplied and event.

    Why: Argo refuses it. To pass an output on, write `value: "{{tasks.NAME.outputs.parameters.X}}"`.

    Bad:
        parameters: [{name: id, valueFrom: {parameter: "{{tasks.a.outputs.parameters.id}}"}}]

    Good:
        parameters: [{name: id, value: "{{tasks.a.outputs.parameters.id}}"}]
    """
    for _, entry in subject.arguments("parameters"):
        source = entry.get("valueFrom")
        if source is None:
            continue
        body = mapping(source)
        allowed = (
            body.get("configMapKeyRef") is not None or body.get("event") or body.get("supplied") is not None
        )
        if not allowed or any(body.get(key) for key in ONLY_ELSEWHERE):
            hint = "Use 'value:', or valueFrom with configMapKeyRef, supplied or event."
            yield Found(entry.at("valueFrom"), f"argument '{entry.name}' cannot have this valueFrom", hint)


@rule("ARG305", "enum")
def enum(subject: Subject) -> Iterator[Found]:
    """A parameter's enum is empty, or its value is not one of it.

    Why: Argo refuses it.

    Bad:
        parameters: [{name: size, value: huge, enum: [small, large]}]

    Good:
        parameters: [{name: size, value: small, enum: [small, large]}]
    """
    for _, entry in subject.arguments("parameters"):
        allowed = entry.get("enum")
        if not isinstance(allowed, list):
            continue
        value, texts = entry.get("value"), [as_text(v) for v in allowed]
        if not allowed:
            yield Found(
                entry.at("enum"), f"enum of '{entry.name}' is empty", "List its values, or remove it."
            )
        elif value is not None and as_text(value) not in texts:
            message = f"'{as_text(value)}' is none of '{entry.name}': {', '.join(texts)}"
            yield Found(entry.at("value"), message, remedy(as_text(value), texts, "Choose one."))


def _of(subject: Subject, *prefixes: str) -> Iterator[Unresolved]:
    yield from (u for u in subject.unresolved if u.tag.text.startswith(prefixes))


def _near(name: str, known: set[str]) -> str:
    return remedy(name, known, cutoff=0.75)


@rule("ARG331", "input-variable")
def input_variable(subject: Subject) -> Iterator[Found]:
    """{{inputs.…}} names an input that the template does not declare.

    Paths of artifacts exist only in templates that run something.

    Why: Argo refuses it: "failed to resolve".

    Bad:
        - name: train
          inputs: {parameters: [{name: epochs}]}
          container: {image: alpine, args: ["{{inputs.parameters.epoch}}"]}

    Good:
        - name: train
          inputs: {parameters: [{name: epochs}]}
          container: {image: alpine, args: ["{{inputs.parameters.epochs}}"]}
    """
    for found in _of(subject, "inputs."):
        hint = _near(found.tag.text, input_names(found.template)) or "Declare the input."
        yield Found(
            found.tag.path, f"'{{{{{found.tag.text}}}}}' is not an input of '{found.template.title}'", hint
        )


@rule("ARG332", "step-variable")
def step_variable(subject: Subject) -> Iterator[Found]:
    """{{steps.…}} or {{tasks.…}} names a step that is not there, has not run yet, or does not give that.

    A step may use earlier steps; a task its ancestors, so add the dependency. steps.… works in steps
    templates only, tasks.… in dag templates only; a leaf gets such values as inputs.

    Why: Argo refuses it: "failed to resolve".

    Bad:
        tasks:
          - {name: train, template: train}
          - {name: report, template: report, when: "{{tasks.train.status}} == Succeeded"}

    Good:
        tasks:
          - {name: train, template: train}
          - {name: report, template: report, depends: train, when: "{{tasks.train.status}} == Succeeded"}
    """
    for found in _of(subject, "steps.", "tasks."):
        message = f"'{{{{{found.tag.text}}}}}' has no value here"
        yield Found(found.tag.path, message, _why(subject, found))


def _why(subject: Subject, found: Unresolved) -> str:
    prefix, name, rest = (*found.tag.text.split(".", 2), "", "")[:3]
    scope, kind = subject.scope(found.template), found.template.type
    if kind not in ("steps", "dag"):
        return "Pass it in as an input."
    if prefix != ("steps" if kind == "steps" else "tasks"):
        return f"In a {kind} template write '{'steps' if kind == 'steps' else 'tasks'}.…'."
    if name not in scope.calls:
        return _near(name, set(scope.calls)) or f"There is no {prefix[:-1]} '{name}'."
    if rest == "status" or rest in scope.outputs(name):
        return f"'{name}' runs later, or beside it; " + (
            "add it to 'depends:'." if kind == "dag" else "move it up."
        )
    gives = sorted(o for o in scope.outputs(name) if o.startswith("outputs."))
    return _near(rest, scope.outputs(name)) or f"'{name}' gives {', '.join(gives) or 'no outputs'}."


@rule("ARG333", "workflow-variable")
def workflow_variable(subject: Subject) -> Iterator[Found]:
    """{{workflow.…}} names a parameter, label or output that the workflow does not have.

    A WorkflowTemplate may use parameters of the workflow that calls it; that workflow must have them.
    workflow.failures is known in exit handlers; a global output after the step that makes it. The fields
    beside the templates (locks, volumes, metadata of pods, arguments) are looked at, too.

    Why: Argo refuses it: "failed to resolve". Beside the templates it leaves the tag as it is: a lock or a
    volume of that name.

    Bad:
        arguments: {parameters: [{name: bucket, value: models}]}
        templates: [{name: main, container: {image: alpine, args: ["{{workflow.parameters.buckets}}"]}}]

    Good:
        arguments: {parameters: [{name: bucket, value: models}]}
        templates: [{name: main, container: {image: alpine, args: ["{{workflow.parameters.bucket}}"]}}]
    """
    known = {f"workflow.parameters.{p.name}" for p in subject.resource.parameters}
    for missing in subject.missing:
        name = missing.tag.text
        if missing.reached_from is None:
            hint = _near(name, known) or "Declare it, or correct the name."
            yield Found(missing.tag.path, f"'{{{{{name}}}}}' is not known to this workflow", hint)
        else:
            there = f"'{missing.resource.name}' at {render(missing.tag.path)}"
            message = f"'{{{{{name}}}}}', which {there} uses, is not known to this workflow"
            yield Found(missing.reached_from, message, "Declare it in this workflow.")


@rule("ARG334", "item-variable")
def item_variable(subject: Subject) -> Iterator[Found]:
    """{{item.…}} names a field that the loop's items do not have, or there is no loop.

    Why: Argo refuses it: "failed to resolve".

    Bad:
        withItems: [{image: alpine}]
        arguments: {parameters: [{name: tag, value: "{{item.tag}}"}]}

    Good:
        withItems: [{image: alpine, tag: "3.20"}]
        arguments: {parameters: [{name: tag, value: "{{item.tag}}"}]}
    """
    for found in _of(subject, "item."):
        if found.call is None and found.template.caller is not None:
            message = f"'{{{{{found.tag.text}}}}}' is not known inside of an inline template"
            yield Found(found.tag.path, message, "Give the template an input, and the input this value.")
            continue
        names = item_names(found.call) if found.call else set()
        hint = (
            _near(found.tag.text, names)
            or ("Items have " + ", ".join(sorted(names)) if names else "Add a loop") + "."
        )
        yield Found(found.tag.path, f"'{{{{{found.tag.text}}}}}' has no value here", hint)


@rule("ARG335", "pod-variable")
def pod_variable(subject: Subject) -> Iterator[Found]:
    """{{pod.name}} is used where there is no pod.

    It exists in container, containerSet, script, resource and data templates.

    Why: Argo refuses it: "failed to resolve".

    Bad:
        - name: all
          steps: [[{name: a, template: a, arguments: {parameters: [{name: pod, value: "{{pod.name}}"}]}}]]

    Good:
        - name: a
          container: {image: alpine, args: ["{{pod.name}}"]}
    """
    for found in _of(subject, "pod."):
        hint = (
            "Use it in the template that runs the pod."
            if found.tag.text == "pod.name"
            else "Only pod.name exists."
        )
        yield Found(found.tag.path, f"'{{{{{found.tag.text}}}}}' has no value here", hint)


@rule("ARG336", "item-without-loop", Severity.WARNING)
def item_without_loop(subject: Subject) -> Iterator[Found]:
    """{{item}} is used in a step or task that has no loop.

    Why: the validator lets it pass; the step gets the text "{{item}}".

    Bad:
        - {name: a, template: a, arguments: {parameters: [{name: x, value: "{{item}}"}]}}

    Good:
        - {name: a, template: a, withItems: [1, 2], arguments: {parameters: [{name: x, value: "{{item}}"}]}}
    """
    for call in subject.calls:
        if not call.loops and call.inline is None:
            for tag in subject.resource.tags.below(call.path):
                if tag.text == "item" and not tag.expression:
                    yield Found(
                        tag.path,
                        f"'{{{{item}}}}' in '{call.name}', which has no loop",
                        "Add withItems or withParam.",
                    )


@rule("ARG337", "tag-unclosed")
def tag_unclosed(subject: Subject) -> Iterator[Found]:
    """A tag that starts like one of Argo's is never closed, or any tag in an argument of a step or task.

    Why: Argo reads on to the next braces, wherever they are, and refuses what it finds.

    Bad:
        args: ["{{inputs.parameters.epochs}"]

    Good:
        args: ["{{inputs.parameters.epochs}}"]
    """
    ours = ("inputs.", "steps.", "tasks.", "workflow.", "item.")
    for value, path in subject.resource.tags.texts:
        rest = value[value.rfind("{{") + 2 :].strip()
        argument = "arguments" in path and ("steps" in path or "tasks" in path)
        if "templates" in path and "}}" not in rest and "{{" in value and (argument or rest.startswith(ours)):
            yield Found(path, f"'{{{{{rest[:40]}' is not closed", "Close it with '}}'.")


@rule("ARG338", "variable-misspelt", Severity.WARNING)
def variable_misspelt(subject: Subject) -> Iterator[Found]:
    """A tag's first word looks like one of Argo's, but is not.

    Why: Argo takes a tag that it does not know for somebody else's and leaves the braces in the text.

    Bad:
        args: ["{{input.parameters.epochs}}"]

    Good:
        args: ["{{inputs.parameters.epochs}}"]
    """
    roots = ("inputs", "outputs", "steps", "tasks", "workflow", "item")
    near = {"input": "inputs", "output": "outputs", "step": "steps", "task": "tasks", "workflows": "workflow"}
    near |= {"items": "item"} | {r.title(): r for r in roots}
    for tag in subject.resource.tags.tags:
        root = tag.parts[0]
        if "templates" in tag.path and not tag.expression and root in near and len(tag.parts) > 1:
            yield Found(tag.path, f"'{{{{{tag.text}}}}}' is not Argo's", f"Did you mean '{near[root]}'?")


@rule("ARG339", "variable-late")
def variable_late(subject: Subject) -> Iterator[Found]:
    """A tag's name depends on an input, an item or an output of a step, which is not known when Argo asks.

    Argo looks the names up before it starts anything. It then knows the workflow's parameters, and of the
    inputs those of the entrypoint and the exit handler.

    Why: Argo refuses it: "failed to resolve", though every value that comes would give a name that is known.

    Bad:
        - name: call
          inputs: {parameters: [{name: stage}]}
          container: {image: alpine, args: ["{{workflow.parameters.url-{{inputs.parameters.stage}}}}"]}

    Good:
        - name: call
          inputs: {parameters: [{name: stage}]}
          container: {image: alpine, args: ["{{=workflow.parameters['url-' + inputs.parameters.stage]}}"]}
    """
    known = {found.tag.path for found in subject.unresolved}
    free = _free(subject)
    for tag in subject.resource.tags.tags:
        late = [name for name in within(tag) if f"{name}.".startswith(_LATE)]
        if not late or "templates" not in tag.path or tag.expression or tag.path in known:
            continue
        ours = tag.text.startswith(PREFIXES) and not tag.text.startswith(free)
        if ours and not (tag.text.startswith("item.") and _any_item(subject, tag)):
            message = f"'{{{{{tag.text}}}}}' is looked up before '{late[0]}' has a value"
            yield Found(tag.path, message, "Write an expression: {{=workflow.parameters['url-' + …]}}.")


_LATE = ("inputs.", "item.", "steps.", "tasks.")


def _free(subject: Subject) -> tuple[str, ...]:
    """How names begin that Argo leaves for the run."""
    kinds = ("parameters", "artifacts")
    made = {
        f"workflow.outputs.{kind}."
        for kind in kinds
        for template in subject.templates
        if any(has_tag(output.body.get("globalName")) for output in template.entries("outputs", kind))
    }
    return (
        "outputs.",
        *AT_RUN_TIME,
        *made,
        *(["workflow.parameters"] if subject.resource.is_reusable else []),
    )


def _any_item(subject: Subject, tag: Tag) -> bool:
    """True within a loop whose items come at run time: any field is taken then."""
    calls = (call for call in subject.calls if tag.path[: len(call.path)] == call.path)
    return any("withParam" in call.loops for call in calls)
