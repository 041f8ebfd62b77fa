"""The tables of docs/values.md: every use of a value that is not there yet, as they say."""

import builtins
import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import couler.argo as couler
import pytest

from argosy import File, compile, component, pipeline
from argosy.errors import ComposeError, DeclarationError
from argosy.lint import lint_manifest

DOC = (Path(__file__).parents[2] / "docs" / "values.md").read_text(encoding="utf-8")
_ROW = re.compile(r"^\| (`.*`) \| (.*) \|$", re.M)


def rows(title: str) -> list[str]:
    """The programs in the first column of a table."""
    section = DOC.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return ["\n".join(re.findall(r"`(.*?)`(?:<br>|$)", first)) for first, _ in _ROW.findall(section)]


MAY = rows("Where a value may go")
REFUSED = rows("Refused uses")


class Values(NamedTuple):
    """One of each type."""

    text: str
    number: int
    flag: bool
    numbers: list[int]
    note: str


class Named(NamedTuple):
    """Two in a NamedTuple."""

    number: int
    text: str


@dataclasses.dataclass
class Pair:
    """Two in a dataclass."""

    number: int
    text: str


@component(image="example/steps:1")
def make() -> Values:
    """Make one of each."""
    raise NotImplementedError


@component(image="example/steps:1")
def show(text: str) -> None:
    """Take text."""


@component(image="example/steps:1")
def sized(number: int) -> None:
    """Take a number."""


@component(image="example/steps:1")
def configured(config: dict[str, Any]) -> None:
    """Take a dict."""


@component(image="example/steps:1")
def counted(numbers: list[int]) -> None:
    """Take numbers."""


@component(image="example/steps:1")
def named(names: list[str]) -> None:
    """Take texts."""


@component(image="example/steps:1")
def listed(values: list) -> None:  # type: ignore[type-arg]
    """Take anything."""


def helper(value: Any) -> None:
    """No component: hands on what it gets."""
    show(value)


TOOLS = {
    "__name__": "users_program",
    "couler": couler,
    "show": show,
    "make": make,
    "sized": sized,
    "configured": configured,
    "counted": counted,
    "named": named,
    "listed": listed,
    "helper": helper,
    "Named": Named,
    "Pair": Pair,
}


def use(code: str, task: Any, **values: Any) -> None:
    exec(builtins.compile(code, "users_program.py", "exec"), {**TOOLS, "task": task, **values})


def of_parameters(code: str) -> Callable[..., None]:
    def program(text: str = "t", number: int = 1, flag: bool = True, numbers: list[int] = [1]) -> None:  # noqa: B006
        use(code, make(), text=text, number=number, flag=flag, numbers=numbers)

    return program


def of_outputs(code: str) -> Callable[..., None]:
    def program() -> None:
        made = make()
        use(code, made, text=made.text, number=made.number, flag=made.flag, numbers=made.numbers)

    return program


def of_items(code: str) -> Callable[..., None]:
    def program(numbers: list[int] = [1]) -> None:  # noqa: B006
        def body(item: Any) -> None:
            use(code, make(), text=item["text"], number=item["number"], flag=item["flag"], numbers=numbers)

        couler.map(
            body, [{"text": "a'\"", "number": 1, "flag": True}, {"text": "b", "number": 2, "flag": False}]
        )

    return program


SOURCES = [of_parameters, of_outputs, of_items]


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("code", MAY)
def test_what_may_be_done_compiles_to_a_valid_workflow(code: str, source: Callable[..., Any]) -> None:
    manifest = compile(pipeline(name="p")(source(code)))
    assert [v.message for v in lint_manifest(manifest) if v.is_error] == []
    assert "no value yet" not in str(manifest)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("code", REFUSED)
def test_anything_else_is_refused_on_the_users_line(code: str, source: Callable[..., Any]) -> None:
    with pytest.raises((ComposeError, DeclarationError)) as caught:
        compile(pipeline(name="p")(source(code)))
    message = str(caught.value)
    assert re.match(r"users_program\.py:\d: ", message), message
    assert "\n" not in message


@component(image="example/steps:1")
def write() -> File:
    """Make a file."""
    raise NotImplementedError


@pytest.mark.parametrize(
    "code",
    [
        'show(f"{file}")',
        'show(f"at {file}.")',
        'show("at " + str(file))',
        'configured({"a": f"{file}"})',
        'configured({"a": file})',
        'named([f"{file}", text])',
        'couler.map(lambda each: show(each), [f"{file}", "b"])',
        'couler.map(lambda each: show(each), [file, "b"])',
        'couler.map(lambda each: show(each[0]), [(f"{file}", "b")])',
        'couler.when(couler.equal(f"{file}", "a"), lambda: show("b"))',
        'couler.run_container(image="i:1", command=["c"], args=[file], step_name="c")',
        'couler.run_container(image="i:1", command=["c"], args=[f"{file}"], step_name="c")',
        'couler.run_container(image="i:1", command=["c"], env={"A": file}, step_name="c")',
        'couler.run_script(image="i:1", command="sh", source=f"cat {file}", step_name="c")',
    ],
)
def test_a_file_is_no_text(code: str) -> None:
    def program(text: str = "t") -> None:
        use(code, make(), text=text, file=write().result)

    with pytest.raises(ComposeError) as caught:
        compile(pipeline(name="p")(program))
    assert re.match(r"users_program\.py:1: .*\bfile\b", str(caught.value)), str(caught.value)


@pytest.mark.parametrize(
    "code",
    [
        'FORMAT = "[%40s]"\nshow(FORMAT % text)',
        'show(("[%40s]" " and more") % number)',
        'show("%(a)9s" % {"a": text})',
        'show("%40s" % f"{text}")',
        'show("{!s:>40}".format(text))',
        'show("{:>40}".format(str(text)))',
        'show("%*s" % (9, text))',
    ],
)
@pytest.mark.parametrize("source", SOURCES)
def test_a_width_is_not_that_of_the_tag(code: str, source: Callable[..., Any]) -> None:
    with pytest.raises(
        ComposeError, match=r"users_program\.py:\d: .* must be made of the value: compute it in"
    ):
        compile(pipeline(name="p")(source(code)))


def test_a_width_is_not_that_of_the_tag_of_a_step_of_coulers() -> None:
    def program() -> None:
        made = couler.run_script(image="python:3", source="print(1)", step_name="said")
        use('show("%40s" % made)', made, made=made)

    with pytest.raises(ComposeError, match=r"users_program\.py:1: .* the width in '%40s' must be made"):
        compile(pipeline(name="p")(program))


@pytest.mark.parametrize(
    ("code", "value"),
    [
        (
            'show("%s of %s" % (str(text), number))',
            "{{inputs.parameters.text}} of {{inputs.parameters.number}}",
        ),
        ('show("%d%% of %s" % (40, text))', "40% of {{inputs.parameters.text}}"),
        ('show(str(text).join(["a", "b"]))', "a{{inputs.parameters.text}}b"),
        ("show(str(str(text)))", "{{inputs.parameters.text}}"),
        ('show("a" if str(text) == f"{text}" else "b")', "a"),
        ('show({f"{text}": "a"}[f"{text}"])', "a"),
        ('show(__import__("copy").deepcopy(f"{text}"))', "{{inputs.parameters.text}}"),
        ('show(__import__("yaml").safe_dump([f"{text}"]))', "- '{{inputs.parameters.text}}'\n"),
        ('show(__import__("yaml").dump([f"{text}"]))', "- '{{inputs.parameters.text}}'\n"),
        ('show(str(__import__("pathlib").Path(str(text)) / "b"))', "{{inputs.parameters.text}}/b"),
        (
            'show(f"{{{{inputs.parameters.text}}}} {text}")',
            "{{inputs.parameters.text}} {{inputs.parameters.text}}",
        ),
    ],
)
def test_what_the_text_of_a_value_may_still_do(code: str, value: str) -> None:
    tasks = compile(pipeline(name="p")(of_parameters(code)))["spec"]["templates"][0]["dag"]["tasks"]
    assert tasks[-1]["arguments"]["parameters"] == [{"name": "text", "value": value}]


@pytest.mark.parametrize(
    "change", ['.replace("a", "b")', '.replace(".", "_")', '.replace("param", "")', '.replace("e", "")']
)
def test_a_text_that_python_has_changed_is_told(change: str) -> None:
    with pytest.raises(
        ComposeError, match=r"users_program\.py:1: .* Python has changed the text '\{\{inputs\."
    ):
        compile(pipeline(name="p")(of_parameters(f'show(f"on {{text}}"{change})')))


def test_the_tables_are_read() -> None:
    assert len(MAY) > 25
    assert len(REFUSED) > 50
    assert 'match text:\n    case "a": pass' in REFUSED
