"""Types as plain data, there and back."""

from typing import Any, Literal

import pytest

from argosy.reuse.typename import type_from_data, type_to_data
from argosy.step.values import ValueType


@pytest.mark.parametrize(
    ("hint", "data"),
    [
        (str, "str"),
        (int | None, "int | none"),
        (list[int], "list[int]"),
        (list, "list"),
        (dict, "dict"),
        (list[str] | None, "list[str] | none"),
        (Literal["a", "int"], {"choices": ["a", "int"]}),
        (Literal["a"] | None, {"choices": ["a"], "optional": True}),
    ],
)
def test_a_type_survives(hint: Any, data: Any) -> None:
    kind = ValueType.from_hint(hint)
    assert type_to_data(kind) == data
    assert type_from_data(data) == kind


@pytest.mark.parametrize(
    "data", ["", "text", "list[", "list[list]", "int[int]", "list[]", 3, None, [], {}, {"choices": [1]}]
)
def test_what_is_no_type_is_refused(data: Any) -> None:
    with pytest.raises(ValueError, match="is not a type"):
        type_from_data(data)
