"""The `input_shape` parameter."""

import pytest

from argosy.components.training.recipe import parse_input_shape
from argosy.errors import UsageError


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("1,3,224,224", (1, 3, 224, 224)),
        ("8, 3, 32, 64", (8, 3, 32, 64)),
        ("1,16", (1, 16)),
        ("1,1,28,28", (1, 1, 28, 28)),
        ("4,100,6", (4, 100, 6)),
        ("1,1,16,112,112", (1, 1, 16, 112, 112)),
    ],
)
def test_any_rank_from_two_up(text: str, sizes: tuple[int, ...]) -> None:
    shape = parse_input_shape(text)
    assert shape.sizes == sizes
    assert shape.sample == sizes[1:]
    assert parse_input_shape(str(shape)) == shape


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not whole numbers with commas between them, such as 1,3,224,224"),
        ("1,3,224,x", "is not whole numbers"),
        ("1,3,22.4,224", "is not whole numbers"),
        ("[1,3,224,224]", "is not whole numbers"),
        ("1,,3", "is not whole numbers"),
        ("224", "has 1 sizes; it must have 2 to 8"),
        ("1,2,3,4,5,6,7,8,9", "has 9 sizes; it must have 2 to 8"),
        ("0,3,224,224", "every size must be at least 1"),
        ("1,3,224,-224", "every size must be at least 1"),
        ("1,100000,100000", "at most 100000000 values"),
    ],
)
def test_invalid(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_input_shape(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"), [("1,3,224,224", (224, 224)), ("8,3,32,64", (32, 64)), ("1,3,16,4096", (16, 4096))]
)
def test_size_of_images(text: str, size: tuple[int, int]) -> None:
    assert parse_input_shape(text).image_size() == size


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3,224,224", "is not batch,3,height,width"),
        ("1,16", "is not batch,3,height,width"),
        ("1,3,224,224,1", "is not batch,3,height,width"),
        ("1,1,224,224", "the second size must be 3"),
        ("1,224,224,3", "the second size must be 3"),
        ("1,3,8,224", "must be 16 to 4096 pixels"),
        ("1,3,224,99999", "must be 16 to 4096 pixels"),
    ],
)
def test_what_is_no_image(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_input_shape(text).image_size()
    assert repr(text) in str(caught.value)
