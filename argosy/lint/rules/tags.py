"""ARG33: tags that nobody will replace."""

from collections.abc import Iterator

from argosy.lint.registry import Found, rule
from argosy.lint.subject import Subject
from argosy.lint.violation import Severity


@rule("ARG336", "item-without-loop", Severity.WARNING)
def item_without_loop(subject: Subject) -> Iterator[Found]:
    """{{item}} is used in a step or task that has no loop.

    Why: the validator lets it pass; the step gets the text "{{item}}".

    Bad:
        - {name: a, template: a, arguments: {parameters: [{name: x, value: "{{item}}"}]}}

    Good:
        - {name: a, template: a, withItems: [1, 2], arguments: {parameters: [{name: x, value: "{{item}}"}]}}
    """
    for call in subject.calls:
        if not call.loops and call.inline is None:
            for tag in subject.resource.tags.below(call.path):
                if tag.text == "item" and not tag.expression:
                    yield Found(
                        tag.path,
                        f"'{{{{item}}}}' in '{call.name}', which has no loop",
                        "Add withItems or withParam.",
                    )


@rule("ARG337", "tag-unclosed")
def tag_unclosed(subject: Subject) -> Iterator[Found]:
    """A tag that starts like one of Argo's is never closed, or any tag in an argument of a step or task.

    Why: Argo reads on to the next braces, wherever they are, and refuses what it finds.

    Bad:
        args: ["{{inputs.parameters.epochs}"]

    Good:
        args: ["{{inputs.parameters.epochs}}"]
    """
    ours = ("inputs.", "steps.", "tasks.", "workflow.", "item.")
    for value, path in subject.resource.tags.texts:
        rest = value[value.rfind("{{") + 2 :].strip()
        argument = "arguments" in path and ("steps" in path or "tasks" in path)
        if "templates" in path and "}}" not in rest and "{{" in value and (argument or rest.startswith(ours)):
            yield Found(path, f"'{{{{{rest[:40]}' is not closed", "Close it with '}}'.")


@rule("ARG338", "variable-misspelt", Severity.WARNING)
def variable_misspelt(subject: Subject) -> Iterator[Found]:
    """A tag's first word looks like one of Argo's, but is not.

    Why: Argo takes a tag that it does not know for somebody else's and leaves the braces in the text.

    Bad:
        args: ["{{input.parameters.epochs}}"]

    Good:
        args: ["{{inputs.parameters.epochs}}"]
    """
    roots = ("inputs", "outputs", "steps", "tasks", "workflow", "item")
    near = {"input": "inputs", "output": "outputs", "step": "steps", "task": "tasks", "workflows": "workflow"}
    near |= {"items": "item"} | {r.title(): r for r in roots}
    for tag in subject.resource.tags.tags:
        root = tag.parts[0]
        if "templates" in tag.path and not tag.expression and root in near and len(tag.parts) > 1:
            yield Found(tag.path, f"'{{{{{tag.text}}}}}' is not Argo's", f"Did you mean '{near[root]}'?")
