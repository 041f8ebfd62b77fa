"""Loops: `couler.map` over a list or an output, and the recursion of `couler.exec_while`.

The body is composed once, with a stand-in for the item. A body of one task becomes that task with `withItems`
or `withParam`; any other becomes a template of its own, whose inputs are what the body takes from around it,
and whose outputs are what it returns. Of `couler.map` comes a list of each output, of `couler.exec_while` the
last.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from couler.core.templates.output import Output

from argosy.compose.binding import holds_placeholder
from argosy.compose.placeholders import Placeholder, refuse_unseen
from argosy.compose.references import (
    Fields,
    ItemRef,
    OutputRef,
    TaskHandle,
    Unreadable,
    common_type,
    couler_output_text,
)
from argosy.compose.tags import names_in, path_of, renamed, tasks_in
from argosy.compose.tasks import Condition, Task, check_comparable, read_condition
from argosy.declare.source import call_site
from argosy.errors import ComposeError
from argosy.step.interface import ArtifactKind, Port, argo_name
from argosy.step.values import ValueType, fixed

Items = dict[str, Any]
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


def looped_over(lists: Sequence[Any]) -> Any:
    """The result of a `couler.map` goes over: its one list, or several walked side by side.

    Raises:
        ComposeError: there is nothing to go over, or lists of different lengths.
    """
    items = lists[0] if len(lists) == 1 else _side_by_side(lists)
    if isinstance(items, TaskHandle):
        items = items[0]
    if isinstance(items, Placeholder) or couler_output_text(items) is not None:
        if isinstance(items, ItemRef):
            _check_inner_lists(items)
        kind = getattr(items, "kind", None)
        if isinstance(kind, ArtifactKind) or (kind is not None and kind.base not in (list, str)):
            raise ComposeError(f"{call_site()}: couler.map goes over a list; {items!r} is declared as {kind}")
        return items
    if isinstance(items, str):
        if "{{" in items:
            return items
        raise ComposeError(f"{call_site()}: couler.map goes over a list, got the text {items!r}")
    try:
        items = list(items)
    except TypeError:
        if callable(items):
            raise ComposeError(
                f"{call_site()}: couler.map takes the function first and the list behind it: "
                "couler.map(lambda item: step(item), items)"
            ) from None
        raise ComposeError(f"{call_site()}: couler.map goes over a list, got {items!r}") from None
    if not items:
        raise ComposeError(
            f"{call_site()}: couler.map over an empty list runs nothing, and Argo would run the step "
            "once; leave it out, or take the list as a parameter of the pipeline"
        )
    return items


def _check_inner_lists(item: ItemRef) -> None:
    """Raise ComposeError where an inner loop goes over outer items, and one is no list or an empty one."""
    for number, value in enumerate(item.values or (), 1):
        over = (
            f"{call_site()}: the inner couler.map goes over the items of the outer one, and item {number} is"
        )
        if not (isinstance(value, (Placeholder, list)) or (isinstance(value, Fields) and value.ordered)):
            raise ComposeError(f"{over} {value!r}, which is no list")
        if isinstance(value, list) and not value:
            raise ComposeError(
                f"{over} an empty list, over which it runs nothing; leave it out, or take the lists as a "
                "parameter"
            )


def _side_by_side(lists: Sequence[Any]) -> list[Any]:
    unseen = next((i for i in lists if isinstance(i, (Placeholder, TaskHandle, str))), None)
    if unseen is not None or len({len(i) for i in lists}) != 1:
        raise ComposeError(
            f"{call_site()}: couler.map walks lists of the program that are equally long side by side; "
            "join others in a component that returns one list of dicts"
        )
    return list(zip(*lists, strict=True))


def read_items(items: Any, used: set[str]) -> Items:
    """`withItems` for a list, `withParam` for an output or a parameter of the pipeline.

    `used` are the names that the body has for the item, `item`, and for its parts, `item.v0`.

    Raises:
        ComposeError: an item is a list, and the body uses it as a whole and in parts.
    """
    if isinstance(items, (Placeholder, str)):
        return {"withParam": str(items)}
    tag = couler_output_text(items)
    if tag is not None:
        return {"withParam": tag}
    if "item" not in used or not any(
        isinstance(i, (list, tuple)) for i in items if couler_output_text(i) is None
    ):
        return {"withItems": [_item(i, whole="item" in used) for i in items]}
    if any(name.startswith("item.v") for name in used):
        raise ComposeError(
            f"{call_site()}: the body of couler.map uses an item, a list, as a whole and in parts; Argo "
            "has it in one way: loop over dicts that have the list as one of their parts"
        )
    return {"withItems": [_part(list(i) if isinstance(i, tuple) else i) for i in items]}


def names_used(task: Task) -> set[str]:
    """The names of a loop's item, and of its parts, in what the loop's task is given."""
    texts = (*task.parameters.values(), *task.artifacts.values(), *(c.text for c in task.conditions))
    return {name for text in texts for name in names_in(text) if name.partition(".")[0] == "item"}


def stand_ins(lists: Sequence[Any], items: Any, loop: int) -> list[ItemRef]:
    """The result of the body of a `couler.map` is called with in place of its first item, or items."""
    known = [Fields.of(i) or i for i in items] if isinstance(items, list) else None
    kind = getattr(items, "kind", None)
    of_items = ValueType(kind.item) if isinstance(kind, ValueType) and kind.item else None
    if isinstance(items, ItemRef) and items.values is not None:
        of_items = common_type(
            [v for part in items.values for v in (part.values() if isinstance(part, Fields) else [part])]
        )
    item = ItemRef(f"loops.{loop}.item", of_items, known)
    return [item] if len(lists) == 1 else [item[n] for n in range(len(lists))]


def own_item(text: str, loop: int) -> str:
    """A text in which the items of loop `loop` have the name that Argo gives them."""
    return renamed(text, lambda name: _own(name, loop))


def _own(name: str, loop: int) -> str:
    prefix = f"loops.{loop}.item"
    return f"item{name[len(prefix) :]}" if name == prefix or name.startswith(f"{prefix}.") else name


def _item(item: Any, whole: bool) -> Any:
    """An item as YAML; `whole` is whether the body hands it on as JSON, if it has parts."""
    fields = Fields.of(item)
    if fields is None:
        return _comparable(_part(item))
    return {name: _part(value) if whole else _comparable(_part(value)) for name, value in fields.items()}


def _comparable(value: Any) -> Any:
    """A number as a text where its own would have an exponent, which no condition can read."""
    return fixed(value) if isinstance(value, float) and "e" in repr(value) else value


def _part(value: Any) -> Any:
    """An item, or a part of one, as YAML: tags for what is not there yet, None as the empty text."""
    if value is None:
        return ""
    if isinstance(value, TaskHandle):
        value = value[0]
    tag = str(value) if isinstance(value, Placeholder) else couler_output_text(value)
    refuse_unseen(tag or str(value), "an item of couler.map", call_site())
    if tag is not None:
        return tag
    value = value.item() if hasattr(value, "dtype") and hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        raise ComposeError(f"{call_site()}: an item of couler.map is {value}, which is no JSON")
    if isinstance(value, (list, tuple, dict)) and holds_placeholder(value):
        raise ComposeError(
            f"{call_site()}: an item of couler.map holds a {type(value).__name__} with a value that is "
            "not there yet; make it in the loop's body from parts of the item"
        )
    if isinstance(value, (set, frozenset)) or (
        Fields.of(value) is None and not isinstance(value, (str, int, float))
    ):
        raise ComposeError(f"{call_site()}: an item of couler.map is {value!r}, which is no JSON")
    return value


@dataclass
class Given:
    """An output of a group: where it comes from, and whether anybody reads it.

    Attributes:
        source: `parameter` or `expression`, in Argo's `valueFrom`, and a `default`.
    """

    source: dict[str, str]
    read: bool = False

    def use(self) -> None:
        """Somebody reads it."""
        self.read = True


@dataclass
class Group:
    """A DAG template made from the body of a loop.

    Attributes:
        name: the template's.
        loop: the loop's number; its items are this group's.
        tasks: of the body.
        parameters, artifacts: its inputs, each with what it stands for where the loop stands.
        outputs: what it gives, by Argo's name.
        optional: those artifacts that may be missing.
    """

    name: str
    loop: int
    tasks: dict[str, Task]
    parameters: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, Given] = field(default_factory=dict)
    optional: set[str] = field(default_factory=set)

    def close(self) -> None:
        """Make everything that the body takes from around it an input."""
        for task in self.tasks.values():
            task.parameters = {n: self._lifted(t) for n, t in task.parameters.items()}
            task.artifacts = {n: self._lifted(t) for n, t in task.artifacts.items()}
            for name in task.optional:
                lifted = task.artifacts[name].removeprefix("{{inputs.artifacts.").removesuffix("}}")
                self.optional |= {lifted} & set(self.artifacts)
            task.items = {k: self._lifted_items(v) for k, v in task.items.items()}
            task.conditions = tuple(Condition(self._lifted(c.text)) for c in task.conditions)
            task.needs = {t: None for t in task.needs if t in self.tasks}

    def _lifted(self, text: str) -> str:
        return renamed(text, self._lift)

    def _lifted_items(self, items: Any) -> Any:
        if isinstance(items, str):
            return self._lifted(items)
        if isinstance(items, list):
            return [self._lifted_items(i) for i in items]
        if isinstance(items, dict):
            return {k: self._lifted_items(v) for k, v in items.items()}
        return items

    def _lift(self, name: str) -> str:
        """The name of the group's input for a name from around it."""
        words = name.split(".")
        if words[0] not in ("inputs", "tasks", "loops") or (words[0] == "tasks" and words[1] in self.tasks):
            return name
        kind = "artifacts" if "artifacts" in words[:-1] else "parameters"
        inner = self._input_name(words)
        (self.artifacts if kind == "artifacts" else self.parameters)[inner] = (
            f"{{{{{_own(name, self.loop)}}}}}"
        )
        return f"inputs.{kind}.{inner}"

    def _input_name(self, words: list[str]) -> str:
        if words[0] == "inputs":
            return words[-1]
        if words[0] == "tasks":
            return f"{words[1]}-{words[-1]}"
        item = "item" if int(words[1]) == self.loop else f"loop-{words[1]}-item"
        return f"{item}-{words[3]}" if len(words) > 3 else item

    def call(self, site: str) -> Task:
        """The task that calls the template from where the loop stands."""
        task = Task(
            self.name, self.name, site, dict(self.parameters), dict(self.artifacts), set(self.optional)
        )
        for text in (*task.parameters.values(), *task.artifacts.values()):
            task.needs.update(dict.fromkeys(tasks_in(text)))
        return task

    def repeat_while(self, condition: dict[str, Any], first: Any, site: str) -> None:
        """Call the group again at its end, while `first` fulfils `condition`.

        `couler.equal("tails")` compares the first output of what the body returns with 'tails'.
        """
        text = couler_output_text(first)
        if text is None:
            raise ComposeError(f"{site}: the body of couler.exec_while must return its last step")
        if condition.get("post") is not None:
            raise ComposeError(
                f"{site}: couler.exec_while compares the outcome of its body: give one value, as in "
                "couler.equal('a')"
            )
        check_comparable(first, condition["condition"], condition["pre"])
        compared = read_condition(
            {"pre": first, "condition": condition["condition"], "post": condition["pre"]}
        )
        compared = Condition(self._lifted(compared.text))
        again = Task(name=f"{self.name}-again", template=self.name, site=site, conditions=(compared,))
        again.parameters = {n: f"{{{{inputs.parameters.{n}}}}}" for n in self.parameters}
        again.artifacts = {n: f"{{{{inputs.artifacts.{n}}}}}" for n in self.artifacts}
        again.optional = set(self.optional)
        again.needs = dict.fromkeys(tasks_in(text))
        self.tasks[again.name] = again

    def to_dict(self) -> dict[str, Any]:
        """The template."""
        inputs = {
            "parameters": [{"name": n} for n in self.parameters],
            "artifacts": [
                {"name": n, **({"optional": True} if n in self.optional else {})} for n in self.artifacts
            ],
        }
        template: dict[str, Any] = {"name": self.name}
        if inputs := {k: v for k, v in inputs.items() if v}:
            template["inputs"] = inputs
        if given := {n: g for n, g in self.outputs.items() if g.read}:
            template["outputs"] = {
                "parameters": [{"name": n, "valueFrom": dict(g.source)} for n, g in given.items()]
            }
        template["dag"] = {"tasks": [t.to_dict(self.tasks) for t in self.tasks.values()]}
        return template


def returned_outputs(result: Any, site: str) -> dict[str, Any]:
    """The results of a loop's body, by name: outputs of our steps, or of Couler's own.

    Raises:
        ComposeError: it returns something else, or two outputs of one name.
    """
    named: dict[str, Any] = {}
    for name, value in _named_results(result):
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


def _named_results(result: Any) -> Iterator[tuple[str, Any]]:
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
            yield from _named_results(part)
    elif result is not None:
        yield "", result


def loop_handle(
    task: Task, body: Mapping[str, Task], group: Group | None, returned: dict[str, Any]
) -> TaskHandle:
    """The handle of a `couler.map`: a list of each output that its body returns, in the items' order."""
    outputs = {}
    for name, ref in returned.items():
        outputs[name] = _unreadable(ref, body, FILES) or _gathered_output(name, ref, task, body, group)
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


def _gathered_output(
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
    return _given_output(name, ref, task, group, source, gathered=True)


def last_handle(task: Task, body: Mapping[str, Task], group: Group, returned: dict[str, Any]) -> TaskHandle:
    """The handle of a `couler.exec_while`: what its body returned in the last round."""
    outputs = {}
    for name, ref in returned.items():
        outputs[name] = _unreadable(ref, body, LAST_FILE) or _last_output(name, ref, task, group)
    return TaskHandle(task.name, task.template, outputs)


def _last_output(name: str, ref: Any, task: Task, group: Group) -> OutputRef:
    again = f"tasks.{group.name}-again"
    own = path_of(str(couler_output_text(ref)).strip("{}"))
    later = path_of(f"{again}.outputs.parameters.{argo_name(name)}")
    source = {"expression": f"{path_of(f'{again}.status')} == 'Succeeded' ? {later} : {own}"}
    last = _given_output(name, ref, task, group, source, gathered=getattr(ref, "gathered", False))
    last.kind = ref.kind if isinstance(ref, OutputRef) else None  # it is handed on, not gathered again
    return last


def _given_output(
    name: str, ref: Any, task: Task, group: Group, source: dict[str, str], gathered: bool
) -> OutputRef:
    given = group.outputs[argo_name(name)] = Given(source)
    kind = ref.kind if isinstance(ref, OutputRef) else None
    port = Port(name, kind)  # type: ignore[arg-type]  # an output of Couler's own has no type
    return OutputRef(task.name, port, task.template, gathered=gathered, on_use=given.use)
