"""A value that is not there yet: what Python may do with it while a pipeline is composed, and what not.

It can be handed to a step, stand inside a text (`f"{name}-onnx"`) and in lists and dicts that are handed to
a step, and be compared with `couler.equal` and its like.  Anything that would look at the value is refused
on the user's line, with what to write instead; docs/values.md has the table.
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from types import FrameType, ModuleType
from typing import Any, NoReturn

from couler.core.templates.output import Output

from argosy.compose.tag_text import BRANCH, COMPUTE, TagText, made, refuse_format, text_for, values_in
from argosy.compose.tags import path_of
from argosy.declare.source import call_site, is_installed, is_user_code, placed, raised_at
from argosy.errors import ComposeError, DeclarationError
from argosy.step.interface import ArtifactKind
from argosy.step.values import ValueType
from argosy.text import did_you_mean

UNSEEN = ", no value yet>"
"""How the `repr` of a placeholder ends: a text that holds it was made from one by mistake."""

_LOOP = "loop over it with couler.map(...), or take it apart in a component"
_ARITHMETIC = (
    "sub",
    "mul",
    "matmul",
    "truediv",
    "floordiv",
    "mod",
    "divmod",
    "pow",
    "lshift",
    "rshift",
    "and",
    "or",
    "xor",
)
_REMEDIES = {
    BRANCH: ("bool", "eq", "ne", "lt", "le", "gt", "ge", "contains"),
    _LOOP: ("len", "iter", "reversed", "getitem", "setitem", "delitem"),
    COMPUTE: (
        *_ARITHMETIC,
        *(f"r{name}" for name in _ARITHMETIC),
        *(
            "neg",
            "pos",
            "abs",
            "invert",
            "int",
            "float",
            "complex",
            "index",
            "round",
            "trunc",
            "floor",
            "ceil",
        ),
    ),
    "use a name as the key": ("hash",),
}


_refusals: ContextVar[list[ComposeError] | None] = ContextVar("argosy_refusals", default=None)


@contextmanager
def nothing_swallowed() -> Iterator[None]:
    """A refusal that the program catches is raised when the block ends: what it then did is a guess."""
    refusals: list[ComposeError] = []
    token = _refusals.set(refusals)
    try:
        yield
    finally:
        _refusals.reset(token)
    if refusals:
        raise refusals[0]


class Placeholder:
    """Stands for a value that a running workflow will have.

    Attributes:
        name: of the value in Argo, `inputs.parameters.x`.
        kind: the value's type; None where it is not known.
        what: how messages call it.
    """

    name: str
    kind: ValueType | ArtifactKind | None
    what: str

    @property
    def path(self) -> str:
        """The name as Argo's expressions write it."""
        return path_of(self.name)

    def refuse(self, remedy: str) -> NoReturn:
        """Raise ComposeError: the value was looked at."""
        refusal = ComposeError(
            f"{call_site()}: {self.what} has no value while the pipeline is composed; {remedy}"
        )
        if (refusals := _refusals.get()) is not None:
            refusals.append(refusal)
        raise refusal

    @property
    def tag(self) -> str:
        """The tag, as Argo has it."""
        return f"{{{{{self.name}}}}}"

    def __str__(self) -> str:
        return text_for(sys._getframe(1), self.tag, self.refuse)

    def __repr__(self) -> str:
        return f"<{self.what}{UNSEEN}"

    def __format__(self, spec: str) -> str:
        if spec:
            refuse_format(spec, self.refuse)
        return text_for(sys._getframe(1), self.tag, self.refuse)

    def __add__(self, other: Any) -> str:
        self._refuse_sum(other)
        return f"{self}{other}"

    def __radd__(self, other: Any) -> str:
        self._refuse_sum(other)
        return f"{other}{self}"

    def _refuse_sum(self, other: Any) -> None:
        """Text may be put together, numbers may not be added."""
        kind = getattr(other, "kind", None) if isinstance(other, Placeholder) else ValueType(str)
        if not isinstance(other, (str, Placeholder)) or not (_is_text(self.kind) and _is_text(kind)):
            self.refuse(f"{COMPUTE}; text is put together with f'...'")

    def __getattribute__(self, name: str) -> Any:
        # Attributes are ours and Couler's; the user would ask for one of the value.
        if (name[0] != "_" or name == "__class__") and is_user_code(sys._getframe(1)):
            return self._asked(name)
        return object.__getattribute__(self, name)

    def _asked(self, name: str) -> Any:
        """The user asked for an attribute; `isinstance` and `match` ask for the class."""
        if name == "__class__":
            self.refuse(f"ask for its type in a component, or {BRANCH}")
        self.refuse(f"'.{name}' must be made of the value: {COMPUTE}")

    def __copy__(self) -> "Placeholder":
        return self

    def __deepcopy__(self, memo: Any) -> "Placeholder":
        return self


def _is_text(kind: ValueType | ArtifactKind | None) -> bool:
    return kind is None or (isinstance(kind, ValueType) and kind.base is str)


def _refusal(remedy: str) -> Callable[..., NoReturn]:
    def refused(self: Placeholder, *_: Any) -> NoReturn:
        self.refuse(remedy)

    return refused


for _remedy, _names in _REMEDIES.items():
    for _name in _names:
        setattr(Placeholder, f"__{_name}__", _refusal(_remedy))


# The tag of an output that is a file; with `.path` it is the file's place in its own step.
_FILE = re.compile(r"\{\{\s*(?:tasks|steps)\.[\w-]+\.outputs\.artifacts\.[\w-]+\s*\}\}")


# The text of a step's handle: its name, marked, and its outputs, for the message.
_STEP = re.compile(r"\{\{tasks\.([\w-]+): ([\w, ]*)\}\}")


_TAG = re.compile(r"\{\{=.*?\}\}|\{\{\s*[a-z][\w.-]*\s*\}\}", re.S)
_NAME = r"(?:inputs\.(?:parameters|artifacts)|tasks\.[\w-]+\.outputs|loops\.\d+\.item)\b[\w.-]*"
# The rest of a tag that Python's own functions have cut, or written in capitals.
_PART = re.compile(rf"\{{\{{\s*{_NAME}(?:\s*\}}\}})?|{_NAME}\s*\}}\}}|\A{_NAME}\Z", re.I)


_TAG_NAME = re.compile(r"\{\{\s*([\w.-]+)\s*\}\}")
# How names begin that Argo knows, whoever wrote them.
_KNOWN = re.compile(
    r"(?:workflow|pod|node|item|steps|outputs|retries|lastRetry|cronworkflow|execution)\b"
    r"|inputs\.(?:parameters|artifacts)\.|tasks\.[\w-]+\.(?:status|id|ip|startedAt|finishedAt)\b"
    r"|tasks\.[\w-]+\.outputs\.(?:parameters|artifacts|result|exitCode)\b|loops\.\d+\.item\b"
)


def _name_before(name: str) -> str:
    """The name that a tag's had before Python changed it; empty for one that is as somebody wrote it."""
    if name in made or _KNOWN.match(name):
        return ""
    return next(iter(get_close_matches(name, made, 1, 0.75)), "")


def name_in_text(task: str, outputs: list[str]) -> str:
    """The text of a whole step: a name in a `depends` expression, and a mistake where a value is wanted."""
    return f"{{{{tasks.{task}: {', '.join(outputs)}}}}}"


def task_names(text: str) -> str:
    """A text of `couler.set_dependencies` with the names of the tasks whose handles stand in it."""
    return _STEP.sub(r"\1", text)


def explained(error: Exception) -> ComposeError | None:
    """The mistake behind an error of a function that was given a placeholder, or of a verb of Couler's.

    Python's own functions name the type that they cannot take, or show the value.
    None if it is something else.
    """
    if isinstance(error, DeclarationError):
        return None if placed(error) == str(error) else ComposeError(placed(error))
    if not isinstance(error, (TypeError, AttributeError, ValueError, SyntaxError)):
        return None
    if verb := _verb_that_raised(error):
        return ComposeError(f"{raised_at(error)}: couler.{verb} {_TAKES[verb]} ({error})")
    if verb := _verb_called_wrongly(error):
        more = f"; {_ELSE}" if verb == "when" else ""
        return ComposeError(f"{raised_at(error)}: couler.{verb} {_TAKES[verb]}{more} ({error})")
    if found := unknown_verb(error):
        return ComposeError(found)
    text = str(error)
    kinds = {kind.__name__ for kind in _kinds(Placeholder)} | {kind.__name__ for kind in _kinds(Output)}
    if UNSEEN not in text and kinds.isdisjoint(re.findall(r"\w+", text)):
        hint = _hint(error)
        told = f"{raised_at(error)}: {type(error).__name__}: {text.rstrip('.')}; {hint}"
        return ComposeError(" ".join(told.split("\n"))) if hint else None
    return ComposeError(
        f"{raised_at(error)}: a value that is not there while the pipeline is composed was given to a "
        f"function that is no component ({text}); give it, or the list or dict that holds it, to a "
        "component, or write f'...' where a text is wanted"
    )


def unknown_verb(error: BaseException) -> str:
    """The line for a name that Couler does not have, with the nearest that it has; else empty."""
    module = getattr(error, "obj", None) if isinstance(error, AttributeError) else None
    if getattr(module, "__name__", "") not in ("couler", "couler.argo") or not isinstance(module, ModuleType):
        return ""
    verbs = [n for n, v in vars(module).items() if callable(v) and n[0].islower()]
    name = str(error.name)  # type: ignore[attr-defined]
    return f"{raised_at(error)}: couler has no '{name}'{did_you_mean(name, verbs)}"


# Python's own words for a call that is wrong whatever the values are.
_NOTHING_BACK = ("when", "dag", "set_exit_handler")
_WRONG_CALL = re.compile(
    r"unexpected keyword|required (?:positional|keyword)|positional arguments? but|has no attr"
)


def _hint(error: Exception) -> str:
    """The part that values which are not there yet have in an error of Python's own; empty if none."""
    frame = _users_place(error)
    if isinstance(error, AttributeError) and getattr(error, "obj", error) is None:
        names = set(frame[0].f_code.co_names) if frame else set()
        if names.isdisjoint(_NOTHING_BACK):
            return ""
        return (
            "nothing comes back from couler.when, couler.dag and couler.set_exit_handler: a step's outputs "
            "are what its own call returns"
        )
    values = values_in(*frame) if frame and not _WRONG_CALL.search(str(error)) else ()
    for value in (v for v in values if issubclass(type(v), (Placeholder, TagText))):
        what = value.what if isinstance(value, Placeholder) else "a text with a tag in it"
        return f"{what} has no value while the pipeline is composed: {COMPUTE}"
    return ""


def _users_place(error: BaseException) -> tuple[FrameType, int] | None:
    """The last frame of the user's own that an error passed through, and where in its code it was."""
    trace, own = error.__traceback__, None
    while trace is not None:
        own = trace if is_user_code(trace.tb_frame) and not is_installed(trace.tb_frame) else own
        trace = trace.tb_next
    return (own.tb_frame, own.tb_lasti) if own else None


_TAKES = {
    "when": "takes a comparison, as couler.equal(...) returns it, and a function: lambda: step(...)",
    "concurrent": "takes a list of functions: [lambda: step(...), ...]",
    "dag": "takes a list of lists of functions: [[lambda: first(...), lambda: second(...)]]",
    "set_dependencies": "takes a function, lambda: step(...), and dependencies=[step, ...] or an expression",
    "set_exit_handler": "takes a status, couler.WFStatus.Failed, and a function: lambda: step(...)",
}


def _verb_that_raised(error: Exception) -> str:
    """The verb of Couler's in whose own code the error was raised, or empty."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame if trace else None
    if code is None or not str(code.f_globals.get("__name__")).startswith("couler.core.syntax."):
        return ""
    return code.f_code.co_name if code.f_code.co_name in _TAKES else ""


_ELSE = "the other case is a couler.when of its own, with couler.not_equal(...)"
_WRONG_NUMBER = re.compile(r"(\w+)\(\) (?:takes \d|missing \d|got an unexpected keyword)")


def _verb_called_wrongly(error: Exception) -> str:
    """The verb of Couler's that the user's own line calls with a wrong number of words, or empty."""
    match = _WRONG_NUMBER.match(str(error))
    frame = _users_place(error)
    if match is None or match[1] not in _TAKES or frame is None:
        return ""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return match[1] if trace is not None and trace.tb_frame is frame[0] else ""


def _kinds(kind: type[Any]) -> list[type[Any]]:
    return [kind, *(k for below in kind.__subclasses__() for k in _kinds(below))]


def refuse_unseen(text: str, what: str, site: str) -> None:
    """Raise ComposeError for the text of what has none: a `repr`, a file, a step, a part of a tag."""
    if "." not in text and "{{" not in text and UNSEEN not in text:
        return
    if step := _STEP.search(text):
        outputs = step[2].split(", ")
        remedy = f"name an output of it, f'{{step.{outputs[0]}}}'" if step[2] else "it has no output"
        told = f" ({step[2]})" if len(outputs) > 1 else ""
        raise ComposeError(f"{site}: {what} holds the text of the whole step '{step[1]}'; {remedy}{told}")
    if part := _PART.search(_TAG.sub("", text)):
        raise ComposeError(
            f"{site}: {what} holds '{part[0]}', a part of a tag: the text of a value that is not there "
            "yet was changed or taken apart in Python; do that in a component"
        )
    for tag in _TAG_NAME.findall(text):
        if was := _name_before(tag):
            raise ComposeError(
                f"{site}: {what} holds '{{{{{tag}}}}}': Python has changed the text '{{{{{was}}}}}' before "
                "its value was there; do that in a component"
            )
    if file := _FILE.search(text):
        raise ComposeError(
            f"{site}: {what} holds '{file[0]}', and a file has no text in a workflow: give it to an input "
            "declared as File, or let a component return its content or its address"
        )
    if UNSEEN in text:
        raise ComposeError(
            f"{site}: {what} holds the text {text!r}, which is what repr() shows of a value that is not "
            "there yet; write f'{value}' without '!r', or give the list or dict itself to an input of "
            "that type"
        )
