"""ARG0: can the document be read at all, is it one of Argo's, and does it fit Argo's schema?"""

from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches

from argosy.lint.registry import MAX_OBJECT_BYTES, Found, Severity, rule
from argosy.lint.schema import RANGES, Defect, describe, rewritten
from argosy.lint.subject import Subject
from argosy.manifest.model import mapping, sequence, text
from argosy.manifest.reading import GROUP, KINDS, LISTS, Document
from argosy.manifest.scalars import as_text, resolve
from argosy.manifest.tree import Map, Path, Seq
from argosy.text import remedy

ARGO_FIELDS = frozenset(
    {"entrypoint", "templates", "workflowTemplateRef", "workflowSpec", "schedules", "schedule"}
)


def _problems(document: Document, code: str) -> Iterator[Found]:
    for problem in document.problems:
        if problem.code == code:
            yield Found(problem.path, problem.message, mark=problem.mark)


@rule("ARG001", "unreadable", on="document")
def unreadable(document: Document) -> Iterator[Found]:
    """The file is not YAML that can be read.

    Wrong indentation, a tab, bytes that are not UTF-8, nesting or aliases beyond any manifest's need.

    Why: nothing in the rest of the document can be checked, and kubectl refuses it.

    Bad:
        spec: {entrypoint: main

    Good:
        spec: {entrypoint: main}
    """
    yield from _problems(document, "ARG001")


@rule("ARG002", "not-an-object", on="document")
def not_an_object(document: Document) -> Iterator[Found]:
    """The document is no object of Kubernetes: a list, a text, a mapping without a kind, or nothing at all.

    Of a folder, files of another sort may lie beside the manifests: only an empty one is reported there. The
    objects of a list (`kind: List`, `kind: WorkflowList`) are looked at one by one.

    Why: a file that lost its first lines, or is no manifest, should not pass as "nothing to lint".

    Bad:
        - kind: Workflow

    Good:
        kind: Workflow
    """
    for problem in document.problems:
        if problem.code == "ARG002":
            yield Found((), problem.message, "Write a manifest, or leave the file out.", mark=problem.mark)
    unreadable_too = any(p.code == "ARG001" for p in document.problems)
    looked_at = document.explicit and document.root is not None and not unreadable_too
    if looked_at and (message := _no_object(document)):
        yield Found((), message, "Write one Kubernetes object in each document.")


def _no_object(document: Document) -> str:
    """Why the document is no object; of an object, and of what ARG003 speaks of, the empty string."""
    if not isinstance(document.root, Map):
        return "the document is not a mapping"
    if document.is_list:
        return "" if sequence(document.root.get("items")) else "the list has no items"
    if document.kind or _is_argo_without_kind(document.root):
        return ""
    return "the document is no manifest: it has no kind"


@rule("ARG003", "kind-missing", on="document")
def kind_missing(document: Document) -> Iterator[Found]:
    """An Argo object does not say its kind, or misspells it or the group of its apiVersion.

    Reported where the apiVersion or the spec's fields are Argo's.

    Why: Argo skips a document without a kind, and one of an unknown kind or group, silently.

    Bad:
        apiVersion: argoproj.io/v1alpha1
        metadata: {name: hello}

    Good:
        apiVersion: argoproj.io/v1alpha1
        kind: Workflow
        metadata: {name: hello}
    """
    root = document.root
    if not isinstance(root, Map) or document.is_argo or document.is_list:
        return
    if _is_argo_without_kind(root):
        yield Found(("kind",), "the object has no kind", f"Add 'kind:', one of {', '.join(KINDS)}.")
    elif document.kind in (*KINDS, *LISTS):
        if _is_argo_of_no_group(root):
            message = f"there is no apiVersion '{root['apiVersion']}' of a {document.kind}"
            yield Found(("apiVersion",), message, f"Write 'apiVersion: {GROUP}v1alpha1'.")
    elif _is_argo(root) and (meant := _meant(document.kind)):
        yield Found(("kind",), f"there is no kind '{document.kind}'", f"Write 'kind: {meant}'.")


def _is_argo_without_kind(root: Map) -> bool:
    return not text(root.get("kind")) and _is_argo(root)


def _is_argo(root: Map) -> bool:
    """True if the apiVersion or the spec's fields are Argo's."""
    group = text(root.get("apiVersion")).startswith(GROUP)
    return group or bool(ARGO_FIELDS & mapping(root.get("spec")).keys())


def _is_argo_of_no_group(root: Map) -> bool:
    """True if Argo is meant by an apiVersion of another group; others have a kind `Workflow`, too."""
    version = text(root.get("apiVersion")).lower()
    close = get_close_matches(version, [GROUP + "v1alpha1"], 1, 0.8)
    return bool(close) or "argo" in version or "/" not in version


def _meant(kind: str) -> str:
    """The kind that is misspelt; empty for another of Argo's group, `Application` or `WorkflowTaskSet`."""
    known = {name.lower(): name for name in (*KINDS, *LISTS)}
    return next((known[name] for name in get_close_matches(kind.lower(), known, 1, 0.85)), "")


@rule("ARG004", "duplicate-key", on="document")
def duplicate_key(document: Document) -> Iterator[Found]:
    """A key is written twice in one mapping.

    Why: YAML readers keep one of the two and drop the other without a word; Argo refuses the file.

    Bad:
        container:
          image: alpine:3.20
          image: alpine:3.21

    Good:
        container:
          image: alpine:3.21
    """
    if document.is_argo or document.is_list:
        yield from _problems(document, "ARG004")


@rule("ARG012", "api-version", Severity.WARNING)
def api_version(subject: Subject) -> Iterator[Found]:
    """The object's apiVersion is missing or is not argoproj.io/v1alpha1.

    Why: `argo` guesses it, `kubectl` does not.

    Bad:
        kind: Workflow

    Good:
        apiVersion: argoproj.io/v1alpha1
        kind: Workflow
    """
    if subject.resource.get("apiVersion") != GROUP + "v1alpha1":
        yield Found(
            ("apiVersion",),
            "apiVersion is not 'argoproj.io/v1alpha1'",
            "Write 'apiVersion: argoproj.io/v1alpha1'.",
        )


@rule("ARG013", "too-large", Severity.WARNING, on="document")
def too_large(document: Document) -> Iterator[Found]:
    """The object is larger than Kubernetes stores.

    Why: etcd takes at most 1.5 MiB an object, and the status of a running workflow needs room beside the
    spec. The API server answers "request is too large" only when the workflow is submitted.

    Bad:
        # one Workflow of 4,000 tasks, each with its own inline template

    Good:
        # one template with withItems, or parts in WorkflowTemplates
    """
    if document.is_argo and document.size > MAX_OBJECT_BYTES // 2:
        size = len(_json(document.root))
        if size > MAX_OBJECT_BYTES:
            hint = "Loop over items, or move templates into a WorkflowTemplate."
            yield Found(
                (), f"the object has {size:,} bytes; Kubernetes stores at most {MAX_OBJECT_BYTES:,}", hint
            )


@rule("ARG015", "key-misread", Severity.WARNING, on="document")
def key_misread(document: Document) -> Iterator[Found]:
    """A key is read as another text than the one that is written.

    `--fix` quotes it.

    Why: Argo reads YAML 1.1, where an unquoted `on` or `y` is a boolean and `0x10` a number: the label or
    selector gets the name `true` or `16`.

    Bad:
        labels: {on: "1"}

    Good:
        labels: {"on": "1"}
    """
    if document.is_argo:
        for found in _problems(document, "ARG015"):
            yield replace(found, hint="Put the key in quotes.")


def _json(root: object) -> str:
    import json

    return json.dumps(root, separators=(",", ":"), default=str)


# Fields of Argo 3 that Argo 4 no longer has, and what to write instead.
REMOVED = {
    ("CronWorkflowSpec", "schedule"): "Write 'schedules:' with a list.",
    ("Synchronization", "mutex"): "Write 'mutexes:' with a list.",
    ("Synchronization", "semaphore"): "Write 'semaphores:' with a list.",
    ("Template", "templateRef"): "Call the other template from a step or a task.",
    ("Template", "template"): "Call the other template from a step or a task.",
    ("Template", "arguments"): "Give arguments where the template is called.",
    ("Template", "resubmitPendingPods"): "Remove it; Argo does so by itself.",
    ("TemplateRef", "runtimeResolution"): "Remove it; references are always resolved when the workflow runs.",
}


def _found(subject: Subject, kind: str) -> Iterator[Defect]:
    yield from (d for d in subject.defects if d.kind == kind)


@rule("ARG005", "unknown-field")
def unknown_field(subject: Subject) -> Iterator[Found]:
    """A field that Argo 4 does not know.

    Why: Argo refuses the manifest when it lints or submits it; the API server drops the field silently, and
    the step runs without what it said.

    Bad:
        container:
          imagePolicy: Always

    Good:
        container:
          imagePullPolicy: Always
    """
    for defect in _found(subject, "unknown"):
        if (defect.type, defect.value) not in REMOVED:
            hint = remedy(str(defect.value), defect.allowed, "Remove it.")
            yield Found(defect.path, f"'{defect.value}' is not a field of {defect.type.split('.')[0]}", hint)


@rule("ARG006", "removed-field")
def removed_field(subject: Subject) -> Iterator[Found]:
    """A field of Argo 3 that Argo 4 removed.

    `--fix` rewrites schedule, mutex and semaphore to the lists that replaced them.

    Why: the controller of Argo 4 ignores it, so a CronWorkflow never starts, or a lock never holds.

    Bad:
        spec:
          schedule: "0 2 * * *"

    Good:
        spec:
          schedules: ["0 2 * * *"]
    """
    for defect in _found(subject, "unknown"):
        if hint := REMOVED.get((defect.type, defect.value)):
            yield Found(defect.path, f"'{defect.value}' of {defect.type} was removed in Argo 4", hint)


@rule("ARG014", "field-case")
def field_case(subject: Subject) -> Iterator[Found]:
    """A field's name is right but for upper and lower case.

    `--fix` corrects it.

    Why: Argo refuses it as unknown, and the API server drops the field without a word.

    Bad:
        serviceaccountname: runner

    Good:
        serviceAccountName: runner
    """
    for defect in _found(subject, "case"):
        yield Found(defect.path, f"'{defect.value}' is written '{defect.allowed[0]}'", "Correct the case.")


@rule("ARG007", "wrong-type")
def wrong_type(subject: Subject) -> Iterator[Found]:
    """A value has another type than its field, is too large for it, or is null where a list has an element.

    Integers have 64 bits; priorities, modes, ports, history limits, the seconds of a ttlStrategy and of a
    probe, and integers for which a text may stand, 32.

    Why: Argo cannot read the manifest: "cannot unmarshal ... into Go struct field". Of a null it makes an
    element that says nothing, a task without a name or a text of no letters.

    Bad:
        parallelism: "3"

    Good:
        parallelism: 3
    """
    for defect in _found(subject, "type"):
        if defect.type == "[WorkflowStep":  # ARG215 says it better
            continue
        yield Found(
            defect.path,
            f"{_show(defect.value)} is not {describe(defect.type)}",
            f"Give {describe(defect.type)}.",
        )
    for defect in _found(subject, "range"):
        low, high = RANGES[defect.type]
        message = f"{_show(defect.value)} is outside of {low} to {high}, the integers that fit"
        yield Found(defect.path, message, "Give one of them.")
    for defect in _found(subject, "null"):
        listed = next(part for part in reversed(defect.path) if isinstance(part, str))
        hint = f"Remove it, or give {describe(defect.type)}."
        yield Found(defect.path, f"element {defect.path[-1]} of '{listed}' is null", hint)


@rule("ARG008", "unknown-value")
def unknown_value(subject: Subject) -> Iterator[Found]:
    """A field has none of the values that Kubernetes allows it.

    Why: the pod or the object is refused when it is created, after earlier steps have run.

    Bad:
        imagePullPolicy: always

    Good:
        imagePullPolicy: Always
    """
    for defect in _found(subject, "enum"):
        hint = remedy(str(defect.value), defect.allowed)
        yield Found(defect.path, f"{_show(defect.value)} is none of {', '.join(defect.allowed)}", hint)


@rule("ARG009", "quantity")
def quantity(subject: Subject) -> Iterator[Found]:
    """A resource quantity is malformed.

    A quantity is a number with a unit: 250m, 2, 512Mi, 1.5Gi. Tags such as {{inputs.parameters.memory}} are
    not allowed here; a podSpecPatch may have them.

    Why: Argo cannot read the manifest.

    Bad:
        resources: {limits: {memory: 512MB}}

    Good:
        resources: {limits: {memory: 512Mi}}
    """
    for defect in _found(subject, "quantity"):
        hint = (
            "Use podSpecPatch."
            if "{{" in str(defect.value)
            else "Write a number and a unit, as in 250m or 512Mi."
        )
        yield Found(defect.path, f"{_show(defect.value)} is not a quantity", hint)


@rule("ARG010", "unquoted")
def unquoted(subject: Subject) -> Iterator[Found]:
    """A number or a boolean stands where the field is a text.

    Argo reads YAML 1.1: unquoted, y, n, yes, no, on and off are booleans, and 1e3, 1_000, 0o17, 08 and +1 are
    numbers. `--fix` quotes them as they are written.

    Why: Argo refuses the manifest. A cluster whose CRDs have no schema takes it, and its controller stops at
    it again and again, for everybody.

    Bad:
        env: [{name: WORKERS, value: 4}]

    Good:
        env: [{name: WORKERS, value: "4"}]
    """
    for defect in _found(subject, "unquoted"):
        kind = "boolean" if isinstance(resolve(defect.value), bool) else "number"
        message = f"'{defect.value}' is a {kind} to Argo, and this field is a text"
        yield Found(defect.path, message, f'Write "{defect.value}".')


@rule("ARG016", "value-rewritten", Severity.WARNING)
def value_rewritten(subject: Subject) -> Iterator[Found]:
    """The value of a parameter, or an item of a loop, arrives as another text than the one that is written.

    Why: Argo takes any value there, reads it as YAML 1.1 does, and makes a text of what it read: yes is true,
    1.10 is 1.1, 1e3 is 1000 and 0777 is 511.

    Bad:
        parameters: [{name: version, value: 1.10}]

    Good:
        parameters: [{name: version, value: "1.10"}]
    """
    for defect in _found(subject, "rewritten"):
        yield _arrives(defect.path, defect.value, defect.allowed[0])
    for call in subject.calls:
        for node, path in _below(call.get("withItems"), call.at("withItems")):
            for key in node.written:
                if written := rewritten(node, key):
                    yield _arrives((*path, key), written, as_text(node[key]))


def _below(node: object, path: Path) -> Iterator[tuple[Map | Seq, Path]]:
    """A list or a mapping, and those in it."""
    if isinstance(node, Map | Seq):
        yield node, path
        for key, value in node.items() if isinstance(node, Map) else enumerate(node):
            yield from _below(value, (*path, key))


def _arrives(path: Path, written: str, text: str) -> Found:
    return Found(path, f"'{written}' arrives as '{text}'", f'Write "{written}" in quotes, or {text}.')


@rule("ARG011", "required-field", Severity.WARNING)
def required_field(subject: Subject) -> Iterator[Found]:
    """A field that Kubernetes insists on is missing.

    Why: the validator does not look into Kubernetes' own types; the pod is refused when it is created.

    Bad:
        volumeMounts: [{name: work}]

    Good:
        volumeMounts: [{name: work, mountPath: /work}]
    """
    for defect in _found(subject, "required"):
        yield Found(defect.path, f"{defect.type} needs '{defect.path[-1]}'", "Add it.")


def _show(value: object) -> str:
    text = "true" if value is True else "false" if value is False else str(value)
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    return f"'{text[:60]}...'" if len(text) > 63 else f"'{text}'"
