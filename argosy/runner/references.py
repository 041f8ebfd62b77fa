"""Every tag of a manifest names something that exists and that can be known where the tag stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from argosy.errors import ManifestError
from argosy.runner.check_graph import Order
from argosy.runner.model import Arguments, Call, Template, Workflow
from argosy.runner.scope import STRFTIME
from argosy.runner.text import parse
from argosy.text import nearest

_WORKFLOW = frozenset(
    {
        "annotations.json",
        "creationTimestamp",
        "creationTimestamp.RFC3339",
        "creationTimestamp.s",
        "duration",
        "labels.json",
        "mainEntrypoint",
        "name",
        "namespace",
        "parameters",
        "parameters.json",
        "priority",
        "serviceAccountName",
        "uid",
        *(f"creationTimestamp.{letter}" for letter in STRFTIME),
    }
)
_AT_EXIT = frozenset({"status", "failures"})
_LEAF = frozenset({"pod.name", "node.name", "retries", "tasks.name", "steps.name"})
_OF_CALL = frozenset({"status", "id", "startedAt", "finishedAt", "hostNodeName"})


def names_of_globals(workflow: Workflow) -> frozenset[str]:
    """What `{{workflow...}}` can be anywhere, outputs with a globalName included."""
    names = {f"workflow.{name}" for name in _WORKFLOW}
    names |= {f"workflow.parameters.{parameter.name}" for parameter in workflow.parameters}
    names |= {f"workflow.labels.{label}" for label in workflow.labels}
    names |= {f"workflow.annotations.{annotation}" for annotation in workflow.annotations}
    for template in workflow.templates.values():
        names |= {
            f"workflow.outputs.parameters.{out.global_name}" for out in template.outputs if out.global_name
        }
        names |= {
            f"workflow.outputs.artifacts.{a.global_name}" for a in template.output_artifacts if a.global_name
        }
    return frozenset(names)


def names_at_exit() -> frozenset[str]:
    """What the exit handler knows besides."""
    return frozenset(f"workflow.{name}" for name in _AT_EXIT)


def names_of_template(template: Template) -> frozenset[str]:
    """What a template knows of itself."""
    names = {f"inputs.parameters.{parameter.name}" for parameter in template.parameters}
    names |= {"inputs.parameters", "inputs.parameters.json"}
    names |= {f"inputs.artifacts.{artifact.name}" for artifact in template.artifacts}
    if template.is_leaf:
        names |= _LEAF
        names |= set(template.paths)
    return frozenset(names)


def names_of_call(kind: str, call: Call, template: Template) -> frozenset[str]:
    """What others may know of a task or step (`kind`: tasks or steps) that is over."""
    names = {f"{kind}.{call.name}.{name}" for name in _OF_CALL}
    names |= {f"{kind}.{call.name}.outputs.parameters.{output.name}" for output in template.outputs}
    names |= {f"{kind}.{call.name}.outputs.artifacts.{output.name}" for output in template.output_artifacts}
    if template.is_leaf:
        names |= {f"{kind}.{call.name}.outputs.result", f"{kind}.{call.name}.exitCode"}
    if call.loop:
        names |= {f"{kind}.{call.name}.outputs.parameters"}
    return frozenset(names)


def call_kind(template: Template) -> str:
    """First word of the tags by which a template's calls are known: `tasks` or `steps`."""
    return "tasks" if template.kind == "dag" else "steps"


class CallNames:
    """What the tasks or steps of a template may know of each other."""

    def __init__(self, template: Template, workflow: Workflow) -> None:
        self._kind = call_kind(template)
        self._calls = {call.name: call for call in template.calls}
        self._workflow = workflow
        self._order = Order(template)

    def problem(self, tag: str, at: str | None) -> str | None:
        """Why `tag` cannot be known when the call `at` starts (None: when all are over); None if it can."""
        kind, _, rest = tag.partition(".")
        name = rest.partition(".")[0]
        if kind != self._kind or name not in self._calls:
            return f"which is not known there{nearest(name, self._calls) if kind == self._kind else ''}"
        call = self._calls[name]
        names = names_of_call(kind, call, self._workflow.templates[call.template])
        if tag not in names:
            return f"which template '{call.template}' does not give{nearest(tag, names)}"
        if at is not None and name != at and not self._order.is_before(name, at):
            return f"but nothing makes '{at}' wait for '{name}'; add it to `depends`"
        return "which is the task itself" if name == at else None


@dataclass(frozen=True)
class Place:
    """Where a text stands, for messages, and the names that are known there."""

    where: str
    known: frozenset[str]
    any_item: bool = False
    calls: CallNames | None = None
    at: str | None = None

    def check(self, field: str, source: str | None) -> None:
        """Raise ManifestError for the first tag of `source` that cannot be known here."""
        for tag in parse(source or "").tags:
            if tag.expression:
                raise ManifestError(
                    f"{self.where}: {field} holds the expression {{{{={tag.name}}}}}, "
                    "which is not evaluated here; compute the value in a step"
                )
            if problem := self._problem(tag.name):
                raise ManifestError(f"{self.where}: {field} refers to {{{{{tag.name}}}}}, {problem}")

    def _problem(self, tag: str) -> str | None:
        root = tag.split(".")[0]
        if tag in self.known or (self.any_item and root == "item"):
            return None
        if self.calls is not None and root in ("tasks", "steps"):
            return self.calls.problem(tag, self.at)
        return f"which is not known there{nearest(tag, self.known)}"


def texts_of_arguments(arguments: Arguments) -> Iterator[tuple[str, str | None]]:
    """What an argument list says, with the name of the field."""
    for name, value in arguments.parameters.items():
        yield f"argument '{name}'", value
    for artifact in arguments.artifacts.values():
        yield f"artifact argument '{artifact.name}'", artifact.source
        yield f"artifact argument '{artifact.name}'", artifact.raw
        yield f"subPath of artifact '{artifact.name}'", artifact.sub_path


def texts_of_leaf(template: Template) -> Iterator[tuple[str, str | None]]:
    """What a container or script template says, with the name of the field."""
    container = template.container
    if container is not None:
        for word in (*container.command, *container.args):
            yield "the command line", word
        yield "source", container.source
        yield "workingDir", container.working_dir
        for variable in container.env:
            yield f"env '{variable.name}'", variable.value
    yield "activeDeadlineSeconds", template.deadline
    yield "timeout", template.timeout
    yield "retryStrategy.limit", template.retry.limit if template.retry else None
    for output in template.outputs:
        yield f"default of output '{output.name}'", output.default


def captured_templates(workflow: Workflow) -> frozenset[str]:
    """Templates of which somebody asks for the standard output (`outputs.result`)."""
    found = set()
    for template in workflow.templates.values():
        by_name = {call.name: call.template for call in template.calls}
        for source in _all_texts(template):
            for tag in parse(source).tags:
                parts = tag.name.split(".")
                if len(parts) == 4 and parts[2:] == ["outputs", "result"] and parts[1] in by_name:
                    found.add(by_name[parts[1]])
    return frozenset(found)


def _all_texts(template: Template) -> Iterator[str]:
    for call in template.calls:
        hooks = [call.exit_hook.arguments] if call.exit_hook else []
        for arguments in (call.arguments, *hooks):
            yield from (text for _, text in texts_of_arguments(arguments) if text)
        yield call.when or ""
        if call.loop:
            yield from texts_of_loop(call)
    yield from (output.parameter or "" for output in template.outputs)


def texts_of_loop(call: Call) -> Iterator[str]:
    """What a loop says about its items."""
    loop = call.loop
    if loop is not None:
        yield loop.param or ""
        yield from (loop.sequence or {}).values()
        yield from _strings(list(loop.items or ()))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)
    elif isinstance(value, dict):
        yield from _strings(list(value.values()))
