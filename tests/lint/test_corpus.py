"""What Argo's validator takes passes, what it refuses is refused by the rule that should."""

import pytest

from argosy.lint import lint_manifest
from tests.lint.cases import FIXTURES, Case, corpus


@pytest.mark.parametrize("case", corpus(), ids=lambda c: c.name)
def test_a_case_has_exactly_its_errors(case: Case) -> None:
    errors = [v for v in lint_manifest(case.text) if v.is_error]
    assert {v.code for v in errors} == case.errors, [v.line_for_people() for v in errors]


def test_the_corpus_is_large_enough() -> None:
    assert len(corpus()) + len(list(FIXTURES.glob("*/*.yaml"))) >= 300


SHELL = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: x-}
spec:
  entrypoint: main
  templates:
  - name: main
    inputs: {parameters: [{name: given, value: hi}]}
    steps:
    - - {name: a, template: say, arguments: {parameters: [{name: text, value: hello}]}}
      - {name: b, template: say, arguments: {parameters: [{name: text, value: VALUE}]}}
  - name: say
    inputs: {parameters: [{name: text}]}
    container: {image: "alpine:3.20", command: [sh, -c], args: ["echo {{inputs.parameters.text}}"]}
"""


@pytest.mark.parametrize(("value", "found"), [("bye", False), ('"{{inputs.parameters.given}}"', True)])
def test_a_shell_s_text_is_minded_unless_every_call_gives_a_fixed_one(value: str, found: bool) -> None:
    assert ("ARG701" in {v.code for v in lint_manifest(SHELL.replace("VALUE", value))}) is found
    reusable = SHELL.replace("kind: Workflow", "kind: WorkflowTemplate").replace(
        "generateName: x-", "name: x"
    )
    assert "ARG701" in {v.code for v in lint_manifest(reusable.replace("VALUE", value))}
