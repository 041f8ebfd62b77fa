"""The outputs of a loop: of `couler.map` a list of each output, of `couler.exec_while` the last."""

from collections.abc import Iterator, Mapping
from typing import Any

from couler.core.templates.output import Output

from argosy.compose.loops import Given, Group
from argosy.compose.references import OutputRef, TaskHandle, Unreadable, couler_output_text
from argosy.compose.tags import path_of
from argosy.compose.tasks import Task
from argosy.errors import ComposeError
from argosy.step.interface import Port, argo_name
from argosy.step.values import ValueType

FILES = (
    "is a file of each item, and Argo gathers values only: return its address as a text, or use the file "
    "inside of the loop's body"
)
LAST_FILE = "is a file, and of a repetition only values come out: return its address as a text"
SOMETIMES = (
    "is of a step that runs under a condition, so that not every item has it; return an output of a step "
    "that always runs"
)
OF_LISTS = (
    "would be a list of lists of texts, which nobody would read as {}: give the inner list to a step of the "
    "outer loop's body, and return what that makes of it"
)
OUTSIDE = "is of a step outside of the loop: take it from there"


def returned_outputs(result: Any, site: str) -> dict[str, Any]:
    """The results of a loop's body, by name: outputs of our steps, or of Couler's own.

    Raises:
        ComposeError: it returns something else, or two outputs of one name.
    """
    named: dict[str, Any] = {}
    for name, value in _named(result):
        if not isinstance(value, (Output, Unreadable)):
            raise ComposeError(
                f"{site}: the body of the loop returns {value!r}; return its steps, outputs of them, or a "
                "NamedTuple or a dict of outputs"
            )
        if name in named:
            raise ComposeError(
                f"{site}: the body of the loop returns two outputs called '{name}'; return a NamedTuple "
                "or a dict, in which each has a name of its own"
            )
        named[name] = value
    return named


def _named(result: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(result, TaskHandle):
        yield from result._outputs.items()
    elif isinstance(result, OutputRef):
        yield result.port.name, result
    elif isinstance(result, Output):
        yield result.value.rpartition(".")[2].replace("-", "_"), result
    elif isinstance(result, Mapping) or hasattr(result, "_asdict"):
        fields = result if isinstance(result, Mapping) else result._asdict()
        # A step stands for its first output.
        yield from ((str(k), v[0] if isinstance(v, list) and v else v) for k, v in fields.items())
    elif isinstance(result, (list, tuple)):
        for part in result:
            yield from _named(part)
    elif result is not None:
        yield "", result


def loop_handle(
    task: Task, body: Mapping[str, Task], group: Group | None, returned: dict[str, Any]
) -> TaskHandle:
    """The handle of a `couler.map`: a list of each output that its body returns, in the items' order."""
    outputs = {}
    for name, ref in returned.items():
        outputs[name] = _unreadable(ref, body, FILES) or _gathered(name, ref, task, body, group)
    return TaskHandle(task.name, task.template, outputs)


def _unreadable(ref: Any, body: Mapping[str, Task], files: str) -> Unreadable | None:
    if isinstance(ref, Unreadable):
        return ref
    made_by = body.get(_task_of(ref))
    if made_by is None:
        return Unreadable(OUTSIDE)
    if made_by.conditions:
        return Unreadable(SOMETIMES)
    return Unreadable(files) if ".outputs.artifacts." in str(couler_output_text(ref)) else None


def _task_of(ref: Output) -> str:
    return str(ref.value.split(".")[1])


def _gathered(
    name: str, ref: Any, task: Task, body: Mapping[str, Task], group: Group | None
) -> OutputRef | Unreadable:
    inner = ref.kind if isinstance(ref, OutputRef) and ref.gathered else None
    if isinstance(inner, ValueType) and inner.item not in (None, str):
        return Unreadable(OF_LISTS.format(inner.item.__name__))
    if group is None:
        return OutputRef.gathered_from(task.name, task.template, ref)
    source = {"parameter": str(couler_output_text(ref))}
    if "withParam" in body[_task_of(ref)].items:
        source["default"] = "[]"  # an inner loop over nothing makes no output
    return _given(name, ref, task, group, source, gathered=True)


def last_handle(task: Task, body: Mapping[str, Task], group: Group, returned: dict[str, Any]) -> TaskHandle:
    """The handle of a `couler.exec_while`: what its body returned in the last round."""
    outputs = {}
    for name, ref in returned.items():
        outputs[name] = _unreadable(ref, body, LAST_FILE) or _last(name, ref, task, group)
    return TaskHandle(task.name, task.template, outputs)


def _last(name: str, ref: Any, task: Task, group: Group) -> OutputRef:
    again = f"tasks.{group.name}-again"
    own = path_of(str(couler_output_text(ref)).strip("{}"))
    later = path_of(f"{again}.outputs.parameters.{argo_name(name)}")
    source = {"expression": f"{path_of(f'{again}.status')} == 'Succeeded' ? {later} : {own}"}
    last = _given(name, ref, task, group, source, gathered=getattr(ref, "gathered", False))
    last.kind = ref.kind if isinstance(ref, OutputRef) else None  # it is handed on, not gathered again
    return last


def _given(
    name: str, ref: Any, task: Task, group: Group, source: dict[str, str], gathered: bool
) -> OutputRef:
    given = group.outputs[argo_name(name)] = Given(source)
    kind = ref.kind if isinstance(ref, OutputRef) else None
    port = Port(name, kind)  # type: ignore[arg-type]  # an output of Couler's own has no type
    return OutputRef(task.name, port, task.template, gathered=gathered, on_use=given.use)
