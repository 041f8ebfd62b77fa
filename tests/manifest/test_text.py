"""Tags: what is one, what is only text, and that values stay values."""

from __future__ import annotations

import pytest

from argosy.errors import ArgosyError
from argosy.manifest.tags import TagError, parse


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("plain", "plain"),
        ("{{item}}", "VALUE"),
        ("{{ item }}", "VALUE"),
        ("a{{item}}b{{item}}", "aVALUEbVALUE"),
        ("{{{item}}}", "{VALUE}"),
        ("{{ jinja }} {{ .Values.x }} {{item}}", "{{ jinja }} {{ .Values.x }} VALUE"),
        ("{{open {{item}}", "{{open VALUE"),
        ("{{item", "{{item"),
        ("{{inputs.parameters.{{item}}}}!", "INNER!"),
        ("{{=item + 's'}}", "VALUEs"),
        ("}}{{item}}{{", "}}VALUE{{"),
        ("", ""),
    ],
)
def test_rendering(source: str, expected: str) -> None:
    assert parse(source).render({"item": "VALUE", "inputs.parameters.VALUE": "INNER"}) == expected


def test_a_value_is_not_rendered_again() -> None:
    assert (
        parse("{{item}}").render({"item": "{{workflow.name}}", "workflow.name": "no"}) == "{{workflow.name}}"
    )


def test_an_unknown_tag_is_named() -> None:
    with pytest.raises(TagError, match=r"\{\{tasks\.a\.status\}\}"):
        parse("x {{tasks.a.status}}").render({})


def test_expressions_are_told_apart() -> None:
    assert [tag.expression for tag in parse("{{=1 + 1}} {{item}}").tags] == [True, False]


VALUES = {"item": "x", "inputs.parameters.n": "3", "inputs.parameters.tag": "{{item}}"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a {{ item }} b", "a x b"),
        ("{{=asInt(inputs.parameters.n) * 2}}", "6"),
        ("{{=[1, 'a']}}", '[1,"a"]'),
        ("{{inputs.parameters.tag}}", "{{item}}"),
        ("x}}", "x}}"),
    ],
)
def test_a_value_stands_in_place_of_a_tag(text: str, value: str) -> None:
    assert parse(text).render(VALUES) == value


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{{item.nope}}", "cannot resolve {{item.nope}}"),
        ("{{=nope ?? 'd'}}", "there is no 'nope' here"),
        ("{{=let a = 1; a}}", "there is no 'a' here"),
        ("{{=nil}}", "yields nothing; give another value with ??"),
        ("{{=toJson({a: {b: 1}})}}", "ends too early"),
    ],
)
def test_a_tag_that_stands_for_nothing_is_named(text: str, part: str) -> None:
    with pytest.raises(ArgosyError) as caught:
        parse(text).render(VALUES)
    assert part in str(caught.value)
