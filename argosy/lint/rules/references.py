"""ARG10 and ARG20: names, where a workflow starts, and which templates it calls, here and elsewhere."""

import re
from collections.abc import Iterable, Iterator

from argosy.declare.names import FIELD, LONGEST_FIELD, is_object
from argosy.lint.library import kind_of
from argosy.lint.registry import Found, Severity, rule
from argosy.lint.subject import Subject
from argosy.manifest.model import Call, Entry, Resource, text
from argosy.manifest.tagged import has_tag, substitute
from argosy.manifest.tree import Path
from argosy.text import remedy

VALUE = re.compile(r"[-a-zA-Z0-9_]+", re.ASCII)
KNOWN_TAG = re.compile(r"\{\{\s*(inputs|workflow)\.[^{}]+\}\}")  # in a name, it is filled in first
TAGGED = ("template", "step", "task")


def _groups(subject: Subject) -> Iterator[tuple[str, list[Entry], re.Pattern[str]]]:
    """Every list whose entries have names: what they are, the entries, and the pattern of their names."""
    spec = subject.resource.spec
    yield "template", list(subject.resource.templates), FIELD
    for kind in ("parameters", "artifacts"):
        yield kind[:-1], spec.entries("arguments", kind), VALUE
    for template in subject.templates:
        for place in ("inputs", "outputs"):
            for kind in ("parameters", "artifacts"):
                yield kind[:-1], template.entries(place, kind), VALUE
        yield template.type and ("step" if template.type == "steps" else "task"), list(template.calls), FIELD
        yield "container", template.entries("containerSet", "containers"), FIELD
        for call in template.calls:
            for kind in ("parameters", "artifacts"):
                yield kind[:-1], call.entries("arguments", kind), VALUE


@rule("ARG101", "name-missing")
def name_missing(subject: Subject) -> Iterator[Found]:
    """A template, step, task, parameter, artifact or container has no name.

    Why: nothing can refer to it; Argo refuses it.

    Bad:
        templates:
          - container: {image: alpine}

    Good:
        templates:
          - name: main
            container: {image: alpine}
    """
    for what, entries, _ in _groups(subject):
        yield from (
            Found(e.at("name"), f"a {what} has no name", "Add 'name:'.") for e in entries if not e.name
        )


@rule("ARG102", "name-invalid")
def name_invalid(subject: Subject) -> Iterator[Found]:
    """A name has a character that Argo does not allow, or is too long.

    Templates, steps, tasks and containers: letters, digits and '-', not '-' first, at most 128 characters.
    Parameters and artifacts: letters, digits, '-' and '_'. Names of templates, steps and tasks may hold
    tags of inputs and of the workflow.

    Why: names end up in variables and in names of pods.

    Bad:
        templates: [{name: train_model}]

    Good:
        templates: [{name: train-model}]
    """
    for what, entries, pattern in _groups(subject):
        for entry in entries:
            allowed = "letters, digits and '-'" + (", '_'" if pattern is VALUE else ", starting with no '-'")
            name = KNOWN_TAG.sub("x", entry.name) if what in TAGGED else entry.name
            if name and not pattern.fullmatch(name):
                yield Found(entry.at("name"), f"{what} name '{entry.name}' is invalid", f"Use {allowed}.")
            elif pattern is FIELD and len(name) > LONGEST_FIELD:
                message = f"{what} name has {len(name)} characters, more than {LONGEST_FIELD}"
                yield Found(entry.at("name"), message, "Shorten it.")


@rule("ARG103", "name-not-unique")
def name_not_unique(subject: Subject) -> Iterator[Found]:
    """Two templates, steps of one template, tasks, parameters or artifacts share a name.

    Steps must differ within the whole template, not only within their group.

    Why: a reference would be ambiguous; Argo refuses it.

    Bad:
        tasks:
          - {name: build, template: a}
          - {name: build, template: b}

    Good:
        tasks:
          - {name: build-a, template: a}
          - {name: build-b, template: b}
    """
    for what, entries, _ in _groups(subject):
        for entry in _repeated(entries):
            yield Found(
                entry.at("name"), f"{what} name '{entry.name}' is not unique", "Rename one of the two."
            )


def _repeated(entries: Iterable[Entry]) -> Iterator[Entry]:
    seen: set[str] = set()
    for entry in entries:
        if entry.name and entry.name in seen:
            yield entry
        seen.add(entry.name)


@rule("ARG107", "global-name-invalid")
def global_name_invalid(subject: Subject) -> Iterator[Found]:
    """A globalName has a character that Argo does not allow.

    Letters, digits, '-' and '_'.

    Why: {{workflow.outputs.parameters.NAME}} could not name it.

    Bad:
        outputs: {parameters: [{name: id, globalName: run id, value: "1"}]}

    Good:
        outputs: {parameters: [{name: id, globalName: run-id, value: "1"}]}
    """
    for kind in ("parameters", "artifacts"):
        for _, _, entry in subject.declared(kind, "outputs"):
            name = text(entry.get("globalName"))
            if name and not has_tag(name) and not VALUE.fullmatch(name):
                hint = "Use letters, digits, '-' and '_'."
                yield Found(entry.at("globalName"), f"globalName '{name}' is invalid", hint)


LONGEST = {"CronWorkflow": 52}


RESERVED = ("wait", "init")


@rule("ARG104", "object-name-too-long")
def object_name_too_long(subject: Subject) -> Iterator[Found]:
    """metadata.name is longer than 63 characters, or 52 for a CronWorkflow.

    Why: the name becomes a label of every pod, and labels end at 63; each run of a CronWorkflow appends a
    time.

    Bad:
        metadata: {name: train-model-image-classification-with-resnet-18-on-imagenette-every-night}

    Good:
        metadata: {name: train-image-classification-nightly}
    """
    name, longest = subject.resource.name, LONGEST.get(subject.resource.kind, 63)
    if len(name) > longest:
        message = f"the name has {len(name)} characters, more than {longest}"
        yield Found(("metadata", "name"), message, "Shorten it, or use generateName.")


@rule("ARG105", "object-name-invalid", Severity.WARNING)
def object_name_invalid(subject: Subject) -> Iterator[Found]:
    """metadata has neither name nor generateName, or one that Kubernetes refuses.

    Allowed are small letters, digits, '-' and '.'.

    Why: Argo's validator does not look; the API server does.

    Bad:
        metadata: {name: Train_Model}

    Good:
        metadata: {name: train-model}
    """
    metadata = subject.resource.metadata
    name, prefix = metadata.name, text(metadata.get("generateName"))
    if not name and not prefix:
        hint = "Add 'name:'." if subject.resource.is_reusable else "Add 'name:' or 'generateName:'."
        yield Found(("metadata",), "the object has no name", hint)
    elif not is_object(name or prefix.rstrip("-.") or "-"):
        key = "name" if name else "generateName"
        yield Found(
            ("metadata", key), f"'{name or prefix}' is not a Kubernetes name", "Use a-z, 0-9, '-' and '.'."
        )


@rule("ARG108", "kubernetes-name")
def kubernetes_name(subject: Subject) -> Iterator[Found]:
    """A label, an annotation, or a reference to a Secret or a ConfigMap has a name that Kubernetes refuses.

    Keys and the values of labels are letters, digits, '-', '_' and '.', at most 63, with a letter or a digit
    at both ends; a domain and a '/' may stand before a key. Secrets and ConfigMaps have names of small
    letters, digits, '-' and '.'.

    Why: Argo's validator does not look; the API server refuses the workflow or its pods.

    Bad:
        metadata: {labels: {the team: vision & text}}

    Good:
        metadata: {labels: {the-team: vision-and-text}}
    """
    for defect in subject.defects:
        if defect.kind == "name":
            yield Found(defect.path, str(defect.value), "Use letters, digits, '-' and '.'.")


@rule("ARG106", "container-name-reserved", Severity.WARNING)
def container_name_reserved(subject: Subject) -> Iterator[Found]:
    """A sidecar, init container or container of a set takes a name that Argo uses itself.

    'wait' and 'init' are Argo's own containers in every pod; 'main' is the template's container.

    Why: the pod would have two containers of one name and is refused.

    Bad:
        sidecars: [{name: wait, image: redis}]

    Good:
        sidecars: [{name: cache, image: redis}]
    """
    for template in subject.templates:
        extra = template.entries("sidecars") + template.entries("initContainers")
        for entry in extra + template.entries("containerSet", "containers"):
            if entry.name in RESERVED or (entry.name == "main" and entry in extra):
                yield Found(
                    entry.at("name"), f"container name '{entry.name}' is Argo's own", "Choose another."
                )


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
            yield ref, f"{kind_of(ref)} '{ref.name}'"


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
