"""Couler's own steps: their values put right, their scripts complete, and outputs that say no as ours do.

Couler's objects have Python's own truth, comparison and text: `if flip():` is always true, `flip() == "a"`
always false, and `f"{flip()}"` an address in memory.  While a pipeline is composed they have none.
"""

from __future__ import annotations

import ast
import dis
import inspect
import linecache
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, NoReturn

from couler.core import run_templates
from couler.core.constants import ImagePullPolicy
from couler.core.templates import OutputArtifact, OutputJob
from couler.core.templates.artifact import TypedArtifact
from couler.core.templates.output import Output, OutputEmpty
from couler.core.utils import body as couler_body

from argosy.compose.placeholders import UNSEEN, Placeholder, refuse_unseen
from argosy.compose.references import TaskHandle, couler_output_text
from argosy.compose.tag_text import BRANCH, refuse_format, text_for
from argosy.compose.tags import names_in, renamed, tasks_in
from argosy.compose.tasks import Task
from argosy.declare.fields import expect_name
from argosy.declare.merge import plain
from argosy.declare.signature import where
from argosy.declare.source import call_site, is_user_code
from argosy.errors import ComposeError, DeclarationError
from argosy.step.interface import ENTRYPOINT, EXIT_HANDLER
from argosy.step.values import SCALARS, unboxed

# Couler puts quotes inside its values, for a serialiser that used to take them off again.
_QUOTED = re.compile(r"""^(?:"(\{\{.*\}\})"|'(-?\d+(?:\.\d+)?|True|False)')$""", re.S)
# In no image but those of Argosy and of those who install it.
_ABSENT = ("argosy", "couler")
_MAKERS = ("_script_output", "_container_output", "_job_output")


def refuse_lost(call: Mapping[str, Any]) -> None:
    """Raise ComposeError for an argument that Couler would drop, or write as no one means it.

    `call` has the arguments by name, those of `run_container`, `run_script` or another verb.
    """
    for edges in call.get("dependency_graph") or ():
        if not isinstance(edges, list):
            raise ComposeError(
                f"{call_site()}: couler.dag takes lists of functions, and would drop {edges!r}: write "
                "[[lambda: step(...)]]"
            )
    args = call.get("args")
    listed = args if isinstance(args, list) else [] if args is None else [args]
    if len(listed) > 1 and isinstance(listed[0], list) and listed[0]:
        raise ComposeError(
            f"{call_site()}: the arguments of a step of Couler's begin with a whole step, and Couler would "
            "drop the others; name the outputs: args=[step[0], ...]"
        )
    for value in listed:
        if not (isinstance(value, list) and value and all(isinstance(v, Output) for v in value)):
            _refuse_no_text(value, "args")
    env = call.get("env")
    for name, value in env.items() if isinstance(env, dict) else ():
        _refuse_no_text(value, f"env: '{name}'")
    given = call.get("input")
    for value in given if isinstance(given, (list, tuple)) else [] if given is None else [given]:
        if not isinstance(value, (TypedArtifact, OutputArtifact, OutputJob)):
            raise ComposeError(
                f"{call_site()}: input: {value!r} is no artifact of Couler's, and Couler would drop it; "
                "give values to args, and files to a component's input declared as File"
            )
    policy = call.get("image_pull_policy")
    if (
        policy is not None
        and not isinstance(policy, ImagePullPolicy)
        and policy not in ImagePullPolicy.values()
    ):
        raise ComposeError(
            f"{call_site()}: image_pull_policy: {policy!r} is none of {', '.join(ImagePullPolicy.values())}"
        )
    name = call.get("step_name")
    if name is not None and (not isinstance(name, str) or "{{" in name):
        raise ComposeError(f"{call_site()}: step_name: {name!r} has to be a text of the program's own")
    if name is not None:
        try:
            expect_name("step_name", name)
        except DeclarationError as error:
            raise ComposeError(f"{call_site()}: {error}") from None
    if name in (ENTRYPOINT, EXIT_HANDLER):
        raise ComposeError(
            f"{call_site()}: step_name: {name!r} is a template that each workflow has by itself; take another"
        )


def _refuse_no_text(value: Any, what: str) -> None:
    if isinstance(value, TaskHandle):
        value._refuse(f"name one of them in {what}")
    if not isinstance(unboxed(value), (*SCALARS, Placeholder, Output)) and couler_output_text(value) is None:
        raise ComposeError(
            f"{call_site()}: {what}: {value!r} is no text; write '', or json.dumps(...) of a list or a dict"
        )


def couler_task(name: str, entry: dict[str, Any], template: Any, site: str) -> Task:
    """The task for an entry of Couler's table of tasks; its arguments hold what its template borrows, too."""
    task = Task(name=name, template=entry["template"], site=site)
    arguments = entry.get("arguments", {})
    task.parameters = {p["name"]: unquoted(p["value"]) for p in arguments.get("parameters", ())}
    task.artifacts = {a["name"]: unquoted(a["from"]) for a in arguments.get("artifacts", ())}
    borrowed = _borrowed(written(plain(template.to_dict()), site)) if template else {}
    task.parameters |= {inner: f"{{{{{name}}}}}" for name, inner in borrowed.items()}
    for text in task.parameters.values():
        refuse_unseen(text, f"an argument of the step '{name}'", site)
    for text in (*task.parameters.values(), *task.artifacts.values()):
        task.needs.update(dict.fromkeys(tasks_in(text)))
    return task


def written(value: Any, step: str) -> Any:
    """A part of a step's template, with the tags of values that are not there yet.

    Raises:
        ComposeError: a text shows such a value in place of its tag.
    """
    if isinstance(value, Placeholder):
        return str(value)
    if isinstance(value, dict):
        return {key: written(inner, step) for key, inner in value.items()}
    if isinstance(value, list):
        return [written(inner, step) for inner in value]
    if isinstance(value, str):
        refuse_unseen(value, f"the template of the step '{step}'", step)
    return value


def _borrowed(template: dict[str, Any]) -> dict[str, str]:
    """Values that a template's text takes from around its task, each with the input that it comes through."""
    own = {p["name"] for p in template.get("inputs", {}).get("parameters", ())}
    found = {}
    for name in dict.fromkeys(name for text in _texts(template) for name in names_in(text)):
        words = name.split(".")
        if words[0] == "inputs" and len(words) == 3 and words[1] == "parameters" and words[2] not in own:
            found[name] = words[2]
        elif words[0] == "tasks" and "artifacts" not in words:
            found[name] = f"{words[1]}-{words[-1]}"
        elif words[0] == "loops":
            found[name] = "-".join(["loop", *words[1:]])
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _texts(part)


def own_inputs(template: dict[str, Any]) -> dict[str, Any]:
    """The template with an input for each value that it takes from around its task (see `couler_task`)."""
    borrowed = _borrowed(template)
    if not borrowed:
        return template

    def inner(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: inner(part) for key, part in value.items()}
        if isinstance(value, list):
            return [inner(part) for part in value]
        if not isinstance(value, str):
            return value
        return renamed(value, lambda n: f"inputs.parameters.{borrowed[n]}" if n in borrowed else n)

    inputs = template.get("inputs", {})
    parameters = [*inputs.get("parameters", ()), *({"name": n} for n in borrowed.values())]
    rest = {key: inner(part) for key, part in template.items() if key not in ("name", "inputs")}
    return {"name": template["name"], "inputs": {**inputs, "parameters": parameters}, **rest}


def unquoted(value: Any) -> str:
    """A value of Couler's without the quotes that it put around it."""
    text = couler_output_text(value) or str(value)
    match = _QUOTED.match(text)
    return (match[1] or match[2]) if match else text


def repair_outputs(template: dict[str, Any]) -> None:
    """Put right, in place, what Couler declares of a template's outputs, and of a Kubernetes resource."""
    outputs = template.get("outputs", {})
    for port in (*outputs.get("parameters", ()), *outputs.get("artifacts", ())):
        # Declared as `global-NAME`, and referred to as `NAME`.
        if port.get("globalName") == f"global-{port['name']}":
            port["globalName"] = port["name"]
        for key in ("jsonPath", "jqFilter"):
            if key in port.get("valueFrom", {}):
                port["valueFrom"][key] = port["valueFrom"][key].strip('"')
    resource = template.get("resource", {})
    if "setOwnerReference" in resource:
        resource["setOwnerReference"] = str(resource["setOwnerReference"]).lower() == "true"


def script_of(source: Any, command: Any) -> str:
    """The script: what the function imports at the top of its file, then its body.

    A body that returns early, or calls itself, stays a function that the script calls.

    Raises:
        ComposeError: it is no function, the command is not Python's, or the script would miss something.
    """
    if not inspect.isfunction(source):
        raise ComposeError(
            f"{call_site()}: couler.run_script: {source!r} is no function and no text; it cannot be a script"
        )
    place, name = where(source), source.__name__
    program = command[0] if isinstance(command, list) and command else command or "python"
    if not str(program).rpartition("/")[2].lower().startswith("python"):
        raise ComposeError(
            f"{place}: {name}() is Python, and the command of couler.run_script is {program!r}; "
            "leave 'command' out, or give a text as 'source'"
        )
    if name == "<lambda>":
        raise ComposeError(
            f"{place}: a lambda has no text of its own; give couler.run_script a 'def' or a text"
        )
    if source.__code__.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        raise ComposeError(
            f"{place}: {name}() would only be made, and not run: a script has no 'yield' and no 'async def'; "
            "call what it does from a plain 'def'"
        )
    imports = _imports_of(source, place)
    text = _script_text(source)
    return "\n".join(imports) + "\n\n" + text.lstrip("\n") if imports else text


def _imports_of(source: FunctionType, place: str) -> list[str]:
    """The import statements at the top of its file that the function needs; raises for all else around it."""
    taken = list(inspect.signature(source).parameters)
    used = [n for n in _globals_of(source.__code__) if n in source.__globals__ and n != source.__name__]
    statements = {n: _import(source, n) for n in used}
    closed = [n for n in source.__code__.co_freevars if n != source.__name__]
    missing = [*closed, *(n for n, found in statements.items() if not found)]
    if taken or missing:
        what = f"takes {', '.join(taken)}" if taken else f"uses {', '.join(missing)} from around it"
        raise ComposeError(
            f"{place}: {source.__name__}() {what}, and its body alone becomes the script of "
            "couler.run_script; set and import in it what it needs"
        )
    lines = {line for found in statements.values() for line in found}
    return sorted(lines, key=lambda line: (line.startswith("from "), line))


def _globals_of(code: CodeType) -> list[str]:
    """The names that a function, and whatever is defined in it, looks for outside of itself."""
    loads = (i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    inner = (name for c in code.co_consts if isinstance(c, CodeType) for name in _globals_of(c))
    return list(dict.fromkeys([*loads, *inner]))


def _import(source: FunctionType, name: str) -> list[str]:
    """The statements that import this name from what an image may hold, where none of the user's files is."""
    linecache.checkcache(source.__code__.co_filename)
    try:
        top = ast.parse("".join(linecache.getlines(source.__code__.co_filename)))
    except SyntaxError:
        return []
    found = [
        ast.unparse(ast.Import([alias]) if isinstance(node, ast.Import) else _import_from(node, alias))
        for node in _at_the_top(top)
        for alias in node.names
        if (alias.asname or alias.name.partition(".")[0]) == name and _is_in_images(node, alias)
    ]
    is_it = isinstance(source.__globals__[name], ModuleType) or any(
        line.startswith("from ") for line in found
    )
    return found if is_it else []


def _import_from(node: ast.ImportFrom, alias: ast.alias) -> ast.ImportFrom:
    return ast.ImportFrom(node.module, [alias], 0)


def _at_the_top(tree: ast.AST) -> Iterator[Any]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node
        elif not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield from _at_the_top(node)


def _is_in_images(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> bool:
    if isinstance(node, ast.ImportFrom) and (node.level or not node.module):
        return False
    whole = alias.name if isinstance(node, ast.Import) else node.module or ""
    root = whole.partition(".")[0]
    if root in _ABSENT:
        return False
    file = getattr(sys.modules.get(root), "__file__", None) or ""
    return root in sys.stdlib_module_names or "-packages" in file


def _script_text(source: FunctionType) -> str:
    """The body as it is written; the whole function and a call of it, where the body alone would not do."""
    written = textwrap.dedent(inspect.getsource(source))
    try:
        tree = ast.parse(written)
    except SyntaxError:  # a text over several lines in it, whose lines begin further left
        written = _reindented(inspect.getsource(source))
        tree = ast.parse(written)
    function = next(node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))
    own = (*_globals_of(source.__code__), *source.__code__.co_freevars)
    if source.__name__ in own or any(_returns(node) for node in function.body):
        function.decorator_list = []
        lines = written.splitlines()[function.lineno - 1 :]
        return "\n".join(lines) + f"\n\n\n{source.__name__}()\n"
    return _body(source, function, written)


def _reindented(written: str) -> str:
    """The same with `if` above it, under which it may be indented; the lines of a text stay as they are."""
    return ast.unparse(ast.parse(f"if True:\n{written}").body[0].body[0]) + "\n"  # type: ignore[attr-defined]


def _returns(node: ast.AST) -> bool:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        return False
    return isinstance(node, ast.Return) or any(_returns(child) for child in ast.iter_child_nodes(node))


def _body(source: FunctionType, function: ast.FunctionDef, written: str) -> str:
    """The lines below the signature, with their comments; as Python writes them where none can be moved."""
    lines = written.splitlines(keepends=True)[function.body[0].lineno - 1 :]
    plain = ast.unparse(ast.Module(function.body, [])) + "\n"
    for text in (str(couler_body(source)), textwrap.dedent("".join(lines))):
        if _reads_as(text, plain):
            return text
    return plain


def _reads_as(text: str, plain: str) -> bool:
    try:
        return ast.unparse(ast.parse(text)) == plain.removesuffix("\n")
    except SyntaxError:
        return False


def _what_output(output: Output) -> str:
    words = str(output.value).split(".")
    return f"output '{words[-1]}' of '{words[1]}'" if len(words) > 1 else "an output"


def _refuse(output: Output, remedy: str) -> NoReturn:
    raise ComposeError(
        f"{call_site()}: {_what_output(output)} has no value while the pipeline is composed; {remedy}"
    )


def _bool(self: Output) -> bool:
    if is_user_code(sys._getframe(1)):
        _refuse(self, BRANCH)
    return True


def _eq(self: Output, other: Any) -> bool:
    if self is not other and is_user_code(sys._getframe(1)):
        _refuse(self, BRANCH)
    return self is other


def _ne(self: Output, other: Any) -> bool:
    if is_user_code(sys._getframe(1)):
        _refuse(self, BRANCH)
    return self is not other


def _str(self: Output) -> str:
    return _text(self, sys._getframe(1))


def _text(self: Output, frame: FrameType) -> str:
    if isinstance(self, OutputEmpty):
        raise ComposeError(f"{call_site()}: '{self.value.split('.')[1]}' has no output to put into a text")
    return text_for(frame, str(couler_output_text(self)), partial(_refuse, self))


def _format(self: Output, spec: str) -> str:
    if spec:
        refuse_format(spec, partial(_refuse, self))
    return _text(self, sys._getframe(1))


def _repr(self: Output) -> str:
    return f"<{_what_output(self)}{UNSEEN}"


_METHODS: dict[str, Callable[..., Any]] = {
    "__bool__": _bool,
    "__eq__": _eq,
    "__ne__": _ne,
    "__str__": _str,
    "__format__": _format,
    "__repr__": _repr,
}


class StepOutputs(list[Any]):
    """The result of a step of Couler's: its outputs, of which the first stands for the step."""

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __bool__(self) -> bool:
        if is_user_code(sys._getframe(1)):
            _refuse(self[0], BRANCH)
        return len(self) > 0

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list) and is_user_code(sys._getframe(1)):
            _refuse(self[0], BRANCH)
        return self is other

    def __ne__(self, other: object) -> bool:
        if not isinstance(other, list) and is_user_code(sys._getframe(1)):
            _refuse(self[0], BRANCH)
        return self is not other

    def __add__(self, other: Any) -> Any:
        return [*self, *self._listed(other)]

    def __radd__(self, other: Any) -> Any:
        return [*self._listed(other), *self]

    def _listed(self, other: Any) -> list[Any]:
        if not isinstance(other, list):
            _refuse(self[0], "compute it in a component; text is put together with f'...'")
        return other

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            _refuse(self[0], "take its outputs by their numbers, step[0]")
        return super().__getitem__(key)

    def __str__(self) -> str:
        return _text(self[0], sys._getframe(1))

    def __format__(self, spec: str) -> str:
        if spec:
            refuse_format(spec, partial(_refuse, self[0]))
        return _text(self[0], sys._getframe(1))


def _wrapped(maker: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    def outputs(*args: Any, **kwargs: Any) -> list[Any]:
        return StepOutputs(maker(*args, **kwargs))

    return outputs


@contextmanager
def careful_outputs() -> Iterator[None]:
    """Outputs of Couler's steps are careful inside of the block."""
    own = {name: vars(Output).get(name) for name in _METHODS}
    makers = {name: vars(run_templates)[name] for name in _MAKERS if name in vars(run_templates)}
    for name, method in _METHODS.items():
        setattr(Output, name, method)
    for name, maker in makers.items():
        setattr(run_templates, name, _wrapped(maker))
    try:
        yield
    finally:
        for name, method in own.items():
            _put_back(name, method)
        for name, maker in makers.items():
            setattr(run_templates, name, maker)


def _put_back(name: str, method: Any) -> None:
    if method is None:
        delattr(Output, name)
    else:
        setattr(Output, name, method)
