"""ARG20: references to other resources."""

from collections.abc import Iterator

from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.lint.violation import Severity
from argosy.manifest.model import Call, Entry, text
from argosy.manifest.tagged import has_tag
from argosy.text import remedy


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
    for ref, what in _unknown(subject):
        if subject.library.should_know(ref, subject.resource):
            message = f"{what} is not among the files given"
            yield Found(ref.at("name"), message, "Add its file, or correct the name.")


@rule("ARG204", "reference-unchecked", Severity.WARNING)
def reference_unchecked(subject: Subject) -> Iterator[Found]:
    """A reference to another resource cannot be checked, because no template of its kind was given.

    Why: whether the template exists, and which inputs it wants, is left to the cluster.

    Bad:
        # argosy lint workflow.yaml, where workflow.yaml has
        templateRef: {name: training, template: train}

    Good:
        # argosy lint workflow.yaml templates/
        templateRef: {name: training, template: train}
    """
    for ref, what in _unknown(subject):
        if not subject.library.should_know(ref, subject.resource):
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
            yield Found(ref.at("template"), message, remedy(template, found.by_name))


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
    given = {
        "template": bool(call.target),
        "templateRef": call.ref is not None,
        "inline": call.inline is not None,
    }
    return [key for key, there in given.items() if there]
