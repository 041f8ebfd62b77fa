"""What a workflow takes from other objects is written into it."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from argosy.errors import ManifestError
from argosy.manifest.linking import link, main_of, with_values

LIBRARY = yaml.safe_load("""
kind: WorkflowTemplate
metadata: {name: lib}
spec:
  entrypoint: two
  arguments: {parameters: [{name: a, value: "1"}, {name: b, value: "2"}]}
  templates:
  - name: two
    steps: [[{name: s, template: say, hooks: {exit: {template: say}}}]]
  - {name: say, container: {image: x, command: [echo]}}
  - {name: unused, container: {image: x, command: [echo]}}
""")


def workflow(spec: str) -> dict[str, Any]:
    return {"kind": "Workflow", "metadata": {"generateName": "t-"}, "spec": yaml.safe_load(spec)}


CALLER = workflow("""
entrypoint: main
templates:
- name: main
  dag: {tasks: [{name: x, templateRef: {name: lib, template: two}}]}
""")


def test_a_template_ref_is_a_copy_with_the_templates_that_it_calls() -> None:
    templates = {template["name"]: template for template in link(CALLER, [LIBRARY])["spec"]["templates"]}
    assert set(templates) == {"main", "lib/two", "lib/say"}
    assert templates["main"]["dag"]["tasks"] == [{"name": "x", "template": "lib/two"}]
    step = templates["lib/two"]["steps"][0][0]
    assert (step["template"], step["hooks"]["exit"]["template"]) == ("lib/say", "lib/say")


def test_a_workflow_template_ref_is_what_it_names_with_the_workflows_own_arguments() -> None:
    own = workflow("{workflowTemplateRef: {name: lib}, arguments: {parameters: [{name: b, value: '9'}]}}")
    spec = link(own, [LIBRARY])["spec"]
    assert (spec["entrypoint"], len(spec["templates"]), "workflowTemplateRef" in spec) == ("two", 3, False)
    assert {item["name"]: item["value"] for item in spec["arguments"]["parameters"]} == {"a": "1", "b": "9"}


def test_a_manifest_without_references_stays_as_it_is() -> None:
    own = workflow("{entrypoint: main, templates: [{name: main, dag: {tasks: [{name: a, template: main}]}}]}")
    assert link(own, []) == own


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("lib", "libb", "no WorkflowTemplate 'libb' in the files given; did you mean 'lib'?"),
        ("two", "tow", "'lib' has no template 'tow'; did you mean 'two'?"),
    ],
)
def test_what_is_not_there_is_named_with_its_place(old: str, new: str, says: str) -> None:
    wrong = yaml.safe_load(yaml.safe_dump(CALLER).replace(old, new))
    with pytest.raises(ManifestError) as caught:
        link(wrong, [LIBRARY])
    assert "template 'main', 'x'" in str(caught.value)
    assert says in str(caught.value)


PARAMETER = """
arguments: {parameters: [{name: level, valueFrom: {configMapKeyRef: {name: settings, key: level} %s}}]}
"""


def held(name: str, key: str) -> str | None:
    return "debug" if (name, key) == ("settings", "level") else None


def test_a_parameter_of_a_config_map_has_the_value_there() -> None:
    filled = with_values(workflow(PARAMETER % ""), held, {})
    assert filled["spec"]["arguments"]["parameters"] == [{"name": "level", "value": "debug"}]


@pytest.mark.parametrize(
    ("default", "given", "parameter"),
    [(", default: info", {}, {"name": "level", "value": "info"}), ("", {"level": "x"}, {"name": "level"})],
)
def test_without_a_config_map_the_default_or_the_given_value_counts(
    default: str, given: dict[str, str], parameter: dict[str, str]
) -> None:
    filled = with_values(workflow(PARAMETER % default), lambda name, key: None, given)
    assert filled["spec"]["arguments"]["parameters"] == [parameter]


def test_a_parameter_that_nobody_has_is_named() -> None:
    with pytest.raises(ManifestError, match=r"'level' is the key 'level' of the ConfigMap 'settings'"):
        with_values(workflow(PARAMETER % ""), lambda name, key: None, {})


def test_the_workflow_of_a_file_is_what_runs() -> None:
    assert main_of([LIBRARY, CALLER], "f.yaml") is CALLER
    assert main_of([LIBRARY], "f.yaml") is LIBRARY
    with pytest.raises(ManifestError, match="holds 2 of kind Workflow"):
        main_of([CALLER, CALLER], "f.yaml")
    generated = [{"kind": "Workflow", "metadata": {"generateName": f"{n}-"}} for n in "ab"]
    with pytest.raises(ManifestError, match=r"\(generateName a-, generateName b-, one without a name\)"):
        main_of([*generated, {"kind": "Workflow"}], "f.yaml")
    with pytest.raises(ManifestError, match="holds ConfigMap; one workflow is wanted"):
        main_of([{"kind": "ConfigMap"}], "f.yaml")
