"""The `input_shape` parameter."""

import pytest

from argosy.components.training.shape import parse_input_shape
from argosy.errors import UsageError


@pytest.mark.parametrize(
    ("text", "shape"),
    [("1,3,224,224", (1, 3, 224, 224)), ("8, 3, 32, 64", (8, 3, 32, 64)), ("1,3,16,4096", (1, 3, 16, 4096))],
)
def test_valid(text: str, shape: tuple[int, ...]) -> None:
    assert parse_input_shape(text) == shape


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not four whole numbers such as 1,3,224,224"),
        ("224", "is not four whole numbers"),
        ("3,224,224", "is not four whole numbers"),
        ("1,3,224,224,1", "is not four whole numbers"),
        ("1,3,224,x", "is not four whole numbers"),
        ("1,3,22.4,224", "is not four whole numbers"),
        ("[1,3,224,224]", "is not four whole numbers"),
        ("0,3,224,224", "the batch must be at least 1"),
        ("1,1,224,224", "the second number must be 3"),
        ("1,224,224,3", "the second number must be 3"),
        ("1,3,8,224", "must be 16 to 4096 pixels"),
        ("1,3,224,-224", "must be 16 to 4096 pixels"),
        ("1,3,224,99999", "must be 16 to 4096 pixels"),
    ],
)
def test_invalid(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_input_shape(text)
    assert repr(text) in str(caught.value)
