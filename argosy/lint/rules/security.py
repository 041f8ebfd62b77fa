"""ARG7: injection and secrets."""

import itertools
import re
from collections.abc import Iterator

from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.lint.violation import Severity
from argosy.manifest.model import Entry, Template, mapping, sequence, text
from argosy.manifest.tagged import has_tag, split
from argosy.manifest.tree import Path

SHELLS = ("sh", "bash", "ash", "dash", "zsh", "ksh")
FOREIGN = ("inputs.parameters.", "workflow.parameters.", "item", "steps.", "tasks.", "workflow.labels.")
_SECRET = re.compile(
    r"(^|[-_.])(password|passwd|pwd|secret|token|api[-_]?key|access[-_]?key|private[-_]?key)([-_.]|$)", re.I
)
_PLACE = re.compile(r"(name|file|path|dir|url|uri|ref|id|ttl|type|endpoint|bucket|mount|version)$", re.I)
_CREDENTIAL = re.compile(r"\b(AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{36}|-----BEGIN [A-Z ]*PRIVATE KEY-----)")


def _shell_texts(template: Template) -> Iterator[tuple[Path, str]]:
    """Texts that a shell or an interpreter reads as a program."""
    for container in template.containers:
        command = [c for c in sequence(container.get("command")) if isinstance(c, str)]
        if template.type == "script" and container.path[-1] == "script" and command:
            yield container.at("source"), text(container.get("source"))
        words = [(container.at("command", i), c) for i, c in enumerate(sequence(container.get("command")))]
        words += [(container.at("args", i), a) for i, a in enumerate(sequence(container.get("args")))]
        if not command or command[0].rpartition("/")[2] not in SHELLS:
            continue
        for (_, flag), (path, script) in itertools.pairwise(words):
            if isinstance(flag, str) and re.fullmatch(r"-[a-z]*c", flag) and isinstance(script, str):
                yield path, script
                break


def _fixed_inputs(subject: Subject) -> dict[str, frozenset[str]]:
    """By template, the tags of inputs whose value is a text of the manifest wherever it is called."""
    if subject.resource.is_reusable:
        return {}
    found: dict[str, frozenset[str]] = dict.fromkeys(_called_otherwise(subject), frozenset())
    for call in subject.calls:
        given = call.entries("arguments", "parameters")
        texts = [e.name for e in given if e.get("value") is not None and not has_tag(e.get("value"))]
        fixed = frozenset(f"inputs.parameters.{name}" for name in texts)
        found[call.target] = found[call.target] & fixed if call.target in found else fixed
    return found


def _called_otherwise(subject: Subject) -> Iterator[str]:
    """Templates that are reached by no step or task, or beside one."""
    spec = subject.resource.spec
    yield from (text(spec.get("entrypoint")), text(spec.get("onExit")))
    hooks = [h for h in mapping(spec.get("hooks")).values() if isinstance(h, dict)]
    yield from (text(h.get("template")) for h in hooks)
    for call in subject.calls:
        yield text(call.get("onExit"))
        yield from (text(h.get("template")) for h in call.hooks.values())


@rule("ARG701", "shell-injection", Severity.WARNING)
def shell_injection(subject: Subject) -> Iterator[Found]:
    """A parameter is written into the text of a shell command or a script.

    Argo pastes the value into the text before the shell reads it, so quotes around the tag do not help. Not
    reported of an input to which every call in the manifest gives a fixed text.

    Why: a value such as `; rm -rf /work` is run. Pass it as an environment variable or as an argument of
    its own.

    Bad:
        command: [sh, -c]
        args: ["echo {{inputs.parameters.name}}"]

    Good:
        command: [sh, -c]
        args: ['echo "$NAME"']
        env: [{name: NAME, value: "{{inputs.parameters.name}}"}]
    """
    fixed = _fixed_inputs(subject)
    for template in subject.templates:
        for path, script in _shell_texts(template):
            pasted = dict.fromkeys(i for i, _ in split(script) if i.startswith(FOREIGN) or ".parameters" in i)
            known = fixed.get(template.name, frozenset()) if template.caller is None else frozenset()
            pasted = {i: None for i in pasted if not i.endswith(".path") and i not in known}
            if pasted:
                shown = ", ".join(f"{{{{{i}}}}}" for i in list(pasted)[:3])
                yield Found(path, f"{shown} is pasted into a program's text", "Pass it through 'env:'.")


@rule("ARG702", "secret-in-plain", Severity.WARNING)
def secret_in_plain(subject: Subject) -> Iterator[Found]:
    """A value that looks like a secret stands in the manifest.

    An environment variable or parameter whose name says password, secret, token or key and whose value is a
    constant; a value that has the form of a cloud key or a private key.

    Why: manifests are in git, in the API server and on the screen of everyone who may look at workflows.

    Bad:
        env: [{name: DB_PASSWORD, value: hunter2}]

    Good:
        env: [{name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}]
    """
    for entry in _valued(subject):
        value = entry.get("value")
        if not isinstance(value, str) or not value.strip() or has_tag(value):
            continue
        named = bool(_SECRET.search(entry.name)) and not _PLACE.search(entry.name)
        if named or _CREDENTIAL.search(value):
            yield Found(
                entry.at("value"), f"'{entry.name}' holds what looks like a secret", "Use secretKeyRef."
            )


def _valued(subject: Subject) -> Iterator[Entry]:
    for template in subject.templates:
        for container in template.containers:
            yield from container.entries("env")
    yield from (entry for entry, place in subject.parameters() if place != "outputs")
