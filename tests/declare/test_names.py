"""Names from elsewhere."""

from collections.abc import Callable

import pytest

from argosy.declare import names
from argosy.declare.names import python_name, step_name


@pytest.mark.parametrize(
    ("name", "python"),
    [
        ("epochs", "epochs"),
        ("Input 1", "input_1"),
        ("Number-of.rows", "number_of_rows"),
        ("_x_", "x"),
        ("class", "class_"),
        ("2nd", "in_2nd"),
        ("é", "in"),
    ],
)
def test_python_names(name: str, python: str) -> None:
    assert python_name(name).rstrip("_") == python.rstrip("_")
    assert python_name(name).isidentifier()


@pytest.mark.parametrize(
    ("name", "step"),
    [("Train a model", "train-a-model"), ("--", "step"), ("x" * 80, "x" * 63), ("promote", "promote")],
)
def test_step_names(name: str, step: str) -> None:
    assert step_name(name) == step


@pytest.mark.parametrize(
    ("good", "taken", "refused"),
    [
        (
            names.is_object,
            ["a", "a.b", "1-a", "a" * 253],
            ["", "a..b", "a.-b", "a.", "-a", "A", "a_b", "a" * 254],
        ),
        (names.is_label, ["a", "1-a", "a" * 63], ["", "a.b", "-a", "a-", "A", "a" * 64, "a\n"]),
        (names.is_word, ["A", "a_b.c", "1", "a" * 63], ["", "_a", "a.", "a b", "é", "a" * 64]),
        (names.is_qualified, ["A", "a.b/C_d"], ["", "/a", "a..b/c", "A.b/c", "a/b/c", "a/", "a/" + "b" * 64]),
        (names.is_annotation, ["A", "Example.org/b_c"], ["/a", "a..b/c", "a/b/c"]),
        (names.is_data_key, ["a", ".a", "A_b-c"], ["", ".", "..", "..a", "a b", "a/b", "a" * 254]),
    ],
)
def test_names_that_kubernetes_takes(
    good: Callable[[str], bool], taken: list[str], refused: list[str]
) -> None:
    assert [good(name) for name in taken + refused] == [True] * len(taken) + [False] * len(refused)
