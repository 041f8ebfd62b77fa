"""Outputs of Couler's own steps: as careful as those of components."""

import builtins
from typing import Any

import couler.argo as couler
import pytest
from couler.core.templates.output import Output

from argosy import compile, pipeline
from argosy.errors import ComposeError
from tests.compose.test_values import TOOLS


def tasks_of(code: str) -> dict[str, dict[str, Any]]:
    """The tasks of a pipeline whose program does this with `x`, the result of a script."""

    def program() -> None:
        x = couler.run_script(image="python:3", source="print(1)", step_name="flip")
        exec(builtins.compile(code, "users_program.py", "exec"), {**TOOLS, "x": x})

    manifest = compile(pipeline(name="p")(program))
    return {t["name"]: t for t in manifest["spec"]["templates"][0]["dag"]["tasks"]}


@pytest.mark.parametrize(
    "code",
    [
        "if x: pass",
        "if x[0]: pass",
        "x or 'default'",
        "x == 'heads'",
        "x[0] == 'heads'",
        "x[0] != 'heads'",
        "'heads' in x",
        "x[0] in ('heads', 'tails')",
        "x[0] < 'tails'",
        "sorted([x[0], 'a'])",
        "len(x[0])",
        "x[0] + 'b'",
        "x + 'b'",
        "'b' + x",
        "x['result']",
        "int(x[0])",
        "f'{x[0]:>4}'",
        "show(f'{x[0]!r}')",
        "show(f'{[x]}')",
        "__import__('json').dumps(x)",
        "'-'.join(x)",
        "couler.run_container(image='i:1', command=['c'], args=[x, 'b'], step_name='c')",
    ],
)
def test_to_look_at_one_is_refused_on_the_users_line(code: str) -> None:
    with pytest.raises(ComposeError, match=r"^users_program\.py:1: [^\n]*$"):
        tasks_of(code)


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("show(x)", "{{tasks.flip.outputs.result}}"),
        ("show(f'a {x}')", "a {{tasks.flip.outputs.result}}"),
        ("show(f'a {x[0]}')", "a {{tasks.flip.outputs.result}}"),
        ("show(str(x[0]))", "{{tasks.flip.outputs.result}}"),
        ("named([x[0], 'b'])", "[{{=toJson(tasks['flip'].outputs.result)}}, \"b\"]"),
        ("configured({'a': x})", "{\"a\": {{=toJson(tasks['flip'].outputs.result)}}}"),
    ],
)
def test_it_may_be_handed_on(code: str, value: str) -> None:
    task = list(tasks_of(code).values())[-1]
    assert task["arguments"]["parameters"][0]["value"] == value
    assert task["depends"] == "flip"


def test_coulers_objects_are_as_they_were_afterwards() -> None:
    tasks_of("show(x)")
    assert not {"__bool__", "__eq__", "__str__"} & set(vars(Output))
    assert Output("a.b.c.d") != Output("a.b.c.d")
