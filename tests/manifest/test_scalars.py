"""Plain scalars as Argo reads them."""

import math

import pytest

from argosy.manifest.scalars import as_text, is_text, key_text, resolve

BOOLEANS = ["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"]
BOOLEANS_FALSE = ["n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"]
NUMBERS = {
    "0": 0,
    "12": 12,
    "-3": -3,
    "+1": 1,
    "017": 15,
    "0755": 493,
    "0o17": 15,
    "0O17": 15,
    "0x1F": 31,
    "-0x1f": -31,
    "0b11": 3,
    "1_000": 1000,
    "1__0": 10,
    "18446744073709551615": 2**64 - 1,
    "18446744073709551616": 2**64,
    "08": 8,
    "09": 9,
    "1.5": 1.5,
    ".5": 0.5,
    "-.5": -0.5,
    "1.": 1,
    "1e3": 1000,
    "1.5e+3": 1500,
    "-1.5E-2": -0.015,
    "1_0.5": 10.5,
    "5400.0": 5400,
    "1e20": 10**20,
    "1e21": 1e21,
    "9" * 100: 1e100,
    ".inf": math.inf,
    "-.INF": -math.inf,
}
TEXTS = [
    *("tRue", "yEs", "nO", "nan", "inf", ".NaNs", "heads", "{{x}}", "10m", "1-2", "1.2.3"),
    *("2024-01-01", "2024-01-01T00:00:00Z", "12:30:45", "1:30"),
    *(
        "=",
        "-",
        "+",
        ".",
        "..",
        "0x",
        "0o8",
        "0b2",
        "0x1p4",
        "._5",
        ".5_0",
        "1e400",
        "1e",
        "e3",
        "_1",
        "0.5.",
    ),
]


@pytest.mark.parametrize("text", BOOLEANS + BOOLEANS_FALSE)
def test_a_word_is_a_boolean(text: str) -> None:
    assert resolve(text) is (text in BOOLEANS)


@pytest.mark.parametrize("text", NUMBERS)
def test_a_number_has_this_value(text: str) -> None:
    value = resolve(text)
    assert value == NUMBERS[text] and type(value) is type(NUMBERS[text])


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_stays_one(text: str) -> None:
    assert resolve(text) == text and is_text(text)


@pytest.mark.parametrize("text", ["", "~", "null", "Null", "NULL"])
def test_nothing_counts_as_not_set(text: str) -> None:
    assert resolve(text) is None and not is_text(text)


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_not_a_number(text: str) -> None:
    assert math.isnan(resolve(text))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (3.0, "3"),
        (1.5, "1.5"),
        ("x", "x"),
        (1e-05, "0.00001"),
        (1e20, "1" + "0" * 20),
        (1e22, "1" + "0" * 22),
        (2**53 + 1, str(2**53)),  # numbers pass through a float
    ],
)
def test_a_scalar_as_text(value: object, text: str) -> None:
    assert as_text(value) == text  # type: ignore[arg-type]


def test_a_key_as_text() -> None:
    assert [key_text(v) for v in (True, 16, 1.5, "x")] == ["true", "16", "1.5", "x"]
    with pytest.raises(ValueError, match="null"):
        key_text(None)
