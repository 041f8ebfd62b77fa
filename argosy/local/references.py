"""Which texts of a template hold tags, and what they ask for."""

from __future__ import annotations

from collections.abc import Iterator

from argosy.local.model import Arguments, Call, Template, Workflow
from argosy.manifest.tags import parse


def captured_templates(workflow: Workflow) -> frozenset[str]:
    """Templates of which somebody asks for the standard output (`outputs.result`)."""
    found = set()
    for template in workflow.templates.values():
        by_name = {call.name: call.template for call in template.calls}
        for source in _all_texts(template):
            for name in parse(source).names:
                parts = name.split(".")
                if len(parts) == 4 and parts[2:] == ["outputs", "result"] and parts[1] in by_name:
                    found.add(by_name[parts[1]])
    return frozenset(found)


def _all_texts(template: Template) -> Iterator[str]:
    for call in template.calls:
        for arguments in (call.arguments, *(hook.arguments for hook in call.all_hooks)):
            yield from (text for text in _texts_of_arguments(arguments) if text)
        yield call.when or ""
        yield from (f"{{{{={hook.expression}}}}}" for hook in call.all_hooks if hook.expression)
        if call.loop:
            yield from _texts_of_loop(call)
    for output in template.outputs:
        yield output.parameter or ""
        yield f"{{{{={output.expression}}}}}" if output.expression else ""


def _texts_of_loop(call: Call) -> Iterator[str]:
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


def _texts_of_arguments(arguments: Arguments) -> Iterator[str | None]:
    yield from arguments.parameters.values()
    for artifact in arguments.artifacts.values():
        yield from (artifact.source, artifact.raw, artifact.sub_path)
