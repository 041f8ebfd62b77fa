"""ARG2: entrypoints, templates and references to other resources."""

import difflib
from collections.abc import Iterable, Iterator

from argosy.lint.expressions import has_tag, substitute
from argosy.lint.model import Call, Entry, Resource, text
from argosy.lint.registry import Found, rule
from argosy.lint.scalars import as_text
from argosy.lint.subject import Subject
from argosy.lint.violation import Path, Severity


def _suggest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), 1)
    return f"Did you mean '{near[0]}'?" if near else ""


@rule("ARG201", "entrypoint-missing")
def entrypoint_missing(subject: Subject) -> Iterator[Found]:
    """A Workflow or CronWorkflow does not say where it starts.

    Templates may leave it to their caller.

    Why: Argo refuses it: "spec.entrypoint is required".

    Bad:
        spec:
          templates: [{name: main, container: {image: alpine}}]

    Good:
        spec:
          entrypoint: main
          templates: [{name: main, container: {image: alpine}}]
    """
    resource = subject.resource
    if resource.is_reusable or resource.entrypoint:
        return
    ref = resource.template_ref
    if ref is not None:
        target = subject.library.resource(ref, resource)
        if target is None or target.entrypoint:
            return
    yield Found(resource.spec.path, "the workflow has no entrypoint", "Add 'entrypoint:' with a template's name.")


def _named(resource: Resource) -> Iterator[tuple[Path, str, str]]:
    """Names of templates outside of steps and tasks: (path, what, name)."""
    spec = resource.spec
    for key in ("entrypoint", "onExit"):
        yield spec.at(key), key, text(spec.get(key))
    hooks = spec.get("hooks")
    for name, hook in hooks.items() if isinstance(hooks, dict) else ():
        if isinstance(hook, dict):
            yield spec.at("hooks", name, "template"), f"hook '{name}'", text(hook.get("template"))


@rule("ARG202", "template-undefined")
def template_undefined(subject: Subject) -> Iterator[Found]:
    """A step, task, hook, entrypoint or exit handler names a template that is not there.

    Why: Argo refuses it; a hook's template is looked up only when the hook fires.

    Bad:
        entrypoint: mian
        templates: [{name: main, container: {image: alpine}}]

    Good:
        entrypoint: main
        templates: [{name: main, container: {image: alpine}}]
    """
    resource = subject.resource
    where = resource
    if (ref := resource.template_ref) is not None:
        found = subject.library.resource(ref, resource)
        if found is None:
            return
        where = found
    for path, what, name in _named(resource):
        if name and name not in where.by_name and not has_tag(name):
            yield Found(path, f"{what} names template '{name}', which is not defined", _suggest(name, where.by_name))
    values = {f"workflow.parameters.{p.name}": as_text(p.get("value")) for p in resource.parameters if p.get("value")}
    for path, name in _called(subject):
        name = substitute(name, values)
        if has_tag(name):
            hint = "A local name must be fixed; templateRef may hold tags."
            yield Found(path, f"template name '{name}' is known only when the workflow runs", hint)
        elif name not in resource.by_name:
            yield Found(path, f"template '{name}' is not defined", _suggest(name, resource.by_name))


def _called(subject: Subject) -> Iterator[tuple[Path, str]]:
    for call in subject.calls:
        if call.target and call.inline is None and call.ref is None:
            yield call.at("template"), call.target
        for hook in call.hooks.values():
            name = text(hook.get("template"))
            if name and not has_tag(name):
                yield hook.at("template"), name
        name = text(call.get("onExit"))
        if name and not has_tag(name):
            yield call.at("onExit"), name


def _references(subject: Subject) -> Iterator[tuple[Entry, str]]:
    """Every reference to another resource, with the template it asks for."""
    resource = subject.resource
    if (ref := resource.template_ref) is not None:
        yield ref, ""
    for call in subject.calls:
        if call.ref is not None:
            yield call.ref, text(call.ref.get("template"))
        for hook in call.hooks.values():
            if isinstance(hook.get("templateRef"), dict):
                ref = Entry(hook.at("templateRef"), hook.get("templateRef"))
                yield ref, text(ref.get("template"))


def _unknown(subject: Subject) -> Iterator[tuple[Entry, str]]:
    for ref, template in _references(subject):
        dynamic = has_tag(ref.name) or has_tag(template)
        if ref.name and not dynamic and subject.library.resource(ref, subject.resource, template) is None:
            kind = "ClusterWorkflowTemplate" if ref.get("clusterScope") is True else "WorkflowTemplate"
            yield ref, f"{kind} '{ref.name}'"


@rule("ARG203", "reference-unknown")
def reference_unknown(subject: Subject) -> Iterator[Found]:
    """A reference names a WorkflowTemplate that is not among the files given.

    Give the files of the templates, too, or ignore this rule where they live elsewhere.

    Why: Argo looks it up when the workflow is submitted and refuses it if it is not there.

    Bad:
        templateRef: {name: trianing, template: train}

    Good:
        templateRef: {name: training, template: train}
    """
    if subject.library.has_any:
        for ref, what in _unknown(subject):
            yield Found(ref.at("name"), f"{what} is not among the files given", "Add its file, or correct the name.")


@rule("ARG204", "reference-unchecked", Severity.WARNING)
def reference_unchecked(subject: Subject) -> Iterator[Found]:
    """A reference to another resource cannot be checked, because no template resource was given.

    Why: whether the template exists, and which inputs it wants, is left to the cluster.

    Bad:
        # argosy lint workflow.yaml, where workflow.yaml has
        templateRef: {name: training, template: train}

    Good:
        # argosy lint workflow.yaml templates/
        templateRef: {name: training, template: train}
    """
    if not subject.library.has_any:
        for ref, what in _unknown(subject):
            yield Found(ref.at("name"), f"{what} was not given, so it is not checked", "Lint its file along.")


@rule("ARG205", "reference-template-unknown")
def reference_template_unknown(subject: Subject) -> Iterator[Found]:
    """The WorkflowTemplate is there, but has no template of that name.

    Why: Argo refuses it: "template reference not found".

    Bad:
        templateRef: {name: training, template: trian}

    Good:
        templateRef: {name: training, template: train}
    """
    for ref, template in _references(subject):
        if not template or has_tag(template) or has_tag(ref.name):
            continue
        found = subject.library.resource(ref, subject.resource, template)
        if found is not None and template not in found.by_name:
            message = f"'{ref.name}' has no template '{template}'"
            yield Found(ref.at("template"), message, _suggest(template, found.by_name))


@rule("ARG206", "reference-incomplete")
def reference_incomplete(subject: Subject) -> Iterator[Found]:
    """A templateRef lacks the resource's name or the template's.

    Why: Argo refuses it; a workflowTemplateRef needs only the name.

    Bad:
        templateRef: {name: training}

    Good:
        templateRef: {name: training, template: train}
    """
    for call in subject.calls:
        if call.ref is not None and call.inline is None:
            for key in ("name", "template"):
                if not call.ref.get(key):
                    yield Found(call.ref.path, f"templateRef has no '{key}'", f"Add '{key}:'.")
    ref = subject.resource.template_ref
    if ref is not None and not ref.name:
        yield Found(ref.path, "workflowTemplateRef has no 'name'", "Add 'name:'.")


@rule("ARG207", "call-target")
def call_target(subject: Subject) -> Iterator[Found]:
    """A step or task calls nothing, or two things at once.

    It has exactly one of template, templateRef and inline.

    Why: Argo refuses it, or silently takes the first of the two.

    Bad:
        - {name: train, template: train, templateRef: {name: training, template: train}}

    Good:
        - {name: train, templateRef: {name: training, template: train}}
    """
    for call in subject.calls:
        given = _targets(call)
        if not given:
            yield Found(call.path, f"'{call.name}' calls no template", "Add template, templateRef or inline.")
        elif len(given) > 1:
            yield Found(call.at(given[1]), f"'{call.name}' has {' and '.join(given)}", "Keep one of them.")


def _targets(call: Call) -> list[str]:
    given = {"template": bool(call.target), "templateRef": call.ref is not None, "inline": call.inline is not None}
    return [key for key, there in given.items() if there]


@rule("ARG208", "templates-beside-reference")
def templates_beside_reference(subject: Subject) -> Iterator[Found]:
    """A workflow has both workflowTemplateRef and templates of its own.

    Why: Argo refuses it; the templates would come from two places.

    Bad:
        spec:
          workflowTemplateRef: {name: training}
          templates: [{name: extra, container: {image: alpine}}]

    Good:
        spec:
          workflowTemplateRef: {name: training}
    """
    spec = subject.resource.spec
    if subject.resource.template_ref is not None and spec.get("templates"):
        hint = "Move the templates into the WorkflowTemplate, or call it with templateRef."
        yield Found(spec.at("templates"), "templates cannot stand beside workflowTemplateRef", hint)


@rule("ARG209", "template-unused", Severity.WARNING)
def template_unused(subject: Subject) -> Iterator[Found]:
    """Nothing in a Workflow or CronWorkflow calls a template.

    Why: it is dead text, or the sign of a name that was changed in one place only.

    Bad:
        entrypoint: main
        templates:
          - {name: main, container: {image: "alpine:3.20"}}
          - {name: old-main, container: {image: "alpine:3.20"}}

    Good:
        entrypoint: main
        templates:
          - {name: main, container: {image: "alpine:3.20"}}
    """
    resource = subject.resource
    if resource.is_reusable or resource.template_ref is not None:
        return
    used = {name for _, _, name in _named(resource)} | {name for _, name in _called(subject)}
    if any(has_tag(name) for name in used):
        return
    for template in resource.templates:
        if template.name and template.name not in used:
            yield Found(template.at("name"), f"nothing calls template '{template.name}'", "Remove it, or call it.")
