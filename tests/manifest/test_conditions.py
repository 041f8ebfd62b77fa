"""`when`: what users see of it, beside the engine's own answers."""

from __future__ import annotations

import pytest

from argosy.manifest.conditions import ConditionError, check, evaluate


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("passed == passed", True),
        ("'a b' == \"a b\"", True),
        ("0.95 >= 0.9 && !(1 > 2)", True),
        ("1 in (1, 2)", True),
        ("() == ()", True),
        ("(true) whatever", True),
        ("'2024-01-01' < '2024-01-02'", True),
        ("'aXb' =~ '^a.b$'", True),
        ("false && 'text'", False),
        ("(1 == )", False),
        ("8 - 3 - 2 == 3", True),
        ("passed != passed", False),
        ("'it\\'s' == 'it\\'s'", True),
        ("'' == ''", True),
        ("-1 < 0", True),
        ("'10' > '9'", False),
        ("b > a", True),
        ("1 == '1'", False),
        ("!(a == b)", True),
        ("a == b || c == c && d != d", False),
        ("(a == a || b == c) && d == d", True),
        ("'abc' !~ 'b'", False),
        ("[odd-name] == 'odd-name'", True),
        ("2 * 3 == 7 - 1", True),
        ("1 / 0 == 1", False),
        ("infinite == infinite", True),
        ("truely == truely", True),
        ("größe == größe", True),
        ("2 ** 3 ** 2 == 64", True),
    ],
)
def test_a_condition_has_the_truth_that_the_engine_gives_it(text: str, truth: bool) -> None:
    assert evaluate(text) is truth


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("stage-1 == stage-1", "- needs a number, not 'stage'"),
        ("1e3 > 1", "'e3' cannot follow '1'"),
        ("0x \\ - 1 == 1", "is no hexadecimal number"),
        ("v1.2 == v1.2", "there is no object 'v1'; quote 'v1.2'"),
        ("!-1", "'!-' is no operator"),
        ("'open", "add '"),
        ("(1 == 1", "not balanced"),
        ("passed", "its value is 'passed'; compare it"),
        ("a == ", "ends where a value is wanted"),
        ("f(1)", "no function 'f'"),
        ("", "ends where a value is wanted"),
        (" == passed", "'==' cannot begin it"),
        ("a b == c", "'b' cannot follow 'a'"),
        ("{{tasks.a.status}} == Succeeded", "'{{' is no operator"),
        ("a = b", "'=' is no operator"),
        ("a && b", "&& needs true or false"),
        ("!a", "cannot follow '!'"),
        ("true > false", "compares two numbers or two texts"),
        ("a =~ '('", "'(' is no regular expression"),
        ("a =~ '(?=x)'", "is no regular expression"),
        ("1 > a", "compares two numbers or two texts"),
        ("x in (x)", "two or more values in parentheses"),
        ("(" * 5000 + "true" + ")" * 5000, "nested too deeply"),
    ],
)
def test_what_cannot_be_a_condition_is_refused_with_what_to_write(text: str, part: str) -> None:
    with pytest.raises(ConditionError) as caught:
        evaluate(text)
    assert part in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "{{tasks.a.status}} == Succeeded",
        "'{{inputs.parameters.x}}' != ''",
        "1{{item}} > 3",
        "{{item.a}}{{item.b}} == x",
        "{{=asInt(workflow.parameters.size) > 2}}",
    ],
)
def test_a_condition_with_tags_can_be_checked_before_their_values_are_known(source: str) -> None:
    check(source)


@pytest.mark.parametrize("source", ["{{tasks.a.status}} = Succeeded", "{{item}} ==", "'{{item}} == x"])
def test_a_condition_with_tags_that_no_value_makes_readable_is_refused(source: str) -> None:
    with pytest.raises(ConditionError):
        check(source)
