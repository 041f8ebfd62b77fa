"""Plain scalars as Argo reads them."""

import math

import pytest

from argosy.lint.scalars import as_text, resolve

VALUES = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "true": True,
    "True": True,
    "yes": True,
    "on": True,
    "off": False,
    "NO": False,
    "y": "y",
    "tRue": "tRue",
    "0": 0,
    "12": 12,
    "-3": -3,
    "+4": 4,
    "0755": 493,
    "0o755": 493,
    "0x1F": 31,
    "0b101": 5,
    "1_000": 1000,
    "09": 9.0,
    "1.5": 1.5,
    ".5": 0.5,
    "1e3": 1000.0,
    "-1.5E-2": -0.015,
    "1.": 1.0,
    ".inf": math.inf,
    "-.inf": -math.inf,
    "1.2.3": "1.2.3",
    "10m": "10m",
    "2020-01-01": "2020-01-01",
    "-": "-",
    ".": ".",
    "1-2": "1-2",
    "0x": "0x",
    "9" * 100: "9" * 100,
    "heads": "heads",
    "{{x}}": "{{x}}",
}


@pytest.mark.parametrize("text", VALUES)
def test_a_plain_scalar_has_this_value(text: str) -> None:
    value = resolve(text)
    assert value == VALUES[text] and type(value) is type(VALUES[text])


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "true"), (False, "false"), (3, "3"), (3.0, "3"), (1.5, "1.5"), ("x", "x")],
)
def test_a_scalar_as_text(value: object, text: str) -> None:
    assert as_text(value) == text  # type: ignore[arg-type]
