"""From a component's call in a pipeline to the arguments of its task."""

import dataclasses
import inspect
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from argosy.compose.placeholders import Placeholder, refuse_unseen
from argosy.compose.references import (
    IN_ORDER,
    Fields,
    ItemRef,
    OutputRef,
    TaskHandle,
    couler_output_text,
)
from argosy.compose.tags import json_of_text, names_in, path_of, tasks_in
from argosy.declare.component import Component
from argosy.errors import ComposeError
from argosy.step.interface import ArtifactKind, Interface, Port
from argosy.step.values import ValueType, shown, unboxed, unfit
from argosy.text import did_you_mean

_TEXT = ValueType(str)


@dataclass
class Arguments:
    """A task's arguments, and the tasks that they come from; `optional` are artifacts among them."""

    parameters: dict[str, str] = field(default_factory=dict)
    artifacts: dict[str, str] = field(default_factory=dict)
    optional: set[str] = field(default_factory=set)
    needs: dict[str, None] = field(default_factory=dict)


def bind(interface: Interface, args: tuple[Any, ...], kwargs: dict[str, Any], site: str) -> Arguments:
    """The arguments of one call.

    Raises:
        ComposeError: as Python would for a wrong call, naming the user's line `site`.
    """
    given = _name_arguments(interface, args, kwargs, site)
    arguments = Arguments()
    for port in interface.inputs:
        if port.name not in given:
            if port.required:
                raise ComposeError(f"{site}: {interface.name}() misses the input '{port.name}' ({port.type})")
            continue
        if port.optional:
            if given[port.name] is None:
                continue
            arguments.optional.add(port.argo_name)
        text = _text(_Given(interface, port, site), given[port.name])
        (arguments.artifacts if port.is_artifact else arguments.parameters)[port.argo_name] = text
        arguments.needs.update(dict.fromkeys(tasks_in(text)))
    return arguments


def refuse_borrowed(step: str, template: Any, site: str, own: Sequence[str] = ()) -> None:
    """Raise ComposeError for a container, or the name of its step, that shows a value of the pipeline.

    It knows the `own` inputs of the step. A tag that a pipeline writes may be of its own parameter, so there
    none is the step's.
    """
    for text in (step, *_texts(template)):
        refuse_unseen(text, f"{step}(): its container", site)
        for name in names_in(text):
            root, *words = name.split(".")
            foreign = root == "inputs" and words[0] == "parameters" and words[-1] not in own
            if root in ("tasks", "loops") or (foreign and text is not step):
                raise ComposeError(
                    f"{site}: {step}(): '{text}' holds a value of the pipeline, and a container knows only "
                    "the step's own inputs; declare an input, and let the step set what it needs"
                )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, (str, Placeholder)):
        yield str(value)
    elif isinstance(value, (list, tuple, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def _text(given: "_Given", value: Any) -> str:
    try:
        text = given.text(value)
    except RecursionError:
        raise given.mismatch("one that holds itself") from None
    if problem := unfit(text):
        raise given.mismatch(f"one that {problem}")
    return text


def refuse_other_type(interface: Interface, port: Port, value: Any, site: str) -> None:
    """Raise ComposeError for an output that a pipeline returns, and declares to be of another type."""
    kind = value.kind if isinstance(value, OutputRef) else None
    if kind is not None and not _feeds(kind, port.type):
        raise ComposeError(
            f"{site}: {interface.name}(): its output '{port.name}' is declared as {port.type}, and "
            f"{value.what} is {kind}"
        )


def _name_arguments(
    interface: Interface, args: tuple[Any, ...], kwargs: dict[str, Any], site: str
) -> dict[str, Any]:
    names = [p.name for p in interface.inputs]
    if len(args) > len(names):
        takes = f"{len(names)} input{'s' if len(names) != 1 else ''}"
        raise ComposeError(f"{site}: {interface.name}() takes {takes}, {len(args)} were given")
    given = dict(zip(names, args, strict=False))
    for name, value in kwargs.items():
        if name not in names:
            hint = IN_ORDER if name in _ORDERING else did_you_mean(name, names)
            raise ComposeError(f"{site}: {interface.name}() got an undeclared input '{name}'{hint}")
        if name in given:
            raise ComposeError(f"{site}: {interface.name}() got two values for the input '{name}'")
        given[name] = value
    return given


_ORDERING = ("dependencies", "depends", "depends_on", "after")
"""Inputs that nobody declared, and that people write to have a step wait for another."""


@dataclass(frozen=True)
class _Given:
    """The argument of one input."""

    interface: Interface
    port: Port
    site: str

    def text(self, value: Any) -> str:
        """The text that the input gets, with tags for what is not there yet."""
        kind = self.port.type
        if isinstance(kind, ArtifactKind):
            kind = dataclasses.replace(kind, optional=self.port.optional)
        if type(value) is TaskHandle:
            value = self._first_output(value)
        if isinstance(value, Placeholder):
            self._check_types(value, kind)
            return str(value)
        tag = couler_output_text(value)
        if tag is not None:
            if (".outputs.artifacts." in tag) != self.port.is_artifact:
                raise self.mismatch(f"the output {tag}")
            return tag
        if not isinstance(value, str) and (isinstance(value, Component) or inspect.isfunction(value)):
            name = (value.function if isinstance(value, Component) else value).__name__
            raise self.mismatch(
                f"the function {name} itself; call it, {name}(...)"
                if name.isidentifier()
                else "a lambda; write the value itself"
            )
        if isinstance(kind, ArtifactKind):
            raise self.mismatch(
                f"{shown(value)}; files come from steps: give an output declared as File or Directory"
            )
        if isinstance(value, str):
            refuse_unseen(value, f"{self.interface.name}(): the input '{self.port.name}'", self.site)
            if "{{" in value:
                return value
        if kind.base in (list, dict) and isinstance(value, kind.base):
            return self._json(value, ValueType(kind.item) if kind.item else None)
        try:
            text = kind.comparable(value)
        except TypeError:
            raise self.mismatch(shown(value) + _rewritten(value, kind)) from None
        refuse_unseen(text, f"{self.interface.name}(): the input '{self.port.name}'", self.site)
        return text

    def _first_output(self, handle: TaskHandle) -> Any:
        """As in Couler, a step stands for its first output."""
        if not isinstance(handle[0], OutputRef):
            raise self.mismatch(f"the task '{handle}', which has no outputs")
        return handle[0]

    def _check_types(self, value: Placeholder, target: ValueType | ArtifactKind) -> None:
        if isinstance(value, ItemRef) and value.values is not None:
            self._check_items(value.values, target)
        elif isinstance(value, OutputRef) and value.gathered:
            self._check_gathered(value, target)
        elif value.kind is not None and not _feeds(value.kind, target):
            raise self.mismatch(f"{value.what} ({value.kind})", target)

    def _check_items(self, items: list[Any], target: ValueType | ArtifactKind) -> None:
        for number, item in enumerate(items, 1):
            value = item[0] if isinstance(item, TaskHandle) else item
            if isinstance(value, Placeholder):
                self._check_types(value, target)
            elif not _fits(value, target):
                raise self.mismatch(f"{value!r} (item {number} of couler.map)", target)

    def _check_gathered(self, value: OutputRef, target: ValueType | ArtifactKind) -> None:
        """Argo hands over each element as text, which the step reads as its input's elements are declared."""
        source = value.kind
        if source is None:
            return
        assert isinstance(source, ValueType)  # files of a loop have no handle
        if not isinstance(target, ValueType) or target.base not in (list, str):
            raise self.mismatch(f"{value.what} ({source})", target)
        if target.base is str or source.item is None:
            if not source.feeds(target):
                raise self.mismatch(f"{value.what} ({source})", target)
        elif target.item is None and _is_no_text(value.port.type):
            read = source.item.__name__ if source.item is not str else "text, which is empty for None"
            raise ComposeError(
                f"{self.site}: {self.interface.name}(): the elements of {value.what} come as text; "
                f"declare the input '{self.port.name}' as {source}, so that each is read as {read}"
            )
        elif target.item is not None and not ValueType(source.item).feeds(ValueType(target.item)):
            raise self.mismatch(f"{value.what} ({source})", target)

    def _json(self, value: Any, item: ValueType | None = None) -> str:
        """JSON in which tags stand for what is not there yet: numbers bare, text escaped by Argo."""
        if isinstance(value, TaskHandle):
            value = self._first_output(value)
        if isinstance(value, Placeholder):
            return self._json_tag(value, item)
        tag = couler_output_text(value)
        if tag is not None:
            return self._tag_as(tag, None, item or _TEXT)
        if item is None and isinstance(value, dict):
            return "{" + ", ".join(f"{self._key(k)}: {self._json(v)}" for k, v in value.items()) + "}"
        if item is None and isinstance(value, (list, tuple)) and not hasattr(value, "_asdict"):
            return "[" + ", ".join(map(self._json, value)) + "]"
        if isinstance(value, list):
            return "[" + ", ".join(self._json(v, item) for v in value) + "]"
        if isinstance(value, str) and "{{" in value:
            return self._text_json(value)
        return self._constant(value, item)

    def _key(self, key: Any) -> str:
        if not isinstance(key, str):
            raise self.mismatch(f"the key {key!r}, and JSON's keys are text")
        text = self._text_json(key) if "{{" in key else self._constant(key)
        return f" {text}" if text.startswith("{{") else text  # behind a third brace it would be no tag

    def _text_json(self, text: str) -> str:
        """A text with tags inside of JSON: put together and escaped by Argo."""
        refuse_unseen(text, f"{self.interface.name}(): the input '{self.port.name}'", self.site)
        if "{{=" in text:
            raise ComposeError(
                f"{self.site}: {self.interface.name}(): the input '{self.port.name}' holds the expression "
                f"{text!r}, whose result would not be escaped; give it to an input of its own"
            )
        return json_of_text(text)

    def _constant(self, value: Any, item: ValueType | None = None) -> str:
        value = unboxed(value)
        if item is not None:
            try:
                value = item.decode(item.encode(value))
            except TypeError:
                raise self.mismatch(f"an element {shown(value)}") from None
        if isinstance(value, str):
            refuse_unseen(value, f"{self.interface.name}(): the input '{self.port.name}'", self.site)
        try:
            if hasattr(value, "_asdict"):
                raise TypeError("JSON would lose the names")
            return json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            hint = _as_json(value)
            raise ComposeError(
                f"{self.site}: {self.interface.name}(): the input '{self.port.name}' holds {shown(value)}, "
                f"which JSON does not know; write {hint} in its place"
            ) from None

    def _json_tag(self, value: Placeholder, item: ValueType | None) -> str:
        if item is not None:
            self._check_types(value, item)
        kind: Any = value.kind
        if isinstance(kind, ArtifactKind):
            raise ComposeError(
                f"{self.site}: {self.interface.name}(): {value.what} is a {kind}, which cannot stand "
                f"inside of the {self.port.type} '{self.port.name}'; give it to an input of its own, "
                "declared as File"
            )
        if isinstance(value, OutputRef) and value.gathered and kind.item not in (None, str):
            raise ComposeError(
                f"{self.site}: {self.interface.name}(): the elements of {value.what} come as text, which "
                f"inside of '{self.port.name}' nobody would read as {kind.item.__name__}; give it to an "
                f"input of its own, declared as {kind}"
            )
        kind = kind or item
        if kind is None:
            raise ComposeError(
                f"{self.site}: {self.interface.name}(): whether {value.what} is a number or a text is not "
                f"known, which the JSON of '{self.port.name}' must say; loop over a list[int], "
                "list[float] or list[str]"
            )
        # Where texts are wanted a number is one, too, and nothing is the empty text.
        return self._tag_as(str(value), value, item if item == _TEXT else kind)

    def _tag_as(self, tag: str, value: Placeholder | None, kind: ValueType) -> str:
        """A tag inside of JSON: as it is where its text is JSON, escaped where it is any text."""
        if kind.base is not str and not kind.optional:
            return tag
        path = value.path if value is not None else path_of(next(names_in(tag)))
        escaped = f"toJson({path})" if kind.base is str else path
        return f"{{{{={path} == '' ? 'null' : {escaped}}}}}" if kind.optional else f"{{{{={escaped}}}}}"

    def mismatch(self, what: str, target: ValueType | ArtifactKind | None = None) -> ComposeError:
        """The error for something that is not of the input's type."""
        wanted = self.port.type.expectation
        return ComposeError(
            f"{self.site}: {self.interface.name}(): the input '{self.port.name}' wants {wanted}, got {what}"
        )


def _is_no_text(kind: ValueType | ArtifactKind) -> bool:
    """Whether the values are numbers or booleans, which Argo gathers as texts."""
    return isinstance(kind, ValueType) and kind.base in (bool, int, float)


def _feeds(source: ValueType | ArtifactKind, target: ValueType | ArtifactKind) -> bool:
    if isinstance(source, ValueType):
        return isinstance(target, ValueType) and source.feeds(target)
    return isinstance(target, ArtifactKind) and source.feeds(target)


def _fits(value: Any, target: ValueType | ArtifactKind) -> bool:
    """Whether an item of a list in the program may be handed to an input; a number is also a text."""
    if not isinstance(target, ValueType):
        return False
    if isinstance(value, str) and "{{" in value:
        return True
    if target.base is str and not target.choices and isinstance(value, (int, float)):
        return True
    try:
        target.encode(list(value.values()) if isinstance(value, Fields) and value.ordered else value)
    except TypeError:
        return holds_placeholder(value)
    return True


def holds_placeholder(value: Any) -> bool:
    """Whether there is a value that is not there yet anywhere in a list, dict, tuple or dataclass."""
    if isinstance(value, (Placeholder, TaskHandle)) or couler_output_text(value) is not None:
        return True
    if isinstance(value, dict):
        return any(map(holds_placeholder, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(holds_placeholder, value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return any(holds_placeholder(getattr(value, f.name)) for f in dataclasses.fields(value))
    return False


def _as_json(value: Any) -> str:
    """The rewriting of a value as JSON, for error messages."""
    if dataclasses.is_dataclass(value):
        return "dataclasses.asdict(...)"
    if hasattr(value, "_asdict"):
        return "its ._asdict()"
    if hasattr(type(value), "tolist"):
        return "its .tolist()"
    return "list(...)" if isinstance(value, (set, frozenset)) else "a text, a number, a list or a dict"


def _rewritten(value: Any, target: ValueType) -> str:
    """How to write a collection as what the input wants, for error messages."""
    if target.base is dict and hasattr(value, "_asdict"):
        return "; write x._asdict()"
    if target.base is dict and dataclasses.is_dataclass(value):
        return "; write dataclasses.asdict(x)"
    if target.base is list and isinstance(value, (tuple, set, frozenset)):
        return "; write list(x)"
    return ""
