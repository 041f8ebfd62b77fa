"""Names from elsewhere."""

import pytest

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
