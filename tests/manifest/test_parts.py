"""The parts of a manifest, whatever its kind and however wrong it is."""

from typing import Any

import pytest

from argosy.manifest.parts import parameters_of, spec_of, templates_in, title_of, with_spec, with_templates

SPEC = {
    "arguments": {"parameters": [{"name": "a"}, {"value": "no name"}, "b"]},
    "templates": [{"name": "t"}, 1],
}
KINDS = [{"spec": SPEC}, {"spec": {"schedule": "* * * * *", "workflowSpec": SPEC}}]


@pytest.mark.parametrize("manifest", KINDS)
def test_of_a_workflow_and_of_a_cron_workflow(manifest: dict[str, Any]) -> None:
    assert spec_of(manifest) is SPEC
    assert parameters_of(manifest) == [{"name": "a"}]
    assert templates_in(manifest) == [{"name": "t"}]
    other = with_templates(manifest, [{"name": "u"}])
    assert templates_in(other) == [{"name": "u"}] and templates_in(manifest) == [{"name": "t"}]
    assert other["spec"].get("schedule") == manifest["spec"].get("schedule")
    assert spec_of(with_spec(manifest, {"x": 1})) == {"x": 1}


@pytest.mark.parametrize("spec", [None, 1, [], {"workflowSpec": 1}, {"arguments": [], "templates": {}}])
def test_what_is_wrong_counts_as_not_there(spec: Any) -> None:
    manifest = {"spec": spec}
    assert (parameters_of(manifest), templates_in(manifest)) == ([], [])
    assert spec_of(with_spec(manifest, {"x": 1})) == {"x": 1}


@pytest.mark.parametrize(
    ("metadata", "title"),
    [
        ({"name": "a"}, "a"),
        ({"generateName": "a-"}, "a"),
        ({}, "workflow"),
        (None, "workflow"),
        (1, "workflow"),
    ],
)
def test_its_title(metadata: Any, title: str) -> None:
    assert title_of({"metadata": metadata}) == title
