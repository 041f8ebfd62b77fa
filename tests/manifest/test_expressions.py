"""Expressions: the engine's functions, its checks by type, and what users read where it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from argosy.manifest import types
from argosy.manifest.expressions import ExpressionError, check, evaluate, reads
from argosy.manifest.syntax import parse
from argosy.manifest.tags import render

VALUES = {
    "inputs.parameters.n": "3",
    "inputs.parameters.j": '{"a": [1, {"b": "c"}]}',
    "inputs.parameters.my-name": "dash",
    "workflow.name": "w",
    "item": "x",
    "item.k": "kv",
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("asInt(inputs.parameters.n) + 1", 4),
        ("inputs.parameters['my-name']", "dash"),
        ("item", {"k": "kv"}),
        ("inputs?.parameters?.q ?? 'z'", "z"),
        ("let a = 2; a * a", 4),
        ("if 1 < 2 { 'y' } else { 'n' }", "y"),
        ("1; 2", 2),
        ("1..3 | map(# * 2) | sum()", 12),
        ("reduce(1..4, #acc + #)", 10),
        ("sortBy([{n: 2}, {n: 1}], .n)", [{"n": 1}, {"n": 2}]),
        ("groupBy([1, 2, 3], # % 2)", {"1": [1, 3], "0": [2]}),
        ("findLast([1, 2], # < 2)", 1),
        ("median(3, 1, 2)", 2.0),
        ("flatten([[1], [2, [3]]])", [1, 2, 3]),
        ("duration('1h30m')", 5400 * 10**9),
        ("string(date('2024-01-31') + duration('24h'))", "2024-02-01 00:00:00 +0000 UTC"),
        ("date('2024-01-02').Month() == 1", True),
        ("jsonpath(inputs.parameters.j, '$..b')", ["c"]),
        ("9223372036854775807 + 1", -(2**63)),
        ("0b11 ** .5", 1.7320508075688772),
        ("sprig.default('d', inputs.parameters.nope)", "d"),
        ("sprig.semverCompare('>=1.2', '1.3.0')", True),
        ("sprig.snakecase('FooBar')", "foo_bar"),
        ("sprig.date('2006-01-02', sprig.toDate('02 Jan 06', '03 Feb 24'))", "2024-02-03"),
        ("sprig.regexReplaceAll('a(b)', 'ab', '${1}')", "b"),
        ("upper('ßé') + lower('İΣ')", "ßÉi\u03c3"),
        ("trim('\u2003a\u3000')", "a"),
        ("round(0.49999999999999994)", 0.0),
        ("[int(1e30), abs(-9223372036854775807 - 1)]", [-(2**63)] * 2),
        ('fromJSON(\'["\\\\ud800", "\\\\ud83d\\\\ude00"]\')', ["\ufffd", "\U0001f600"]),
        ("fromBase64('aG\\nk=')", "hi"),
        ("string(date('2024-01-02T03:04:05+02:00'))", "2024-01-02 03:04:05 +0200 +0200"),
        ("string(date('2024-01-02T13:34:05Z').Round(duration('1h')))", "2024-01-02 14:00:00 +0000 UTC"),
        ("string(duration('-90s').Truncate(duration('1m')))", "-1m0s"),
        ("sprig.title('o\\'neill foo-bar_x')", "O'Neill Foo-Bar_x"),
        ("sprig.wrapWith(5, '-', 'hello beautiful world')", "hello-beaut-iful-world"),
        ("sprig.slice([1, 2, 3], 1)", [2, 3]),
        ("sprig.regexReplaceAll('x*', 'axb', '-')", "-a-b-"),
        ("sprig.trunc(-2, 'aé') + sprig.trunc(2, 'abc')", "éab"),
        ("sprig.abbrevboth(5, 10, '1234 5678 9123')", "...5678..."),
        ("sprig.b64dec('!!')", "illegal base64 data at input byte 0"),
        ("sprig.durationRound('2h10m5s') + sprig.duration(95) + sprig.duration('95')", "2h0s1m35s"),
        ("sprig.osBase('/a/b') + sprig.mustToRawJson('<')", 'b"<"'),
        ("sprig.semverCompare('1.2 - 1.4', '1.4.3') && !sprig.semverCompare('>1.2', '1.2.5')", True),
        ("toJson({b: '<', a: 1.0})", '{"a":1,"b":"\\u003c"}'),
    ],
)
def test_an_expression_has_the_value_that_the_engine_gives_it(text: str, value: Any) -> None:
    assert evaluate(text, VALUES) == value


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("nope + 1", "character 1: there is no 'nope' here"),
        ("nope(1)", "there is no function 'nope'"),
        ("sprig.nope('x')", "there is no function sprig.nope"),
        ("sprig.env('HOME')", "for reasons of security"),
        ("inputs.parameters.my-name", "there is no 'name' here"),
        ("'a' + 1", "asInt(...) and asFloat(...) make numbers of texts"),
        ("'3' > 2", "> cannot be used with string and int"),
        ("asInt('2.5')", "int cannot read '2.5'"),
        ("1 = 1", "'=' cannot stand there; == compares"),
        ("upper(1)", "upper takes string, not int"),
        ("len(1, 2)", "len takes 1 arguments, not 2"),
        ("1 ?? 2 + 3", "cannot be mixed"),
        ("[1][2]", "there is no element 2 of 1"),
        ("'a' matches '('", "is no regular expression"),
        ("sprig.upper(1)", "sprig.upper takes a text, not '1' (int)"),
        ("fromJSON('x')", "'x' is no JSON"),
        ("# + 1", "only within filter"),
        ("fromJSON('1e999')", "is no JSON"),
        ("sum(['a', 'b'])", "+ cannot be used with 'a' (string) and '0' (int)"),
        ("'a' matches 'x{1001}'", "invalid repeat count"),
        ("sprig.substr(4, 2, 'hello')", "there are no bytes 4 to 2 of 5"),
        ("sprig.repeat(-1, 'a')", "cannot repeat"),
        ("sprig.chunk(0, [1])", "makes no pieces of 0"),
        ("sprig.htmlDate(9223372036854775807)", "it cannot be computed"),
        ("sprig.dig({a: 1}, 1, {a: 1})", "it cannot be computed"),
        ("now(inputs.parameters.n)", "now takes a time zone"),
        ("", "ends too early"),
        ("(" * 5000, "nested too deeply"),
    ],
)
def test_what_the_engine_refuses_is_refused_with_the_place_and_what_to_write(text: str, part: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(text, VALUES)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_types_are_known_before_the_values_are() -> None:
    assert check("asInt(inputs.parameters.n) > 2") == types.BOOL
    assert check("'a' + string(inputs.parameters.n)") == types.STRING
    with pytest.raises(ExpressionError, match="upper takes string, not int"):
        check("upper(len(inputs.parameters.n))")
    with pytest.raises(ExpressionError, match=r"there is no function sprig\.nope"):
        check("true || sprig.nope(1)")
    with pytest.raises(ExpressionError, match="there is no 'item' here"):
        check("item.k", {"inputs": types.MAP})


def test_the_names_that_an_expression_reads_are_told() -> None:
    text = "asInt(inputs.parameters.n) > 1 && tasks['a-b'].outputs.result != workflow?.name"
    assert reads(text) == {"inputs.parameters.n", "tasks.a-b.outputs.result", "workflow.name"}


READABLE = [
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
    "map(a, toJson({avg: sprig.add(#[0], #[1]) / 5}))",
    'sprig.trimPrefix("https://", x)',
    "s startsWith 'y' and t matches 'z'",
]
UNREADABLE = ["a +", "(a", "a b", "f(,)", "'x", "a == ", "a ? b", "[1,", "}{", "", "a..", "x = 1", "a &&& b"]


@pytest.mark.parametrize("text", READABLE)
def test_what_the_engine_reads_is_read(text: str) -> None:
    parse(text)


@pytest.mark.parametrize("text", UNREADABLE)
def test_what_the_engine_cannot_read_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse(text)


@pytest.mark.parametrize(
    ("pattern", "text", "holds"),
    [
        ("A(?i)bc", "ABC", True),
        ("A(?i)bc", "aBC", False),
        ("((?i)A)b", "aB", False),
        ("(?i)é", "É", True),
        (r"^\pL\p{Nd}\P{Lu}[^\p{L}]$", "é1a-", True),
        (r"\s|\w|\d|\bé", "\vé\u0661", False),
        ("^a{,3}$", "a{,3}", True),
        (r"^\x{1F600}$", "\U0001f600", True),
        ("^[[:^alpha:]]$", "1", True),
        ("^[]a&&[]+$", "]&[", True),
        ("(?m)^b$", "a\nb\nc", True),
        ("(?m:^b)$", "a\nb\n", False),
        (r"^\Qa.b\E$", "axb", False),
    ],
)
def test_a_regular_expression_is_read_as_go_reads_it(pattern: str, text: str, holds: bool) -> None:
    assert evaluate("item matches workflow.name", {"item": text, "workflow.name": pattern}) is holds


def test_a_day_of_the_week_is_a_number_to_json_and_a_name_to_text() -> None:
    day = evaluate("date('2024-01-02').Weekday()", {})
    assert (day, str(day)) == (2, "Tuesday")
    assert (
        render("{{=date('2024-01-02').Weekday()}} {{=string(date('2024-01-02').Month())}}", {}) == "2 January"
    )
