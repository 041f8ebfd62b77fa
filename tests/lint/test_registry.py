"""Rules register once, with a page."""

from collections.abc import Iterator

import pytest

from argosy.lint.registry import Found, rule, rules
from argosy.lint.subject import Subject


def test_codes_are_in_order_and_families_are_known() -> None:
    assert list(rules()) == sorted(rules())
    assert {code[:4] for code in rules()} == {f"ARG{n}" for n in range(8)}


def test_names_are_used_once() -> None:
    names = [r.name for r in rules().values()]
    assert len(names) == len(set(names))


def test_a_code_is_never_used_twice() -> None:
    def check(subject: Subject) -> Iterator[Found]:
        """What. Why: x Bad: y Good: z"""
        yield from ()

    with pytest.raises(ValueError, match="malformed or taken"):
        rule("ARG301", "again")(check)
    with pytest.raises(ValueError, match="malformed or taken"):
        rule("ARG99", "short")(check)


def test_a_rule_without_its_page_is_refused() -> None:
    def check(subject: Subject) -> Iterator[Found]:
        """What. Why: x"""
        yield from ()

    with pytest.raises(ValueError, match="lacks Bad:, Good:"):
        rule("ARG998", "bare")(check)
