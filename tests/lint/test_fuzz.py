"""Whatever it is given, the linter answers with findings: no traceback, no endless loop."""

import json
import random
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from argosy.lint import lint_manifest
from argosy.lint.engine import lint_sources
from argosy.lint.schema import table
from argosy.manifest.conditions import ConditionError, check
from argosy.manifest.depends import read as read_depends
from argosy.manifest.reading import read
from tests.lint.cases import FIXTURES, corpus

SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
FIELDS = sorted({field for fields in table()["types"].values() for field in fields})
ODD = [
    "{{",
    "}}",
    "{{=",
    "{{inputs.parameters.a}}",
    "{{tasks.a.status}}",
    "A && (B",
    "..",
    "@every",
    "",
    "a" * 99,
]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(ODD)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=12,
)
TEXTS = [c.text for c in corpus()]
OBJECTS = [
    d
    for file in sorted(FIXTURES.glob("*/*.yaml"))
    if file.parent.name not in ("ARG001", "ARG013")
    for d in yaml.load_all(file.read_text(encoding="utf-8"), yaml.CSafeLoader)
    if isinstance(d, dict)
]


@SETTINGS
@given(st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    for violation in lint_sources([read("x.yaml", data)]):
        assert violation.line >= 1 and violation.message


@SETTINGS
@given(st.text(max_size=300))
def test_any_text(text: str) -> None:
    lint_manifest(text)


@SETTINGS
@given(st.sampled_from(TEXTS), st.randoms(use_true_random=False))
def test_valid_text_with_holes_and_noise(text: str, randomness: random.Random) -> None:
    characters = list(text)
    for _ in range(randomness.randint(1, 6)):
        at = randomness.randrange(len(characters))
        characters[at : at + randomness.randint(0, 5)] = randomness.choice(
            ["", "{", "]", "\t", ": ", "\n", "&a ", "*a"]
        )
    lint_manifest("".join(characters))


def places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [path, *(p for key, child in children for p in places(child, (*path, key)))]


@SETTINGS
@given(st.sampled_from(OBJECTS), TREES, st.sampled_from(FIELDS), st.data())
def test_any_value_in_any_place(
    manifest: dict[str, Any], value: Any, field: str, data: st.DataObject
) -> None:
    changed = json.loads(json.dumps(manifest))
    path = data.draw(st.sampled_from(places(changed)[1:]))
    node = changed
    for part in path[:-1]:
        node = node[part]
    if data.draw(st.booleans()) and isinstance(node, dict):
        node[field] = value
    else:
        node[path[-1]] = value
    for violation in lint_manifest(changed):
        assert violation.message


@SETTINGS
@given(st.sampled_from(["depends", "when"]), st.text("ab.'\"(){}[]&|!=<> +-*/?:,;#`\n1", max_size=40))
def test_any_expression(language: str, source: str) -> None:
    try:
        {"depends": read_depends, "when": check}[language](source)
    except ConditionError as error:
        assert str(error)
