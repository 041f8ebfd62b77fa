"""Tags in texts."""

from __future__ import annotations

import pytest

from argosy.errors import ArgosyError
from argosy.manifest.tags import render

VALUES = {"item": "x", "inputs.parameters.n": "3", "inputs.parameters.tag": "{{item}}", "i": "n"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a {{ item }} b", "a x b"),
        ("{{=asInt(inputs.parameters.n) * 2}}", "6"),
        ("{{=[1, 'a']}}", '[1,"a"]'),
        ("{{inputs.parameters.tag}}", "{{item}}"),
        ("{{inputs.parameters.{{i}}}}", "{{inputs.parameters.n}}"),
        ("x}}", "x}}"),
    ],
)
def test_a_value_stands_in_place_of_a_tag(text: str, value: str) -> None:
    assert render(text, VALUES) == value


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("{{nope}}", "cannot resolve {{nope}}"),
        ("a {{item", "add }}"),
        ("{{=nope ?? 'd'}}", "there is no 'nope' here"),
        ("{{=nil}}", "yields nothing; give another value with ??"),
        ("{{=toJson({a: {b: 1}})}}", "ends too early"),
    ],
)
def test_a_tag_that_stands_for_nothing_is_named(text: str, part: str) -> None:
    with pytest.raises(ArgosyError) as caught:
        render(text, VALUES)
    assert part in str(caught.value)
