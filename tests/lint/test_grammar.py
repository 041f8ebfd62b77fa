"""The three little languages: what they take, what they refuse and how they say it."""

import pytest

from argosy.lint.grammar import Syntax, depends_references, parse

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
        "a == b/c",
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
    "expr": [
        "asInt(inputs.parameters.foo) + 10",
        "steps['a-b'].outputs.result == 'x' ? a.b : c.d",
        "a ? b : c ? d : e",
        'filter(data, {# endsWith "main.log"})',
        "filter([1, 2], { # > 1})",
        "map([1,2], # * 2)",
        "map(a, .b)",
        "jsonpath(x, '$.a[?(@.n==\"b\")].c')",
        "(now() - c.last).Seconds() > 30",
        "a ?? b",
        "a?.b?.c",
        "[1,2,3][0]",
        "x[1:]",
        "x[:2]",
        "{a: 1, 'b': 2}",
        "1..3",
        "not (a in b)",
        "a not in b",
        "let x = 1; x + 2",
        "a | f(1) | g()",
        "-1 ** 2",
        "{}",
        "[]",
        "a.in.b",
        "`raw`",
        "if a { b } else { c }",
        "1e3 + 0x1F",
        "a // remark\n + b",
        "a; b",
        "toJson({avg: sprig.add(#[0], #[1]) / 5})",
        'sprig.trimPrefix("https://", x)',
        "s startsWith 'y' and t matches 'z'",
    ],
}
INVALID = {
    "depends": ["A &&", "(A", "A B", "&& A", "A | B", "A..B", "", "A.Failed.B", "'A'"],
    "when": ["{{a}} ==", "(a == b", "== a", "a && ", "'abc", "a == b)", "a = b", ""],
    "expr": ["a +", "(a", "a b", "f(,)", "'x", "a == ", "a ? b", "[1,", "}{", "", "a..", "x = 1", "a &&& b"],
}


@pytest.mark.parametrize(("language", "source"), [(k, s) for k, v in VALID.items() for s in v])
def test_valid(language: str, source: str) -> None:
    parse(language, source)


@pytest.mark.parametrize(("language", "source"), [(k, s) for k, v in INVALID.items() for s in v])
def test_invalid(language: str, source: str) -> None:
    with pytest.raises(Syntax, match=r"ends too early|is unexpected after"):
        parse(language, source)


def test_a_message_shows_where() -> None:
    with pytest.raises(Syntax, match=r"'B' is unexpected after 'A'"):
        parse("depends", "A B")


def test_a_novel_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(Syntax, match="longer than"):
        parse("expr", "a + " * 10_000 + "a")


def test_deep_nesting_is_no_trouble() -> None:
    parse("expr", "(" * 5_000 + "a" + ")" * 5_000)


def test_references_are_found_as_argo_finds_them() -> None:
    assert depends_references("a && (b-c.Failed || !d.Any)") == (("a", ""), ("b-c", "Failed"), ("d", "Any"))
    assert depends_references("'5A' && x.failed") == (("5A", ""), ("x", ""), ("failed", ""))
