"""ARG0, first half: can the document be read at all, and is it one of Argo's?"""

from collections.abc import Iterator
from dataclasses import replace
from difflib import get_close_matches

from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.lint.violation import MAX_OBJECT_BYTES, Severity
from argosy.manifest.reading import GROUP, KINDS, Document
from argosy.manifest.tree import Map

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
    """The document is a list or a text, where Kubernetes wants an object, or the file is empty.

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
    if (
        document.explicit
        and document.root is not None
        and not unreadable_too
        and not isinstance(document.root, Map)
    ):
        yield Found((), "the document is not a mapping", "Write one Kubernetes object in each document.")


@rule("ARG003", "kind-missing", on="document")
def kind_missing(document: Document) -> Iterator[Found]:
    """An Argo object does not say its kind, or misspells it.

    Reported where the apiVersion or the spec's fields are Argo's.

    Why: Argo skips a document without a kind, and one of an unknown kind, silently.

    Bad:
        apiVersion: argoproj.io/v1alpha1
        metadata: {name: hello}

    Good:
        apiVersion: argoproj.io/v1alpha1
        kind: Workflow
        metadata: {name: hello}
    """
    if not isinstance(document.root, Map) or document.kind in KINDS:
        return
    version, spec = document.root.get("apiVersion"), document.root.get("spec")
    group = isinstance(version, str) and version.startswith(GROUP)
    if not group and not (isinstance(spec, Map) and ARGO_FIELDS & spec.keys()):
        return
    if not document.kind:
        yield Found(("kind",), "the object has no kind", f"Add 'kind:', one of {', '.join(KINDS)}.")
    elif meant := _meant(document.kind):
        yield Found(("kind",), f"there is no kind '{document.kind}'", f"Write 'kind: {meant}'.")


def _meant(kind: str) -> str:
    """The kind that is misspelt; empty for another of Argo's group, `Application` or `WorkflowTaskSet`."""
    known = {name.lower(): name for name in KINDS}
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
    if document.is_argo:
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
