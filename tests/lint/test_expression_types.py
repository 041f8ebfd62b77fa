"""What the types of an expression tell before any value is known."""

from __future__ import annotations

import pytest

from argosy.lint import lint_manifest


def findings(expression: str) -> list[str]:
    template = {
        "name": "main",
        "container": {"image": "alpine:3", "command": ["echo", f"{{{{={expression}}}}}"]},
    }
    manifest = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "t-"},
        "spec": {"entrypoint": "main", "templates": [template]},
    }
    return [found.message for found in lint_manifest(manifest) if found.code == "ARG341"]


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("1 > 'a'", "cannot be evaluated: > cannot be used with int and string"),
        ("upper(len('x'))", "upper takes string, not int"),
        ("nope(1)", "there is no function 'nope'"),
        ("sprig.nope(1)", "there is no function sprig.nope"),
        ("1 +", "cannot be read: it ends too early"),
    ],
)
def test_an_expression_that_no_value_mends_is_an_error(expression: str, says: str) -> None:
    (message,) = findings(expression)
    assert says in message


@pytest.mark.parametrize("expression", ["asInt(workflow.parameters.n) > 1", "workflow.name ?? 'x'"])
def test_what_depends_on_values_is_left_to_the_run(expression: str) -> None:
    assert findings(expression) == []
