"""Libraries of templates: exported, read back, and called by `templateRef`."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import couler.argo as couler
import pytest

from argosy import Artifact, compile, load_library, pipeline, template_ref
from argosy.compose.compiler import Kind
from argosy.compose.settings import Settings
from argosy.errors import ComposeError, DeclarationError, UsageError
from argosy.manifest.emit import to_yaml
from argosy.reuse.library import Library, library_manifest
from tests.compose.test_compiled import STRICT_SCHEMA
from tests.reuse.builtin import ENTRIES


class Verdict(NamedTuple):
    """What another team's template says."""

    ok: Annotated[str, "isOk"]
    report: Artifact


@template_ref("other-team", "judge", cluster_scope=True)
def judge(run: Annotated[str, "runId"], strict: bool = False) -> Verdict:
    """Judge a run."""
    raise NotImplementedError


def tasks_of(program: Any) -> dict[str, dict[str, Any]]:
    manifest = compile(pipeline(name="p")(program))
    return {t["name"]: t for t in manifest["spec"]["templates"][0]["dag"]["tasks"]}


@pytest.fixture(scope="module")
def team() -> Library:
    """All of our components, exported and read back."""
    return load_library(to_yaml(library_manifest(list(ENTRIES.values()), "team")))


def test_a_library_has_one_template_a_component_and_is_valid(tmp_path: Path) -> None:
    manifest = library_manifest(list(ENTRIES.values()), "team", settings=Settings(namespace="ml"))
    assert [t["name"] for t in manifest["spec"]["templates"]] == list(ENTRIES)
    assert manifest["metadata"]["namespace"] == "ml"
    (tmp_path / "team.yaml").write_text(to_yaml(manifest))
    command = [sys.executable, "-c", STRICT_SCHEMA]
    done = subprocess.run(
        command, input=str(tmp_path / "team.yaml"), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_types_survive(team: Library) -> None:
    loaded = {c.interface.name: c.interface for c in team}
    assert list(loaded) == list(ENTRIES)
    for name, component in ENTRIES.items():
        ours, theirs = component.interface, loaded[name]
        assert [(p.name, p.type, p.default) for p in theirs.inputs] == [
            (p.name, p.type, p.default) for p in ours.inputs
        ]
        assert [(p.argo_name, p.type) for p in theirs.outputs] == [
            (p.argo_name, p.type) for p in ours.outputs
        ]
        assert theirs.summary == ours.summary


def test_calls_become_template_refs(team: Library) -> None:
    def program() -> None:
        trained = team.train(epochs=3)
        gate = team.promote(run_id=trained.run_id)
        couler.when(couler.equal(gate.result, "passed"), lambda: judge(run=trained.run_id))

    tasks = tasks_of(program)
    assert tasks["train"]["templateRef"] == {"name": "team", "template": "train"}
    assert "template" not in tasks["train"]
    assert tasks["train"]["arguments"]["parameters"] == [{"name": "epochs", "value": "3"}]
    assert tasks["promote"]["depends"] == "train"
    assert tasks["judge"]["templateRef"] == {"name": "other-team", "template": "judge", "clusterScope": True}
    assert tasks["judge"]["when"] == "{{tasks.promote.outputs.parameters.result}} == passed"
    assert tasks["judge"]["arguments"]["parameters"][0]["name"] == "runId"


def test_outputs_keep_the_names_of_their_owner(team: Library) -> None:
    def program() -> None:
        verdict = judge(run="r")
        team.promote(run_id=verdict.ok)
        team.prepare_artifacts(model=verdict.report, metadata=verdict.report, triton_version=1)

    tasks = tasks_of(program)
    value = tasks["promote"]["arguments"]["parameters"][0]["value"]
    assert value == "{{tasks.judge.outputs.parameters.isOk}}"
    assert tasks["prepare-artifacts"]["arguments"]["artifacts"][0]["from"].endswith("artifacts.report}}")


def test_no_template_of_the_library_is_copied(team: Library) -> None:
    def program() -> None:
        team.train()

    names = [t["name"] for t in compile(pipeline(name="p")(program))["spec"]["templates"]]
    assert names == ["main"]


def test_a_whole_pipeline_is_called_as_one_step(repository: Path) -> None:
    file = repository / "pipelines" / "compiled" / "train-model-image-classification.template.yaml"
    training = load_library(file)

    def program() -> None:
        training.main(epochs="2")

    tasks = tasks_of(program)
    assert list(tasks) == ["train-model-image-classification"]
    assert tasks["train-model-image-classification"]["templateRef"]["template"] == "main"


def test_mistakes_in_a_call_are_found_as_for_components_of_our_own(team: Library) -> None:
    with pytest.raises(
        ComposeError, match=r"promote\(\) got an undeclared input 'runid'; did you mean 'run_id'"
    ):
        tasks_of(lambda: team.promote(runid="x"))
    with pytest.raises(ComposeError, match="wants a whole number or empty, got 'many'"):
        tasks_of(lambda: team.train(epochs="many"))
    with pytest.raises(AttributeError, match="library 'team' has no component 'trian'; did you mean 'train'"):
        _ = team.trian


def test_a_template_elsewhere_has_no_container_of_ours() -> None:
    with pytest.raises(DeclarationError, match="its container belongs to 'other-team'"):
        judge.options(timeout=3)
    assert judge.options(name="again").interface.name == "again"
    with pytest.raises(UsageError, match="is template 'judge' of 'other-team', which a cluster runs"):
        judge(run="r")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: Workflow\n", "kind 'Workflow' is not one of WorkflowTemplate"),
        ("kind: WorkflowTemplate\nmetadata: {}\n", "has no metadata.name"),
        ("kind: WorkflowTemplate\nmetadata: {name: t}\nspec:\n  templates: [1]\n", ":4: an entry of"),
        (
            "kind: WorkflowTemplate\nmetadata: {name: t}\nspec:\n  templates: [{}]\n",
            ":4: a template has no name",
        ),
        (
            "kind: WorkflowTemplate\nmetadata: {name: T_}\nspec:\n  templates: [{name: a}]\n",
            "'T_' is not the name",
        ),
        (
            "kind: WorkflowTemplate\nmetadata: {name: t, annotations: {argosy.dev/interfaces: '1'}}\n",
            "not a mapping",
        ),
    ],
)
def test_what_is_no_library_is_refused(text: str, message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        load_library(text)
    assert message in str(caught.value)


def test_an_export_of_nothing_twice_or_of_references_is_refused(team: Library) -> None:
    with pytest.raises(UsageError, match="has no components"):
        library_manifest([], "team")
    with pytest.raises(UsageError, match="two components are called 'train'"):
        library_manifest([ENTRIES["train"], ENTRIES["train"]], "team")
    with pytest.raises(UsageError, match="train belongs to the library 'team'"):
        library_manifest([team.train], "other")


@pytest.mark.parametrize("kind", ["Workflow", "WorkflowTemplate"])
def test_yaml_is_deterministic(team: Library, kind: Kind) -> None:
    def program() -> None:
        team.train()

    made = pipeline(name="p")(program)
    assert to_yaml(compile(made, kind)) == to_yaml(compile(made, kind))


def test_a_library_s_values_are_read_as_argo_reads_them() -> None:
    library = load_library("""\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: team}
spec:
  templates:
  - name: fit
    inputs:
      parameters:
      - {name: at, value: 12:30:45}
      - {name: rate, value: 1e3}
      - {name: on-call, value: yes, enum: [yes, no]}
    container: {image: "fit:1"}
""")
    ports = {p.argo_name: p for p in library.fit.interface.inputs}
    assert [ports[name].default for name in ("at", "rate", "on-call")] == ["12:30:45", "1000", "true"]
    assert ports["on-call"].type.choices == ("true", "false")  # type: ignore[union-attr]
