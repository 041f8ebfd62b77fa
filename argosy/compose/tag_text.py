"""The text of a value that is not there yet: a tag, which goes into other texts and which nobody may look at.

`f"{value}-onnx"` is a text with the tag in it.  `str(value).zfill(8)` would be the tag's own text, not the
value's, filled up with zeros: that is refused on the user's line, as is all else whose result depends on
which letters the tag has.
"""

from __future__ import annotations

import dis
import re
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any, NoReturn

import yaml

from argosy.declare.source import is_installed, is_user_code

BRANCH = "branch on it with couler.when(couler.equal(...), ...)"
COMPUTE = "compute it in a component that takes the value as an input"

Refuse = Callable[[str], NoReturn]
_CONVERSION = re.compile(r"%(?:\([^)]*\))?[#0\- +]*(\*|\d+)?(\.(?:\*|\d*))?[hlL]?(.)", re.S)
_BINARY = dis.opmap.get("BINARY_OP")
# Their results have the whole text in them, or nothing of it.
_HARMLESS = frozenset({"__add__", "__mul__", "__rmul__", "join", "maketrans"})
_COMPARISONS = frozenset({"__lt__", "__le__", "__gt__", "__ge__", "__contains__"})
_LOOKS = frozenset({"__len__", "__iter__", "__getitem__", "__mod__"})

made: set[str] = set()
"""The names of the values whose texts a program has asked for."""


class TagText(str):
    """The text of one value, for the user's own code; to everybody else it is plain text.

    Attributes:
        refuse: raises for the value, and is told what to write instead.
        package: the one that has asked for the text; other libraries, which print or write it, may look.
    """

    refuse: Refuse
    package: str

    def __new__(cls, text: str, refuse: Refuse, package: str) -> TagText:
        """The tag `text`."""
        tag = super().__new__(cls, text)
        tag.refuse, tag.package = refuse, package
        return tag

    def _is_looked_at(self, frame: FrameType) -> bool:
        return is_user_code(frame) and (not is_installed(frame) or _package(frame) == self.package)

    __hash__ = str.__hash__

    def __bool__(self) -> bool:
        if self._is_looked_at(sys._getframe(1)):
            self.refuse(BRANCH)
        return True

    def __eq__(self, other: object) -> bool:
        equal: Any = str.__eq__(self, other)
        if equal is False and self._is_looked_at(sys._getframe(1)):
            self.refuse(BRANCH)
        return equal  # type: ignore[no-any-return]

    def __ne__(self, other: object) -> bool:
        other_than: Any = str.__ne__(self, other)
        if other_than is True and self._is_looked_at(sys._getframe(1)):
            self.refuse(BRANCH)
        return other_than  # type: ignore[no-any-return]

    def __str__(self) -> str:
        return text_for(sys._getframe(1), str.__str__(self), self.refuse)

    def __format__(self, spec: str) -> str:
        if spec and self._is_looked_at(sys._getframe(1)):
            refuse_format(spec, self.refuse)
        return str.__format__(self, spec)

    def __copy__(self) -> TagText:
        return self

    def __deepcopy__(self, memo: Any) -> TagText:
        return self

    def __reduce__(self) -> Any:
        return str, (str.__str__(self),)


def _careful(name: str, remedy: str) -> Callable[..., Any]:
    own = getattr(str, name)

    def method(self: TagText, *args: Any, **kwargs: Any) -> Any:
        if self._is_looked_at(sys._getframe(1)):
            self.refuse(remedy)
        return own(self, *args, **kwargs)

    method.__name__ = name
    return method


for _name in vars(str):
    if _name in _COMPARISONS:
        setattr(TagText, _name, _careful(_name, BRANCH))
    elif _name in _LOOKS:
        setattr(TagText, _name, _careful(_name, COMPUTE))
    elif not _name.startswith("_") and _name not in _HARMLESS:
        setattr(TagText, _name, _careful(_name, f"'.{_name}()' must be made of the value: {COMPUTE}"))


def text_for(frame: FrameType, tag: str, refuse: Refuse) -> str:
    """The text of a value, asked for in `frame`: plain, unless that is the user's.

    Raises:
        ComposeError: it is asked for by a `%` that pads or cuts it.
    """
    if not is_user_code(frame):
        return tag
    if conversion := _padded_by(frame):
        refuse(f"the width in '{conversion}' must be made of the value: {COMPUTE}")
    made.add(tag.strip("{}"))
    _let_yaml_write_it()
    return TagText(tag, refuse, _package(frame))


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _let_yaml_write_it(kind: Any = yaml.representer.SafeRepresenter) -> None:
    """PyYAML writes a text of no other class than `str`; each of its writers may have a table of its own."""
    if TagText not in kind.yaml_representers:
        kind.add_representer(TagText, lambda writer, text: writer.represent_str(str.__str__(text)))
    for below in kind.__subclasses__():
        _let_yaml_write_it(below)


def refuse_format(spec: str, refuse: Refuse) -> NoReturn:
    """Refuse a format that is more than the text as it is."""
    refuse(f"the format ':{spec}' must be made of the value: {COMPUTE}")


def _padded_by(frame: FrameType) -> str:
    """The conversion with a width or a precision, `%40s`, in the `%` that the frame is at; empty without one.

    `%` asks for a text and fills it up where nobody sees it; the format is read out of the frame.
    """
    code, at = frame.f_code, frame.f_lasti
    if at < 0 or code.co_code[at] != _BINARY:
        return ""
    template = _left_operand(code, at, frame)
    if not isinstance(template, str):
        return ""
    found = _CONVERSION.finditer(template)
    return next((m[0] for m in found if m[3] == "s" and (m[1] or m[2])), "")


def _left_operand(code: CodeType, at: int, frame: FrameType) -> Any:
    """The value to the left of the `%` at this place of the code, where that is a constant or a name."""
    last = next(i for i in dis.get_instructions(code) if i.offset == at)
    return next(values_in(frame, at), None) if last.argrepr in ("%", "%=") else None


def values_in(frame: FrameType, at: int) -> Iterator[Any]:
    """The constants and variables in the expression that a frame is at, from left to right."""
    before = [i for i in dis.get_instructions(frame.f_code) if i.offset <= at]
    span = getattr(before[-1], "positions", None) if before else None  # Python 3.10 has none
    if span is None or span.lineno is None:
        return
    start, end = (span.lineno, span.col_offset), (span.end_lineno, span.end_col_offset)
    for instruction in before:
        own = getattr(instruction, "positions", None)
        if own is None or own.lineno is None or not instruction.opname.startswith("LOAD_"):
            continue
        if start <= (own.lineno, own.col_offset) and (own.end_lineno, own.end_col_offset) <= end:
            yield _loaded(instruction, frame)


def _loaded(instruction: dis.Instruction, frame: FrameType) -> Any:
    if instruction.opname == "LOAD_CONST":
        return instruction.argval
    name = instruction.argval[0] if isinstance(instruction.argval, tuple) else instruction.argval
    return frame.f_locals.get(name, frame.f_globals.get(name)) if isinstance(name, str) else None
