"""Manifests as text: what is written is what Argo reads."""

import math

import pytest

from argosy.errors import ManifestError
from argosy.manifest.emit import to_yaml
from argosy.manifest.reading import read
from argosy.manifest.tree import unmarked
from tests.manifest.test_scalars import BOOLEANS, BOOLEANS_FALSE, NUMBERS, TEXTS

WORDS = [
    *BOOLEANS,
    *BOOLEANS_FALSE,
    *NUMBERS,
    *TEXTS,
    "",
    "~",
    "null",
    ".NaN",
    "<<",
    "a: b",
    "# c",
    " x ",
    "é\n",
    "- a",
]


@pytest.mark.parametrize("word", WORDS)
def test_a_text_is_read_back_as_the_same_text(word: str) -> None:
    manifest = {"value": word, "list": [word], word: "key"}
    document = read("x.yaml", to_yaml(manifest).encode()).documents[0]
    assert unmarked(document.root) == manifest and not document.problems


def test_numbers_and_booleans_stay_bare() -> None:
    manifest = {"a": 1, "b": True, "c": 0.1, "d": 5400.0, "e": None}
    assert unmarked(read("x.yaml", to_yaml(manifest).encode()).documents[0].root) == manifest


@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_a_number_that_argo_cannot_read_is_refused(number: float) -> None:
    with pytest.raises(ManifestError, match="no number that Argo can read"):
        to_yaml({"a": [number]})


def test_odd_texts_are_written_in_their_style() -> None:
    """Blocks for lines, quotes for what Argo would read as something else, nothing for the rest."""
    written = to_yaml({"lines": "a\nb\n", "spaces": "a \nb", "n": "n", "d": "2024-01-01", "e": [], "f": {}})
    assert written == ("lines: |\n  a\n  b\nspaces: \"a \\nb\"\n'n': 'n'\nd: '2024-01-01'\ne: []\nf: {}\n")


def test_the_same_list_twice_is_written_twice() -> None:
    shared = [{"name": "x"}]
    assert to_yaml({"a": shared, "b": shared}) == "a:\n- name: x\nb:\n- name: x\n"
