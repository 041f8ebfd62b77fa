"""The four formats."""

import json

from argosy.lint.registry import Severity, Violation, render
from argosy.lint.report import as_json, github, sarif, text

ERROR = Violation(
    "a.yaml", 3, 5, "ARG301", "it is wrong", "Do this.", "spec.templates[0]", Severity.ERROR, "x"
)
WARNING = Violation("b,c.yaml", 1, 1, "ARG509", "50% done\nnow", "", ".", Severity.WARNING, "y")


def test_text_has_a_line_each_and_a_sum() -> None:
    assert text([ERROR, WARNING]).splitlines()[0] == "a.yaml:3:5: error ARG301 it is wrong. Do this."
    assert text([ERROR, WARNING]).splitlines()[-1] == "1 error, 1 warning"
    assert text([]) == ""


def test_json_is_a_list_of_objects() -> None:
    first = json.loads(as_json([ERROR]))[0]
    assert first["file"] == "a.yaml" and first["line"] == 3 and first["rule"] == "ARG301"
    assert first["path"] == "spec.templates[0]" and first["message"] == "it is wrong"
    assert first["severity"] == "error"
    assert json.loads(as_json([])) == []


def test_github_escapes_what_would_break_a_command() -> None:
    assert github([ERROR]) == "::error file=a.yaml,line=3,col=5,title=ARG301 x::it is wrong. Do this."
    assert github([WARNING]) == "::warning file=b%2Cc.yaml,line=1,col=1,title=ARG509 y::50%25 done%0Anow."


def test_sarif_holds_rules_and_places() -> None:
    run = json.loads(sarif([ERROR, WARNING]))["runs"][0]
    assert [r["id"] for r in run["tool"]["driver"]["rules"]] == ["ARG301", "ARG509"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "a.yaml" and place["region"] == {
        "startLine": 3,
        "startColumn": 5,
    }
    assert run["results"][1]["level"] == "warning"


def test_a_path_as_people_write_it() -> None:
    assert render(("spec", "templates", 0, "steps", 1, 2, "name")) == "spec.templates[0].steps[1][2].name"
    assert render(()) == "."
