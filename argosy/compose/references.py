"""What stands for a value that does not exist yet: a parameter of the pipeline, an output of a task."""

import re
from typing import Any, NoReturn

from couler.core.templates.output import Output, OutputEmpty, OutputParameter

from argosy.artifacts import ArtifactKind
from argosy.compose.source import call_site
from argosy.errors import ComposeError
from argosy.interface import Port
from argosy.text import did_you_mean
from argosy.values import ValueType

_TASK_TAG = re.compile(r"\{\{=?[^}]*?\btasks\.([A-Za-z0-9_-]+)\.")


def tasks_in(text: str) -> list[str]:
    """The tasks whose outputs a text refers to, in order."""
    return list(dict.fromkeys(_TASK_TAG.findall(text)))


class ParameterRef(str):
    """A parameter of the pipeline: the text `{{inputs.parameters.NAME}}`, with its type.

    Being text, it can stand inside other text: `f"{model_name}-onnx"`.
    """

    port: Port

    def __new__(cls, port: Port) -> "ParameterRef":
        ref = super().__new__(cls, f"{{{{inputs.parameters.{port.argo_name}}}}}")
        ref.port = port
        return ref

    @property
    def type(self) -> ValueType | ArtifactKind:
        return self.port.type

    def __bool__(self) -> NoReturn:
        raise ComposeError(_no_value_yet(f"parameter '{self.port.name}'"))


class OutputRef(list[Any], OutputParameter):  # type: ignore[misc]  # couler carries no types
    """An output of a task.

    Couler knows an output in two shapes: `couler.when` wants a list whose first element is an
    `Output`, the `args` of `couler.run_container` want the `Output` itself.  This is both: a list
    whose every element is itself, and whose length is 0, so that Couler does not unpack it.
    """

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __init__(self, task: str, port: Port, template: str) -> None:
        list.__init__(self)
        self.task, self.port = task, port
        kind = "artifacts" if port.is_artifact else "parameters"
        self.path = f"outputs.{kind}.{port.argo_name}"
        OutputParameter.__init__(self, f"couler.{task}.{template}.{self.path}")

    def __getitem__(self, index: Any) -> Any:
        return self

    def __str__(self) -> str:
        return f"{{{{tasks.{self.task}.{self.path}}}}}"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __repr__(self) -> str:
        return f"<output {self.port.argo_name} of {self.task}>"

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        raise ComposeError(_no_value_yet(f"output '{self.port.name}' of '{self.task}'"))

    def __bool__(self) -> NoReturn:
        raise ComposeError(_no_value_yet(f"output '{self.port.name}' of '{self.task}'"))


def _no_value_yet(what: str) -> str:
    return (
        f"{call_site()}: {what} has no value while the pipeline is composed; "
        "branch on it with couler.when(couler.equal(...), ...)"
    )


class TaskHandle(list[Any]):
    """What a component's call returns in a pipeline: its outputs, as attributes or unpacked.

    It is a list, first output first, because that is what Couler's own steps return and what Couler's verbs
    take; a step without outputs has one empty element, as Couler's have.
    """

    def __init__(self, task: str, template: str, ports: tuple[Port, ...]) -> None:
        self._task, self._template, self._ports = task, template, ports
        refs: list[Any] = [OutputRef(task, port, template) for port in ports]
        super().__init__(refs or [OutputEmpty(f"couler.{task}.{template}.outputs.parameters.none")])

    def __getattribute__(self, name: str) -> Any:
        # Before the methods of a list: an output may be called `count` or `index`.
        if not name.startswith("_"):
            return self._output(name)
        return super().__getattribute__(name)

    def _output(self, name: str) -> OutputRef:
        port = next((p for p in self._ports if p.name == name), None)
        if port is None:
            hint = did_you_mean(name, [p.name for p in self._ports]) or "; it has none"
            raise ComposeError(f"{call_site()}: '{self._task}' has no output '{name}'{hint}")
        return OutputRef(self._task, port, self._template)

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return self is other

    def __str__(self) -> str:
        return self._task

    def __repr__(self) -> str:
        return f"<task {self._task}>"


class ItemRef(str):
    """The item of a loop; `item["name"]` is a field of it.

    The text `{{loops.N.item}}` until loop N is complete and tells `{{item}}` of its own from an outer loop's.
    """

    __slots__ = ()

    def __new__(cls, path: str) -> "ItemRef":
        return super().__new__(cls, f"{{{{{path}}}}}")

    @classmethod
    def of_loop(cls, number: int) -> "ItemRef":
        """The item of loop `number`."""
        return cls(f"loops.{number}.item")

    def __getitem__(self, key: Any) -> "ItemRef":
        field = f"v{key}" if isinstance(key, int) else key
        return ItemRef(f"{self.removeprefix('{{').removesuffix('}}')}.{field}")


def couler_output_text(value: Any) -> str | None:
    """The tag for an output, ours or of one of Couler's own steps; None if `value` is none."""
    if isinstance(value, OutputRef):
        return str(value)
    if isinstance(value, list) and value and isinstance(value[0], Output):
        value = value[0]
    if not isinstance(value, Output):
        return None
    _, task, _, *path = value.value.split(".")
    if value.is_global:
        return f"{{{{workflow.{'.'.join(value.value.split('.')[2:])}}}}}"
    return f"{{{{tasks.{task}.{'.'.join(path)}}}}}"
