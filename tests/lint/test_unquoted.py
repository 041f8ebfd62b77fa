"""A number or a boolean in a text field is found in every field of the schema, and repaired by `--fix`."""

from collections.abc import Callable

import pytest
import yaml

from argosy.lint import lint_manifest
from argosy.lint.fix import fixed
from argosy.lint.schema import check, conformed, table
from argosy.manifest.reading import read
from argosy.manifest.tree import marked

SHAPES: dict[str, Callable[[object], object]] = {
    "s": lambda value: value,
    "[s": lambda value: [value],
    "{s": lambda value: {"key": value},
}
TYPES = table()["types"]
FIELDS = [(t, f, shape) for t, fields in TYPES.items() for f, shape in fields.items() if shape in SHAPES]
HEAD = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {generateName: x-}\nspec:\n"


def test_every_text_field_of_the_schema_minds_numbers_and_booleans() -> None:
    for kind, field, shape in FIELDS:
        for value in (5, 1.5, True, False):
            root = marked({field: SHAPES[shape](value)})
            found = [d for d in check(root, kind) if d.kind == "unquoted"]
            assert [d.path[0] for d in found] == [field], (kind, field)
            # Whoever looks later sees what was meant.
            assert not [d for d in check(root, kind) if d.kind == "unquoted"]


@pytest.mark.parametrize("word", ["y", "No", "on", "0o17", "08", "1_000", "1e3", "+1", ".5", "0x1F", "true"])
def test_a_word_that_argo_takes_for_no_text_is_named_as_it_is_written_and_quoted(word: str) -> None:
    text = (
        HEAD + f"  entrypoint: m\n  templates:\n  - {{name: m, container: {{image: a, args: [x, {word}]}}}}"
    )
    (finding,) = [v for v in lint_manifest(text) if v.is_error]
    assert (finding.code, finding.line, finding.path) == ("ARG010", 7, "spec.templates[0].container.args[1]")
    assert f"'{word}'" in finding.message and finding.hint == f'Write "{word}".'
    mended, count = fixed(read("x.yaml", text.encode()))
    assert count == 1 and mended == text.replace(f"x, {word}]", f'x, "{word}"]')


@pytest.mark.parametrize("word", ["12:30:45", "1:30", "2024-01-01", "0o8", "=", "~", "null"])
def test_a_word_that_other_readers_misread_is_left_alone(word: str) -> None:
    text = HEAD + f"  entrypoint: m\n  schedulerName: {word}\n  templates: [{{name: m, suspend: {{}}}}]\n"
    assert not [v for v in lint_manifest(text) if v.is_error]


@pytest.mark.parametrize(
    ("value", "wanted", "made"),
    [
        ({"env": [{"name": "N", "value": 5}]}, "Container", {"env": [{"name": "N", "value": "5"}]}),
        ({"activeDeadlineSeconds": 5400.0}, "WorkflowSpec", {"activeDeadlineSeconds": 5400}),
        ({"activeDeadlineSeconds": 0.2}, "WorkflowSpec", {"activeDeadlineSeconds": 1}),
        ({"activeDeadlineSeconds": 3600 * 1.1}, "WorkflowSpec", {"activeDeadlineSeconds": 3960}),
        ({"limit": 2.0}, "RetryStrategy", {"limit": 2}),
        ({"labels": {"a": True}}, "ObjectMeta", {"labels": {"a": "true"}}),
        ({"withItems": [1.0, 2.5]}, "DAGTask", {"withItems": [1.0, 2.5]}),
    ],
)
def test_what_python_says_loosely_becomes_what_argo_takes(value: object, wanted: str, made: object) -> None:
    assert yaml.safe_dump(conformed(value, wanted)) == yaml.safe_dump(made)
