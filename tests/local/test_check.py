"""What is refused before anything starts, and in which words."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from argosy.errors import ManifestError, UsageError
from argosy.lint.schema import table
from argosy.local.check import check
from argosy.local.fields import HEEDED, REFUSED
from tests.local.conftest import Run, manifest

GOOD = """
arguments: {parameters: [{name: size, value: small, enum: [small, large]}, {name: count}]}
templates:
- name: main
  dag:
    tasks:
    - {name: a, template: leaf, arguments: {parameters: [{name: x, value: "{{workflow.parameters.count}}"}]}}
    - name: b
      template: leaf
      depends: a
      arguments: {parameters: [{name: x, value: "{{tasks.a.outputs.parameters.y}}"}]}
- name: leaf
  inputs: {parameters: [{name: x}, {name: z, default: "1"}]}
  outputs: {parameters: [{name: y, valueFrom: {path: /tmp/y}}]}
  container: {image: x, command: [echo, "{{inputs.parameters.x}}"]}
"""


def test_a_good_manifest() -> None:
    plan = check(manifest(GOOD), {"count": "3"})
    assert plan.tasks == ("a", "b")
    assert plan.parameters == {"size": "small", "count": "3"}


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({}, "parameter 'count' has no value"),
        ({"count": "1", "siez": "large"}, "no parameter 'siez'; there are: .*; did you mean 'size'\\?"),
        ({"count": "1", "size": "huge"}, "parameter 'size' is 'huge'; one of small, large"),
    ],
)
def test_parameters(parameters: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check(manifest(GOOD), parameters)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("depends: a\n", "depends: a &&\n", "depends 'a &&' cannot be read: it ends too early"),
        ("depends: a\n", "depends: c\n", "'b' depends on 'c', which is not defined"),
        (
            "depends: a\n",
            "depends: a.Success\n",
            "'Success' is not a result of 'a'. Did you mean 'Succeeded'",
        ),
        ("depends: a\n", "continueOn: {}\n", "'b' uses 'a', but does not wait for it"),
        (
            "name: a, template: leaf,",
            "name: a, template: leaf, depends: b,",
            "depend on each other: a -> b -> a",
        ),
        ("name: a, template: leaf,", "name: a, template: lief,", "no template 'lief'; did you mean 'leaf'"),
        (
            "outputs.parameters.y",
            "outputs.parameters.yy",
            "has no value here. Did you mean 'outputs.parameters.y'",
        ),
        ("tasks.a.outputs", "tasks.q.outputs", "has no value here. There is no task 'q'"),
        (
            '{name: x, value: "{{work',
            '{name: xx, value: "{{work',
            "'a' does not supply parameter 'x' of 'leaf'",
        ),
        (
            "{{workflow.parameters.count}}",
            "{{workflow.parameters.cuont}}",
            "Did you mean 'workflow.parameters.count'",
        ),
        ("{{workflow.parameters.count}}", "{{=1 + 'a'}}", "cannot be used with int and string"),
        ("{{workflow.parameters.count}}", "{{item}}", None),
        ("{{workflow.parameters.count}}", "{{workflow.state}}", "is not known to this workflow"),
        ("{{inputs.parameters.x}}", "{{inputs.parameters.q}}", "is not an input of 'leaf'"),
        (
            "depends: a\n",
            "depends: a\n      when: '{{tasks.a.status}} = x'\n",
            "when '{{tasks.a.status}} = x' cannot be read",
        ),
        (
            "depends: a\n",
            "depends: a\n      withItems: [1]\n      withParam: '[]'\n",
            "'b' has withItems and withParam",
        ),
        ("depends: a\n", "depends: a\n      dependencies: [a]\n", "the dag uses 'depends', too"),
        ("depends: a\n", "depends: a\n      continueOn: {failed: true}\n", "continueOn in a dag that uses"),
        ("depends: a\n", "depends: a\n      wehn: x\n", "no field 'wehn'; did you mean 'when'"),
        ("name: b\n", "name: a\n", "'a' is there twice"),
        ("image: x, command", "image: x, commnd", "no field 'commnd'; did you mean 'command'"),
        ('command: [echo, "{{inputs.parameters.x}}"]', "args: [x]", "no command"),
        ("path: /tmp/y", "path: '/tmp/{{workflow.name}}'", "cannot hold tags"),
        ("container: {image", "timeout: soon\n  container: {image", "timeout 'soon' is no duration"),
    ],
)
def test_manifests_that_cannot_work(old: str, new: str, says: str | None) -> None:
    assert old in GOOD
    broken = manifest(GOOD.replace(old, new, 1))
    if says is None:
        check(broken, {"count": "1"})  # {{item}} without a loop is text
        return
    with pytest.raises(ManifestError, match=re.escape(says)):
        check(broken, {"count": "1"})


LEAF = "container: {image: x, command: ['true']}"
FETCHED = "inputs: {artifacts: [{name: x, path: /x, gcs: {key: k}}]}"
LOOKED_UP = "inputs: {parameters: [{name: x, valueFrom: {configMapKeyRef: {}}}]}"
CLAIMED = "volumes: [{name: v, hostPath: {path: /x}}]"
MOUNTS = "container: {command: [a], volumeMounts: [{name: v, mountPath: /v}]}"


@pytest.mark.parametrize(
    ("template", "feature"),
    [
        ("resource: {action: get}", "resource"),
        ("http: {method: GET}", "http"),
        ("plugin: {x: {}}", "plugin"),
        ("data: {source: {}}", "data"),
        (f"sidecars: [{{name: s}}], {LEAF}", "sidecars"),
        (f"initContainers: [{{name: s}}], {LEAF}", "initContainers"),
        (f"memoize: {{key: k}}, {LEAF}", "memoize"),
        (f"{LOOKED_UP}, {LEAF}", "valueFrom"),
        (f"{FETCHED}, {LEAF}", "fetched .gcs."),
        ("dag: {tasks: [{name: a, templateRef: {name: t, template: u}}]}", "templateRef"),
        (f"retryStrategy: {{expression: 'sprig.x()'}}, {LEAF}", "expression"),
        (f"{CLAIMED}, {MOUNTS}", "hostPath"),
    ],
)
def test_what_cannot_be_done_here_is_refused_by_name(
    run: Run, tmp_path: Path, template: str, feature: str
) -> None:
    with pytest.raises(ManifestError, match=rf"main.*{feature}|{feature}.*main"):
        run(f"templates: [{{name: main, {template}}}]")
    assert not (tmp_path / "run").exists()


def test_what_says_nothing_about_the_work_is_ignored(run: Run) -> None:
    result = run("""
serviceAccountName: s
ttlStrategy: {secondsAfterCompletion: 1}
podGC: {strategy: OnPodSuccess}
archiveLogs: true
securityContext: {runAsUser: 1}
templates:
- name: main
  nodeSelector: {gpu: "yes"}
  tolerations: [{key: k}]
  metadata: {labels: {a: b}}
  outputs: {artifacts: [{name: a, path: /tmp/a, archive: {none: {}}, s3: {key: k}}]}
  container:
    image: x
    imagePullPolicy: Always
    resources: {limits: {nvidia.com/gpu: "1"}}
    securityContext: {readOnlyRootFilesystem: true}
    command: [touch, /tmp/a]
- name: never-reached
  suspend: {}
""")
    assert result.succeeded


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"kind": "Pod"}, "kind 'Pod'"),
        ({"kind": "Workflow", "spec": {"templates": []}}, "no entrypoint"),
        ({"kind": "Workflow", "spec": {"entrypoint": "a", "templates": []}}, "no template 'a'"),
        ({"kind": "Workflow", "spec": None}, "a mapping is expected"),
        ({"kind": "Workflow", "spec": {"entrypoint": "a", "templates": {}}}, "a list is expected"),
        ([], "a mapping is expected"),
    ],
)
def test_documents_that_are_no_workflow(document: Any, says: str) -> None:
    with pytest.raises(ManifestError, match=says):
        check(document, {})


def test_other_kinds() -> None:
    spec = yaml.safe_load(GOOD) | {"entrypoint": "main"}
    template = {"kind": "WorkflowTemplate", "metadata": {"name": "t"}, "spec": spec}
    cron = {
        "kind": "CronWorkflow",
        "metadata": {"name": "t"},
        "spec": {"schedules": ["* * * * *"], "workflowSpec": spec},
    }
    assert check(template, {"count": "1"}).workflow.generate_name == "t-"
    assert check(cron, {"count": "1"}).tasks == ("a", "b")


def test_all_that_is_refused_is_a_field_of_argo() -> None:
    named = {kind: list(fields) for kind, fields in REFUSED.items()}
    named |= {kind: list(fields) for kind, (_, fields) in HEEDED.items()}
    for kind, fields in named.items():
        assert set(fields) <= table()["types"][kind.rpartition(".")[2]].keys()


def test_every_field_of_argo_was_looked_at() -> None:
    """A field that a newer Argo has says what a run would have to do, and until then it is to be refused."""
    fields = json.dumps(table()["types"], sort_keys=True).encode()
    assert hashlib.sha256(fields).hexdigest()[:16] == "15d4acbb83f14861", (
        "look for new fields: argosy/local/fields.py"
    )


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("podResources: {limits: {memory: 1Gi}}", "'podResources' cannot be run on one machine"),
        ("synchronization: {mutexes: [{name: m, database: true}]}", "there is no database here"),
        ("inputs: {artifacts: [{name: a, path: /a, from: x}]}", "put it into the arguments of the call"),
        (
            "inputs: {artifacts: [{name: a, path: /a, s3: {key: k, bucket: b, roleARN: r}}]}",
            "'roleARN' cannot",
        ),
        ("daemon: 'yes'", "template 'main'.daemon: true or false is expected, not 'yes'"),
        ("timeout: [1]", "template 'main'.timeout: [1] is not text"),
        ("affinity: {nodeAffinty: {}}", "template 'main'.affinity: no field 'nodeAffinty'; did you mean"),
    ],
)
def test_fields_that_a_run_cannot_heed(template: str, says: str) -> None:
    with pytest.raises(ManifestError, match=re.escape(says)):
        check(manifest(f"templates: [{{name: main, {template}, {LEAF}}}]"), {}, linted=True)
