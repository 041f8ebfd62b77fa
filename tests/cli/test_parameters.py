"""`-p` and `-f`: what a user gives, as text by name."""

import json
from pathlib import Path

import pytest

from argosy import pipeline
from argosy.cli.parameters import read_parameters
from argosy.compose.given import as_written, fitting
from argosy.errors import UsageError


def read(tmp_path: Path, text: str, *assignments: str) -> dict[str, str]:
    file = tmp_path / "values.yaml"
    file.write_text(text, encoding="utf-8")
    return read_parameters(assignments, file)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("# nothing\n", {}),
        ("a: 1\nb: 0.10\nc: yes\nd: 'x'\n", {"a": "1", "b": "0.10", "c": "yes", "d": "x"}),
        ("a: null\nb: ~\nc:\nd: ''\ne: 'null'\n", {"d": "", "e": "null"}),
        ("a: [1, 0.5, 1e-3, x, true, null]\n", {"a": '[1, 0.5, 0.001, "x", true, null]'}),
        ("a:\n- x: 1\n  y: [ä]\n", {"a": '[{"x": 1, "y": ["ä"]}]'}),
        ("a: {when: 2024-01-01}\n", {"a": '{"when": "2024-01-01"}'}),
        ("x: &x [1]\ny: *x\n", {"x": "[1]", "y": "[1]"}),
        ("text: |\n  two\n  lines\n", {"text": "two\nlines\n"}),
        ('{"a": 1, "b": {"c": [1.5]}, "d": null}', {"a": "1", "b": '{"c": [1.5]}'}),
    ],
)
def test_a_file_holds_what_yaml_and_json_say(tmp_path: Path, text: str, expected: dict[str, str]) -> None:
    assert read(tmp_path, text) == expected


TYPED = "on: yes\nwhole: 0o17\nold: 017\nshare: 1_0.5\nsmall: 1e-3\nword: yes\nquoted: 'yes'\n"


def test_without_quotes_a_declared_type_has_what_argo_reads(tmp_path: Path) -> None:
    @pipeline
    def typed(on: bool, whole: int, old: int, share: float, small: float, word: str, quoted: str) -> None:
        pass

    found = fitting(typed.interface, read(tmp_path, TYPED))
    assert found == {
        "on": "true",
        "whole": "15",
        "old": "15",
        "share": "10.5",
        "small": "0.001",
        "word": "yes",
        "quoted": "yes",
    }
    assert {type(value) for value in found.values()} == {str}


@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [
        ("flag", "True", "true"),
        ("flag", "FALSE", "false"),
        ("flag", " true ", "true"),
        ("whole", "007", "7"),
        ("whole", "1_000", "1000"),
        ("whole", "٣", "3"),
        ("whole", "+5", "5"),
        ("whole", "-12", "-12"),
        ("whole", "0", "0"),
        ("share", "0.50", "0.50"),
        ("share", "3", "3"),
        ("share", "1_0.5", "10.5"),
        ("share", ".5", "0.5"),
        ("share", "1e-5", "0.00001"),
        ("share", "2E+16", "20000000000000000.0"),
        ("maybe", "True", "true"),
        ("maybe", "", ""),
        ("word", "True", "True"),
        ("numbers", "[1, 2]", "[1, 2]"),
    ],
)
def test_a_number_and_a_boolean_are_spelt_as_a_condition_reads_them(
    name: str, given: str, meant: str
) -> None:
    @pipeline
    def flow(
        flag: bool, whole: int, share: float, maybe: bool | None, word: str, numbers: list[int]
    ) -> None: ...

    assert fitting(flow.interface, {name: given}) == {name: meant}


def test_quotes_make_a_text_and_so_no_boolean(tmp_path: Path) -> None:
    @pipeline
    def typed(on: bool) -> None:
        pass

    for written in ("'yes'", "maybe"):
        with pytest.raises(UsageError, match="parameter 'on': "):
            fitting(typed.interface, read(tmp_path, f"on: {written}\n"))


def test_where_nothing_is_declared_a_scalar_stays_as_it_is_written(tmp_path: Path) -> None:
    found = as_written(read(tmp_path, TYPED))
    assert list(found.values()) == ["yes", "0o17", "017", "1_0.5", "1e-3", "yes", "yes"]
    assert {type(value) for value in found.values()} == {str}


def test_a_file_of_json_gives_back_what_was_put_in(tmp_path: Path) -> None:
    value = {"rates": [1e-05, 3], "names": {"ö": ["{{x}}", "$(HOME)", "\U0001f600"]}}
    given = read(tmp_path, json.dumps({"all": value, "one": "\U0001f600"}))
    assert json.loads(given["all"]) == value and given["one"] == "\U0001f600"


def test_a_time_stays_a_text_and_a_key_is_as_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("a: {at: 12:30:45, of: 2024-01-01, 1: 0x10, true: 010, y: 1_0}\nb: [1:30, +1, .5]\n")
    assert read_parameters([], file) == {
        "a": '{"at": "12:30:45", "of": "2024-01-01", "1": 16, "true": 8, "y": 10}',
        "b": '["1:30", 1, 0.5]',
    }


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("a: [1\n", "values.yaml:2: not YAML: "),
        ("- a\n", "values.yaml:1: a mapping of parameter names"),
        ("a: 1\nb: 2\na: 3\n", "values.yaml:3: 'a' is given twice"),
        ("a: 1\n[b]: 2\n", "values.yaml:2: a parameter's name is a text"),
        ("a: 1\nb: [.nan]\n", "values.yaml:2: 'b' cannot be written as JSON: "),
        ("a: {b: !!binary aGk=}\n", "values.yaml:1: 'a' cannot be written as JSON: "),
        ("a: {b: 1,\n  b: 2}\n", "values.yaml:1: 'a' cannot be written as JSON: the key 'b' is there twice"),
        ("a: {[1]: 2}\n", "values.yaml:1: 'a' cannot be written as JSON: a key has to be a text"),
        ("a: [!own 1]\n", "values.yaml:1: 'a' cannot be written as JSON: "),
    ],
)
def test_a_file_that_is_none_of_parameters(tmp_path: Path, text: str, fragment: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, text)
    assert fragment in str(caught.value) and "\n" not in str(caught.value)


def test_a_word_goes_before_the_file(tmp_path: Path) -> None:
    assert read(tmp_path, "a: 1\nb: 2\n", "a=3") == {"a": "3", "b": "2"}
