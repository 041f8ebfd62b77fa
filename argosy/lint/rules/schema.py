"""ARG0, second half: fields, types and values against Argo's schema."""

from collections.abc import Iterator

from argosy.lint.registry import Found, rule
from argosy.lint.schema import Defect, describe, rewritten
from argosy.lint.subject import Subject
from argosy.lint.violation import Severity
from argosy.manifest.scalars import as_text, resolve
from argosy.manifest.tree import Map, Path, Seq
from argosy.text import remedy

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
    """A value has another type than its field.

    Why: Argo cannot read the manifest: "cannot unmarshal ... into Go struct field".

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
