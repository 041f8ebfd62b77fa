"""`depends` and `when` before any value is known: what they take, what they refuse and how they say it."""

import pytest

from argosy.manifest.conditions import ConditionError, check
from argosy.manifest.depends import read, references

READ = {"depends": read, "when": check}

VALID = {
    "depends": [
        "A",
        "A && B",
        "(A || B.Failed) && !C",
        "A.Succeeded",
        "fetch-it && (x.Failed||y.Errored)",
        "!A",
        "((A))",
    ],
    "when": [
        "{{steps.flip.outputs.result}} == heads",
        "true",
        "'{{x}}' == 'a b'",
        "{{a}} > 5 && ({{b}} == x || !({{c}} == z))",
        '"{{x}}" == "" ',
        "{{=a == 'b'}}",
        "{{x}} in ('a','b')",
        "{{x}} =~ '^a.*'",
        "{{x}}=={{y}}",
        "{{x}} - 1 > 3",
        "{{a}} {{op}} {{b}}",
        "{{x}} == 1.5",
        "-1 < {{x}}",
        "{{x}}=~'a|b'",
        "1==1",
        "{{x}} == 2020-01-01",
        "{{x}} == 's3://a/b'",
        '{{x}} == "b\\"c"',
        '{{= a == "}" }}',
        "{{x}} ? {{y}} : {{z}}",
        "!{{x}}",
        "{{x}} == a-b",
        "({{a}} == heads &&\n  {{b}} == tails)",
    ],
}
INVALID = {
    "depends": ["A &&", "(A", "A B", "&& A", "A | B", "A..B", "", "A.Failed.B", "'A'"],
    "when": ["{{a}} ==", "(a == b", "== a", "a && ", "'abc", "a == b)", "a = b", "", "a == b/c", "'false'"],
}


@pytest.mark.parametrize(("language", "source"), [(k, s) for k, v in VALID.items() for s in v])
def test_valid(language: str, source: str) -> None:
    READ[language](source)


@pytest.mark.parametrize(("language", "source"), [(k, s) for k, v in INVALID.items() for s in v])
def test_invalid(language: str, source: str) -> None:
    with pytest.raises(ConditionError) as caught:
        READ[language](source)
    assert caught.value.why and caught.value.why in str(caught.value)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("A B", "'B' is unexpected after 'A'"),
        ("A &&", "it ends too early"),
        ("A || ?", "'?' is unexpected after 'A ||'"),
    ],
)
def test_depends_shows_where(source: str, why: str) -> None:
    with pytest.raises(ConditionError) as caught:
        read(source)
    assert caught.value.why == why


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{a}} = x", "'=' is no operator"),
        ("{{a}} ==", "it ends where a value is wanted"),
        ("a b == {{c}}", "'b' cannot follow 'a'"),
        ("yes", "its value is 'yes'"),
        ("a < 1", "compares two numbers or two texts"),
    ],
)
def test_when_shows_what_is_wrong_with_its_tags_as_written(source: str, why: str) -> None:
    with pytest.raises(ConditionError) as caught:
        check(source)
    assert why in caught.value.why


def test_a_novel_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(ConditionError, match="longer than"):
        read("a && " * 10_000 + "a")


def test_deep_nesting_is_no_trouble() -> None:
    read("(" * 5_000 + "a" + ")" * 5_000)


def test_references_are_found_as_argo_finds_them() -> None:
    assert references("a && (b-c.Failed || !d.Any)") == (("a", ""), ("b-c", "Failed"), ("d", "Any"))
    assert references("'5A' && x.failed") == (("5A", ""), ("x", ""), ("failed", ""))
