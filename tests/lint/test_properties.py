"""Break a valid manifest in one place, and the finding is there; leave it, and there is none."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from argosy.lint import lint_manifest

SETTINGS = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
BOX = {"image": "alpine:3.20", "command": ["date"], "resources": {"requests": {"cpu": "10m"}}}


def errors(manifest: dict[str, Any]) -> set[str]:
    return {v.code for v in lint_manifest(manifest) if v.is_error}


def tasks(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = manifest["spec"]["templates"][0]["dag"]["tasks"]
    return found


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    """A DAG in which every task but the first depends on earlier ones and takes an output of one of them."""
    size = draw(st.integers(3, 12))
    listed: list[dict[str, Any]] = []
    for number in range(size):
        task: dict[str, Any] = {"name": f"task-{number}", "template": "work"}
        value = "start"
        if number:
            before = sorted(draw(st.sets(st.integers(0, number - 1), min_size=1, max_size=3)))
            task["depends"] = " && ".join(f"task-{b}" for b in before)
            value = f"{{{{tasks.task-{draw(st.sampled_from(before))}.outputs.parameters.out}}}}"
        task["arguments"] = {"parameters": [{"name": "in", "value": value}]}
        listed.append(task)
    work = {
        "name": "work",
        "inputs": {"parameters": [{"name": "in"}]},
        "outputs": {"parameters": [{"name": "out", "valueFrom": {"path": "/tmp/out"}}]},
        "container": BOX,
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "p-"},
        "spec": {
            "entrypoint": "main",
            "templates": [{"name": "main", "dag": {"tasks": draw(st.permutations(listed))}}, work],
        },
    }


def dependants(manifest: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [t for t in tasks(manifest) if name in t.get("depends", "").split(" && ")]


@SETTINGS
@given(manifests())
def test_a_valid_manifest_passes(manifest: dict[str, Any]) -> None:
    assert lint_manifest(manifest) == []


@SETTINGS
@given(manifests(), st.data())
def test_a_dropped_task_is_missed(manifest: dict[str, Any], data: st.DataObject) -> None:
    needed = [t["name"] for t in tasks(manifest) if dependants(manifest, t["name"])]
    dropped = data.draw(st.sampled_from(needed))
    tasks(manifest)[:] = [t for t in tasks(manifest) if t["name"] != dropped]
    assert "ARG402" in errors(manifest)


@SETTINGS
@given(manifests())
def test_a_renamed_output_is_missed(manifest: dict[str, Any]) -> None:
    manifest["spec"]["templates"][1]["outputs"]["parameters"][0]["name"] = "renamed"
    assert errors(manifest) == {"ARG332"}


@SETTINGS
@given(manifests(), st.data())
def test_a_broken_reference_is_found(manifest: dict[str, Any], data: st.DataObject) -> None:
    data.draw(st.sampled_from(tasks(manifest)))["template"] = "wrok"
    assert errors(manifest) == {"ARG202"}


@SETTINGS
@given(manifests(), st.data())
def test_a_cycle_is_found(manifest: dict[str, Any], data: st.DataObject) -> None:
    child = data.draw(st.sampled_from([t for t in tasks(manifest) if "depends" in t]))
    parent = next(t for t in tasks(manifest) if t["name"] == child["depends"].split(" && ")[0])
    parent["depends"] = " && ".join([*filter(None, [parent.get("depends")]), child["name"]])
    assert errors(manifest) == {"ARG403"}


@SETTINGS
@given(manifests(), st.data())
def test_a_lost_argument_is_found(manifest: dict[str, Any], data: st.DataObject) -> None:
    del data.draw(st.sampled_from(tasks(manifest)))["arguments"]
    assert errors(manifest) == {"ARG301"}


@SETTINGS
@given(manifests(), st.data())
def test_a_lost_dependency_is_found(manifest: dict[str, Any], data: st.DataObject) -> None:
    del data.draw(st.sampled_from([t for t in tasks(manifest) if "depends" in t]))["depends"]
    assert "ARG411" in errors(manifest)


@SETTINGS
@given(manifests(), st.data())
def test_a_doubled_name_is_found(manifest: dict[str, Any], data: st.DataObject) -> None:
    tasks(manifest).append(dict(data.draw(st.sampled_from(tasks(manifest)))))
    assert "ARG103" in errors(manifest)


@SETTINGS
@given(manifests(), st.text("abcdefghijklmnopqrstuvwxyz", min_size=8, max_size=12), st.data())
def test_an_unknown_field_is_found(manifest: dict[str, Any], field: str, data: st.DataObject) -> None:
    data.draw(st.sampled_from([*tasks(manifest), manifest["spec"], *manifest["spec"]["templates"]]))[
        "q" + field
    ] = 1
    assert errors(manifest) == {"ARG005"}
