"""Stand-ins for values that do not exist yet: a parameter, an output, a loop's item, a whole task."""

import dataclasses
import sys
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any, NoReturn

from couler.core.templates.output import Output, OutputEmpty, OutputParameter

from argosy.compose.placeholders import Placeholder, name_in_text
from argosy.compose.tag_text import TagText
from argosy.declare.source import call_site, is_user_code
from argosy.errors import ComposeError
from argosy.step.interface import ArtifactKind, Port
from argosy.step.values import SCALARS, ValueType
from argosy.text import did_you_mean


class ParameterRef(Placeholder):
    """A parameter of the pipeline."""

    def __init__(self, port: Port) -> None:
        self.port, self.kind = port, port.type
        self.name = f"inputs.parameters.{port.argo_name}"
        self.what = f"parameter '{port.name}'"


class OutputRef(Placeholder, OutputParameter):  # type: ignore[misc]  # couler carries no types
    """An output of a task; to Couler's verbs it is one of theirs.

    Attributes:
        gathered: the task is a loop, and this is the list of what its items put out, each as text.
        on_use: called when the output's name is written somewhere.
    """

    def __init__(
        self,
        task: str,
        port: Port,
        template: str,
        gathered: bool = False,
        on_use: Callable[[], None] | None = None,
    ) -> None:
        self.task, self.port, self.gathered, self._on_use = task, port, gathered, on_use
        self.kind = gathered_type(port.type) if gathered else port.type
        kind = "artifacts" if port.is_artifact else "parameters"
        self._name = f"tasks.{task}.outputs.{kind}.{port.argo_name}"
        self.what = f"output '{port.name}' of '{task}'"
        OutputParameter.__init__(self, f"couler.{task}.{template}.outputs.{kind}.{port.argo_name}")

    @classmethod
    def gathered_from(cls, task: str, template: str, output: Any) -> "OutputRef":
        """The list of an output, ours or Couler's own, of the one step that a loop's body consists of."""
        if isinstance(output, OutputRef):
            return cls(task, output.port, template, gathered=True)
        path = output.value.split(".", 3)[3]
        ref = cls(task, Port(path.rpartition(".")[2], None), template, gathered=True)  # type: ignore[arg-type]
        ref._name, ref.value = f"tasks.{task}.{path}", f"couler.{task}.{template}.{path}"
        return ref

    @property
    def name(self) -> str:  # type: ignore[override]
        self._used()
        return self._name

    @property
    def value(self) -> str:
        """The parts of which Couler makes its tags."""
        self._used()
        return self._value

    @value.setter
    def value(self, value: str) -> None:
        self._value = value

    def _used(self) -> None:
        if self._on_use:
            self._on_use()

    def leave(self, verb: str) -> None:
        """The loop whose body made it is complete: from now on it is refused, being of one item alone."""

        def refuse() -> NoReturn:
            kept = "a list of each output" if verb == "couler.map" else "the outputs of the last round"
            raise ComposeError(
                f"{call_site()}: {self.what} is of a step inside of {verb}, and is read outside of it; read "
                f"what {verb} returns, which has {kept}"
            )

        self._on_use = refuse


def gathered_type(kind: ValueType | ArtifactKind | None) -> ValueType | ArtifactKind | None:
    """The type of a loop's output: a list; of texts, where each may be empty or one of several words."""
    if not isinstance(kind, ValueType):
        return kind
    if kind.base in (list, dict) and not kind.optional:
        return ValueType(list)
    return ValueType(list, item=str if kind.optional or kind.choices else kind.base)


IN_ORDER = (
    "; a step waits for those whose outputs it takes; where it takes none, write "
    "couler.set_dependencies(lambda: step(...), dependencies=[earlier])"
)
# Words of KFP, Airflow and others that people try on a step.
_ELSEWHERE = {
    **dict.fromkeys(("after", "next", "set_upstream", "set_downstream", "on_success"), IN_ORDER),
    "outputs": "; an output is an attribute of the step itself: step.NAME",
}


@dataclasses.dataclass(frozen=True)
class Unreadable:
    """An output that a task has and that cannot be read where its handle is known, with the reason."""

    reason: str


class TaskHandle(list[Any]):
    """The result of a component's call in a pipeline: its outputs, as attributes or unpacked.

    It is a list, first output first, because that is what Couler's own steps return and what Couler's verbs
    take; a step without outputs has one empty element, as Couler's have.  Its text names the task in what
    `couler.set_dependencies` takes, and nowhere else: where a value is wanted it is refused.
    """

    def __init__(self, task: str, template: str, outputs: Mapping[str, Any]) -> None:
        object.__setattr__(self, "_task", task)  # for each step of a program: past the refusal below
        object.__setattr__(self, "_outputs", outputs)
        refs = [ref for ref in outputs.values() if not isinstance(ref, Unreadable)]
        super().__init__(refs or [OutputEmpty(f"couler.{task}.{template}.outputs.parameters.none")])

    @classmethod
    def of_ports(cls, task: str, template: str, ports: tuple[Port, ...]) -> "TaskHandle":
        """The handle of a single task."""
        return cls(task, template, {port.name: OutputRef(task, port, template) for port in ports})

    def __getattribute__(self, name: str) -> Any:
        # Before the methods of a list: an output may be called `count` or `index`.
        if not name.startswith("_"):
            return self._output(name)
        return super().__getattribute__(name)

    def _output(self, name: str) -> OutputRef:
        if name not in self._outputs:
            hint = _ELSEWHERE.get(name) or did_you_mean(name, list(self._outputs)) or "; it has none"
            raise ComposeError(f"{call_site()}: '{self._task}' has no output '{name}'{hint}")
        found = self._outputs[name]
        if isinstance(found, Unreadable):
            raise ComposeError(f"{call_site()}: output '{name}' of '{self._task}' {found.reason}")
        ref: OutputRef = found
        return ref

    def _leave(self, verb: str) -> None:
        """The loop whose body made the step is complete."""
        for ref in self._outputs.values():
            if isinstance(ref, OutputRef):
                ref.leave(verb)

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            self._refuse(f"'{name}' is not set here: the step puts it out")
        super().__setattr__(name, value)

    def _refuse(self, problem: str) -> NoReturn:
        names = list(self._outputs)
        example = f"'{self._task}' is a task, not a value; its outputs are {', '.join(names) or 'none'}"
        raise ComposeError(f"{call_site()}: {example}; {problem}")

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        if self is other or isinstance(other, TaskHandle):
            return self is other
        return self._refuse("compare one of them with couler.equal(...)")

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __bool__(self) -> bool:
        if is_user_code(sys._getframe(1)):  # to Couler it is a list
            self._refuse("branch on one of them with couler.when(couler.equal(...), ...)")
        return True

    def __lt__(self, other: object) -> bool:
        self._refuse("compare one of them with couler.smaller(...) or couler.bigger(...)")

    __le__ = __gt__ = __ge__ = __lt__  # type: ignore[assignment]

    def _refuse_operation(self, *_: Any) -> NoReturn:
        self._refuse("name one of them")

    def _refuse_order(self, *_: Any) -> NoReturn:
        raise ComposeError(f"{call_site()}: steps have no '>>' and no '<<'{IN_ORDER}")

    __rshift__ = __lshift__ = _refuse_order

    __add__ = __radd__ = __iadd__ = __mul__ = __rmul__ = __imul__ = __mod__ = __rmod__ = _refuse_operation  # type: ignore[assignment]
    __sub__ = __rsub__ = __truediv__ = __rtruediv__ = __neg__ = __int__ = __float__ = _refuse_operation

    def __contains__(self, value: object) -> bool:
        if is_user_code(sys._getframe(1)):
            self._refuse("compare one of them with couler.equal(...)")
        return super().__contains__(value)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            self._refuse(f"name one of them with a dot, step.{key}")
        self._refuse_items(sys._getframe(1))
        return super().__getitem__(key)

    def __iter__(self) -> Iterator[Any]:
        self._refuse_items(sys._getframe(1))
        return super().__iter__()

    def __len__(self) -> int:
        self._refuse_items(sys._getframe(1))
        return super().__len__()

    def _refuse_items(self, frame: FrameType) -> None:
        """Of a loop the user would take outputs, which are lists, for items; Couler's own go by numbers."""
        if is_user_code(frame) and any(
            getattr(ref, "gathered", False) and ref.kind for ref in self._outputs.values()
        ):
            self._refuse("each is a list: name one of them, and loop over it with couler.map(...)")

    def __format__(self, spec: str) -> str:
        if spec:
            self._refuse("a format is made of a value: compute it in a component")
        return self._text(is_user_code(sys._getframe(1)))

    def __str__(self) -> str:
        return self._text(is_user_code(sys._getframe(1)))

    def _text(self, for_user: bool) -> str:
        return name_in_text(self._task, list(self._outputs)) if for_user else self._task

    def __repr__(self) -> str:
        return f"<task {self._task}>"


class ItemRef(Placeholder):
    """The item of a loop; `item["name"]`, `item[0]` or, of a NamedTuple or dataclass, `item.name` is a part.

    Named `loops.N.item` until loop N is complete and tells `item` of its own from an outer loop's.

    Attributes:
        values: what it stands for one after the other, where the list is written in the program, else None.
    """

    def __init__(self, name: str, kind: ValueType | None = None, values: list[Any] | None = None) -> None:
        self.name, self.values = name, values
        self.kind = kind if values is None else common_type(values)
        field = name.partition(".item")[2]
        self.what = f"the item of couler.map{field and f' ({field[1:]})'}"

    def __getitem__(self, key: Any) -> "ItemRef":
        field = f"v{key}" if type(key) is int and key >= 0 else key
        if not isinstance(field, str):
            self.refuse("take one part by its number or its name")
        if self.values is None:
            return ItemRef(f"{self.name}.{field}")
        known = [list(v) if isinstance(v, Fields) else [] for v in self.values]
        bad = next((n for n, names in enumerate(known) if field not in names), None)
        if bad is not None:
            has = did_you_mean(field, known[bad]) or "; it is one value without parts"
            raise ComposeError(f"{call_site()}: item {bad + 1} of couler.map has no {key!r}{has}")
        return ItemRef(f"{self.name}.{field}", values=[v[field] for v in self.values])

    def __iter__(self) -> Iterator["ItemRef"]:
        sizes = {len(v) if isinstance(v, Fields) and v.ordered else None for v in self.values or [None]}
        size = sizes.pop()
        if sizes or size is None:
            self.refuse("its parts are not known here: take each by its number or name, item[0]")
        return iter([self[n] for n in range(size)])

    def _asked(self, name: str) -> Any:
        if self.values and all(isinstance(v, Fields) and v.named for v in self.values):
            return self[name]
        return super()._asked(name)


def common_type(values: list[Any]) -> ValueType | None:
    """The type that all items of a list in the program have, if one; whole and other numbers are floats."""
    kinds: set[Any] = set(map(_type_of, values))
    if kinds == {ValueType(int), ValueType(float)}:
        return ValueType(float)
    return kinds.pop() if len(kinds) == 1 else None


def _type_of(value: Any) -> Any:
    if isinstance(value, Fields):
        return ValueType(list if value.ordered else dict)
    return (
        value.kind
        if isinstance(value, Placeholder)
        else ValueType(str)
        if isinstance(value, TagText)
        else ValueType(type(value))
        if type(value) in SCALARS
        else None
    )


class Fields(dict[str, Any]):
    """An item of several parts; Argo addresses the fields of a mapping, not the elements of a list.

    Attributes:
        ordered: it was a list or a tuple, whose elements are `v0`, `v1`.
        named: it was a NamedTuple or a dataclass.
    """

    ordered = named = False

    @classmethod
    def of(cls, item: Any) -> "Fields | None":
        """The parts of an item; None for one that has none."""
        if isinstance(item, Placeholder) or couler_output_text(item) is not None:
            return None
        fields: Fields | None = None
        if isinstance(item, tuple) and hasattr(item, "_fields"):
            fields = cls(zip(item._fields, item, strict=True))
            fields.named = True
        elif dataclasses.is_dataclass(item) and not isinstance(item, type):
            fields = cls({f.name: getattr(item, f.name) for f in dataclasses.fields(item)})
            fields.named = True
        elif isinstance(item, (list, tuple)):
            fields = cls({f"v{n}": v for n, v in enumerate(item)})
            fields.ordered = True
        elif isinstance(item, dict):
            fields = cls({str(k): v for k, v in item.items()})
        return fields


def _step_returned(value: list[Any]) -> Any:
    """The first output of what a step of Couler's returned; None for a list that the user made of outputs."""
    if isinstance(value, TaskHandle):
        return value[0]
    tasks = {
        o.value.split(".")[1] if isinstance(o, Output) and type(o) is not OutputRef else "" for o in value
    }
    return value[0] if len(tasks) == 1 and "" not in tasks else None


def couler_output_text(value: Any) -> str | None:
    """The tag for an output, ours or of one of Couler's own steps; None if `value` is none."""
    if isinstance(value, OutputRef):
        return str(value)
    if isinstance(value, Placeholder):
        return None
    if isinstance(value, list):
        value = _step_returned(value)
    if isinstance(value, OutputRef):
        return str(value)
    if not isinstance(value, Output):
        return None
    _, task, _, *path = value.value.split(".")
    if value.is_global:
        return f"{{{{workflow.{'.'.join(value.value.split('.')[2:])}}}}}"
    return f"{{{{tasks.{task}.{'.'.join(path)}}}}}"
