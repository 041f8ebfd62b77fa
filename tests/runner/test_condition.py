"""`when`: what is true, what is false, what cannot be read."""

from __future__ import annotations

import pytest

from argosy.runner.condition import check_syntax, evaluate
from argosy.runner.errors import ConditionError


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("passed == passed", True),
        ("passed != passed", False),
        ("'two words' == \"two words\"", True),
        ("'it\\'s' == \"it's\"", True),
        ("'' == ''", True),
        ("1 == 1.0", True),
        ("0.95 >= 0.9", True),
        ("1e-6 < 1e-5", True),
        ("-1 < 0", True),
        ("10 > 9", True),
        ("'10' > '9'", False),  # text is ordered as text
        ("b > a", True),
        ("1 == '1'", False),  # as in govaluate, a number is not a string
        ("true", True),
        ("!true", False),
        ("!(a == b)", True),
        ("a == b || c == c && d != d", False),
        ("(a == a || b == c) && d == d", True),
        ("a == b || 1 < 2", True),
        ("'v1.2' =~ '^v[0-9]+'", True),
        ("'abc' !~ 'b'", False),
        ("a in (a, b)", True),
        ("'x' in ('a', 'b')", False),
        ("[odd-name] == 'odd-name'", True),
        ("2 * 3 == 7 - 1", True),
        ("infinite == infinite", True),  # begins with an operator's name
        ("truely == truely", True),
        ("größe == größe", True),
    ],
)
def test_condition_that_can_be_read(condition: str, expected: bool) -> None:
    assert evaluate(condition) is expected


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("", "cannot read"),
        (" == passed", "quote values"),
        ("passed == ", "cannot read"),
        ("'open == passed", "cannot read"),
        ("a b == c", "cannot read"),
        ("a.b == c", "cannot read"),
        ("{{tasks.a.status}} == Succeeded", "cannot read"),
        ("a = b", "cannot read"),
        ("stage-1 == stage", "needs a number, not 'stage'"),
        ("passed", "is not a condition"),
        ("3", "is not a condition"),
        ("a && b", "needs true or false"),
        ("!a", "needs true or false"),
        ("1 < a", "two numbers or two strings"),
        ("true > false", "two numbers or two strings"),
        ("a =~ '('", "not a regular expression"),
        ("1 / 0 == 1", "divides by zero"),
        ("__import__('os') == a", "cannot read"),
    ],
)
def test_condition_that_cannot_be_read(condition: str, says: str) -> None:
    with pytest.raises(ConditionError, match=says.replace("(", r"\(")):
        evaluate(condition)


@pytest.mark.parametrize(
    "condition",
    [
        "{{tasks.a.status}} == Succeeded",
        "'{{inputs.parameters.x}}' != ''",
        "1{{item}} > 3",
        "{{item.a}}{{item.b}} == x",
    ],
)
def test_condition_with_tags_has_good_syntax(condition: str) -> None:
    check_syntax(condition)


@pytest.mark.parametrize("condition", ["{{tasks.a.status}} = Succeeded", "{{item}} ==", "'{{item}} == x"])
def test_condition_with_tags_has_bad_syntax(condition: str) -> None:
    with pytest.raises(ConditionError):
        check_syntax(condition)
