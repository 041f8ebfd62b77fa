"""ARG20: where a workflow starts, and which of its own templates it calls."""

from collections.abc import Iterator

from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.lint.violation import Severity
from argosy.manifest.model import Resource, text
from argosy.manifest.tagged import has_tag, substitute
from argosy.manifest.tree import Path
from argosy.text import remedy

# Looked up before any tag has a value.
FIXED = ("entrypoint", "onExit")


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
    yield Found(
        resource.spec.path, "the workflow has no entrypoint", "Add 'entrypoint:' with a template's name."
    )


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

    The entrypoint and the exit handler must be fixed: Argo looks them up before it fills in any tag.

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
        if has_tag(name) and what in FIXED and where is resource:
            yield Found(path, f"{what} '{name}' holds a tag, and is looked up as it is", "Name a template.")
        elif name and name not in where.by_name and not has_tag(name):
            yield Found(
                path,
                f"{what} names template '{name}', which is not defined",
                remedy(name, where.by_name),
            )
    for path, name in _called(subject):
        name = substitute(name, resource.values)
        if has_tag(name):
            hint = "A local name must be fixed; templateRef may hold tags."
            yield Found(path, f"template name '{name}' is known only when the workflow runs", hint)
        elif name not in resource.by_name:
            yield Found(path, f"template '{name}' is not defined", remedy(name, resource.by_name))


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
            yield Found(
                template.at("name"), f"nothing calls template '{template.name}'", "Remove it, or call it."
            )
