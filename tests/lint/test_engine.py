"""Choosing rules, reading files and folders, and references across them."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from argosy.errors import UsageError
from argosy.lint import Options, Violation, lint_manifest, lint_paths
from benchmarks.linting import PEAK, chain

CALLER = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: x-}
spec:
  entrypoint: main
  templates:
  - name: main
    steps: [[{name: a, templateRef: {name: lib, template: say}}]]
"""
LIBRARY = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: lib}
spec:
  templates:
  - name: say
    inputs: {parameters: [{name: text}]}
    container: {image: "alpine:latest"}
"""


def codes(violations: list[Violation]) -> set[str]:
    return {v.code for v in violations}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "caller.yaml").write_text(CALLER)
    (tmp_path / "flows" / "lib.yml").write_text(LIBRARY)
    (tmp_path / "flows" / "notes.txt").write_text("{")
    (tmp_path / "flows" / "values.yaml").write_text("- a\n")
    return tmp_path


def test_references_are_resolved_over_all_files(folder: Path) -> None:
    found = lint_paths([folder], Options(select=("ARG2", "ARG3")))
    assert [(Path(v.file).name, v.code, v.line) for v in found] == [("caller.yaml", "ARG301", 8)]


def test_a_file_alone_is_not_blamed_for_what_it_was_not_given(folder: Path) -> None:
    found = lint_paths([folder / "flows" / "caller.yaml"])
    assert [(v.code, v.is_error) for v in found] == [("ARG204", False)]


def test_a_template_alone_is_not_blamed_for_the_others_it_refers_to(tmp_path: Path) -> None:
    alone = CALLER.replace("kind: Workflow", "kind: WorkflowTemplate").replace("generateName: x-", "name: x")
    file = tmp_path / "caller.yaml"
    file.write_text(alone)
    assert codes(lint_paths([file])) == {"ARG204"}
    (tmp_path / "other.yaml").write_text(LIBRARY.replace("name: lib", "name: other"))
    assert "ARG203" in codes(lint_paths([tmp_path]))
    (tmp_path / "other.yaml").write_text(LIBRARY.replace("kind: Work", "kind: ClusterWork"))
    assert codes(lint_paths([tmp_path])) & {"ARG203", "ARG204"} == {"ARG204"}


@pytest.mark.parametrize("name", ["a..b", "a" * 254, "A", "a-"])
def test_an_object_has_a_name_that_kubernetes_takes(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.yaml").write_text(LIBRARY.replace("name: lib", f"name: {name}"))
    assert "ARG105" in codes(lint_paths([tmp_path]))


def test_a_file_named_twice_is_linted_once(folder: Path) -> None:
    file = folder / "flows" / "lib.yml"
    assert len(lint_paths([file, folder / "flows" / ".." / "flows" / "lib.yml"])) == len(lint_paths([file]))


def test_foreign_files_of_a_folder_are_left_alone_but_not_if_they_are_named(folder: Path) -> None:
    assert "ARG002" not in codes(lint_paths([folder]))
    assert codes(lint_paths([folder / "flows" / "values.yaml"])) == {"ARG002"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Options(), {"ARG509", "ARG510"}),
        (Options(select=("ARG509",)), {"ARG509"}),
        (Options(select=("ARG5",), ignore=("ARG509",)), {"ARG510"}),
        (Options(ignore=("ARG5",)), set()),
    ],
)
def test_choosing_rules(folder: Path, options: Options, expected: set[str]) -> None:
    assert codes(lint_paths([folder / "flows" / "lib.yml"], options)) == expected


def test_strict_makes_errors_of_warnings(folder: Path) -> None:
    found = lint_paths([folder / "flows" / "lib.yml"], Options(strict=True))
    assert found and all(v.is_error for v in found)


def test_unknown_rules_and_files_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no rule 'ARG9'"):
        Options(select=("ARG9",))
    with pytest.raises(UsageError, match="there is no file or folder"):
        lint_paths([tmp_path / "nothing.yaml"])


def test_a_manifest_in_memory_as_dict_and_as_text() -> None:
    manifest = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": "x"},
        "spec": {},
    }
    (found,) = lint_manifest(manifest, source="pipeline")
    assert (found.file, found.code, found.path) == ("pipeline", "ARG201", "spec")
    assert codes(lint_manifest(CALLER + "---\n" + LIBRARY)) == {"ARG301", "ARG509", "ARG510"}


def test_findings_come_by_file_and_line(folder: Path) -> None:
    found = lint_paths([folder])
    assert [(v.file, v.line) for v in found] == sorted((v.file, v.line) for v in found)


def test_two_templates_of_one_name_prefer_the_nearer(tmp_path: Path) -> None:
    other = LIBRARY.replace("metadata: {name: lib}", "metadata: {name: lib, namespace: far}").replace(
        "say", "shout"
    )
    (tmp_path / "all.yaml").write_text(
        "---\n".join([other, CALLER, LIBRARY.replace("{name: text}", "{name: text, value: x}")])
    )
    assert not [v for v in lint_paths([tmp_path]) if v.is_error]


def test_a_thousand_nested_templates_are_no_trouble() -> None:
    templates = "".join(
        f"  - {{name: t{i}, steps: [[{{name: s, template: t{i + 1}}}]]}}\n" for i in range(1500)
    )
    text = (
        CALLER.split("  - name: main")[0].replace("main", "t0")
        + templates
        + "  - {name: t1500, suspend: {}}\n"
    )
    assert lint_manifest(text) == []


def test_a_thousand_tasks_take_less_than_200_megabytes(tmp_path: Path) -> None:
    (tmp_path / "chain.yaml").write_text(chain(1000))
    told = subprocess.run(
        [sys.executable, "-c", PEAK, "chain.yaml"], cwd=tmp_path, capture_output=True, check=True
    )
    assert int(told.stdout) < 200 * 1024


NESTED = """\
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: x-}
spec:
  entrypoint: main
  arguments: {parameters: [{name: env, value: dev}, {name: url-dev, value: "http://dev"}]}
  templates:
  - name: main
    inputs: {parameters: [{name: of-main, value: x}, {name: env, value: prod}]}
    steps: [[{name: a, template: say, withParam: '["dev"]',
      arguments: {parameters: [{name: text, value: ARGUMENT}]}}]]
  - name: say
    inputs: {parameters: [{name: text}]}
    container: {image: "alpine:3.20", env: [{name: A, value: ENV}]}
"""


@pytest.mark.parametrize(
    ("argument", "env", "unknown"),
    [
        ("{{workflow.parameters.url-{{inputs.parameters.nope}}}}", "", "inputs.parameters.nope"),
        ("{{workflow.parameters.url-{{workflow.parameters.nope}}}}", "", "workflow.parameters.nope"),
        ("{{inputs.parameters.{{steps.b.outputs.result}}}}", "", "steps.b.outputs.result"),
        ("", "{{workflow.parameters.url-{{inputs.parameters.nope}}}}", "inputs.parameters.nope"),
        (
            "",
            "{{workflow.parameters.mail-{{inputs.parameters.text}}}}",
            "workflow.parameters.mail-{{inputs.parameters.text}}",
        ),
        (
            "",
            "{{inputs.parameters.mail-{{inputs.parameters.text}}}}",
            "inputs.parameters.mail-{{inputs.parameters.text}}",
        ),
        # Refused by Argo, whatever the values: it asks with a placeholder, or the item's tag, in the name.
        (
            "",
            "{{workflow.parameters.url-{{inputs.parameters.text}}}}",
            "workflow.parameters.url-{{inputs.parameters.text}}",
        ),
        ("{{workflow.parameters.url-{{item}}}}", "", "workflow.parameters.url-{{item}}"),
        (
            "{{steps.{{inputs.parameters.of-main}}.outputs.result}}",
            "",
            "steps.x.outputs.result",
        ),
        # The entrypoint's inputs are the workflow's parameters, or its defaults.
        ("{{workflow.parameters.url-{{inputs.parameters.env}}}}", "", ""),
        (
            "{{workflow.parameters.url-{{inputs.parameters.of-main}}}}",
            "",
            "workflow.parameters.url-x",
        ),
        ("{{item.{{inputs.parameters.env}}}}", "", ""),
        ("{{item.{{item.key}}}}", "", ""),
        ("{{=workflow.parameters['url-' + inputs.parameters.env]}}", "", ""),
        (
            "{{item.{{workflow.parameters.env}}}}",
            "{{workflow.parameters.url-{{workflow.parameters.env}}}}",
            "",
        ),
        ("", "{{ helm {{inputs.parameters.text}} }}", ""),
    ],
)
def test_a_tag_within_a_tag_has_a_name_that_is_known(argument: str, env: str, unknown: str) -> None:
    manifest = yaml.safe_load(NESTED)
    main, say = manifest["spec"]["templates"]
    main["steps"][0][0]["arguments"]["parameters"][0]["value"] = argument
    say["container"]["env"][0]["value"] = env
    found = [v.message for v in lint_manifest(manifest) if v.code.startswith("ARG3")]
    assert len(found) == bool(unknown) and all(f"'{{{{{unknown}}}}}'" in message for message in found), found


FULL = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: x-}
spec:
  entrypoint: main
  arguments: {parameters: [{name: p, value: x}], artifacts: [{name: z, raw: {data: x}}]}
  volumes: [{name: v, emptyDir: {}}]
  templates:
  - name: main
    dag: {tasks: [{name: a, template: t, arguments: {parameters: [{name: i, value: x}]}}]}
  - name: steps
    steps: [[{name: a, template: t, arguments: {parameters: [{name: i, value: x}]}}]]
  - name: t
    inputs: {parameters: [{name: i}], artifacts: [{name: a, path: /x, raw: {data: x}}]}
    outputs: {parameters: [{name: o, valueFrom: {path: /o}}], artifacts: [{name: q, path: /q}]}
    metrics: {prometheus: [{name: m, help: h, counter: {value: "1"}}]}
    initContainers: [{name: ii, image: "alpine:3.20"}]
    sidecars: [{name: ss, image: "alpine:3.20"}]
    container:
      image: "alpine:3.20"
      command: [date]
      env: [{name: E, value: x}]
      volumeMounts: [{name: v, mountPath: /v}]
"""


def lists_in(node: Any) -> Iterator[list[Any]]:
    if isinstance(node, dict | list):
        yield from [node] if isinstance(node, list) else []
        for value in node if isinstance(node, list) else node.values():
            yield from lists_in(value)


def test_no_list_has_an_element_that_is_null() -> None:
    assert "ARG007" not in codes(lint_manifest(FULL))
    manifest = yaml.safe_load(FULL)
    for found in lists_in(manifest):
        found.append(None)
        assert [v.code for v in lint_manifest(manifest) if v.is_error] == ["ARG007"]
        found.pop()


INTEGERS = """
apiVersion: argoproj.io/v1alpha1
kind: CronWorkflow
metadata: {name: x}
spec:
  schedules: ["0 3 * * *"]
  failedJobsHistoryLimit: 2147483648
  startingDeadlineSeconds: 2147483648
  workflowSpec:
    entrypoint: main
    priority: 3000000000
    ttlStrategy: {secondsAfterCompletion: 2147483648, secondsAfterFailure: 2147483647}
    activeDeadlineSeconds: 99999999999999999999
    parallelism: 9223372036854775808
    templates:
    - name: main
      parallelism: 9223372036854775807
      activeDeadlineSeconds: 99999999999
      retryStrategy: {limit: 99999999999}
      inputs: {artifacts: [{name: a, path: /a, mode: 99999999999, git: {repo: "https://x", depth: -1}}]}
      container:
        image: "alpine:3.20"
        ports: [{containerPort: 99999999999}]
        securityContext: {runAsUser: 99999999999999999999, runAsGroup: 4294967296}
"""


def test_an_integer_that_does_not_fit_is_told_with_its_range() -> None:
    found = [v for v in lint_manifest(INTEGERS) if v.code == "ARG007"]
    assert [v.path.rpartition(".")[2] for v in found] == [
        "failedJobsHistoryLimit",
        "priority",
        "secondsAfterCompletion",
        "activeDeadlineSeconds",
        "parallelism",
        "activeDeadlineSeconds",
        "limit",
        "mode",
        "depth",
        "containerPort",
        "runAsUser",
    ]
    assert "'3000000000' is outside of -2147483648 to 2147483647" in found[1].message
