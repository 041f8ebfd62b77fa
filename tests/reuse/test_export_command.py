"""`argosy export`."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from argosy import load_component, load_library
from argosy.cli.export import export
from argosy.cli.main import main as argosy
from argosy.code.images.recipe import Pin, step_digest, write_pins
from argosy.compose.loader import load_manifest
from argosy.errors import UsageError


def run(*words: object) -> Result:
    return CliRunner().invoke(export, list(map(str, words)), catch_exceptions=False)


def test_kfp_writes_a_file_and_says_what_it_cannot_hold(tmp_path: Path) -> None:
    done = run("kfp", "train", "-o", tmp_path / "train.yaml")
    assert done.exit_code == 0
    left = "resources, node_selector, tolerations, volumes, retry, security_context"
    assert done.stderr == f"argosy: to be set on KFP's task: {left}\n"
    assert load_component(tmp_path / "train.yaml").interface.name == "train"


def test_library_takes_its_name_from_the_module() -> None:
    library = load_library(run("library", "argosy.components.training").stdout)
    assert library.name == "training"
    assert [c.interface.name for c in library] == [
        "export-onnx",
        "promote",
        "quantize-onnx",
        "train",
        "validate-onnx",
    ]
    assert load_library(run("library", "--name", "ours").stdout).name == "ours"


def test_a_cluster_wide_library_is_called_as_one() -> None:
    library = load_library(run("library", "--kind", "ClusterWorkflowTemplate").stdout)
    assert library.train.template_ref is not None
    assert library.train.template_ref.to_dict() == {
        "name": "argosy",
        "template": "train",
        "clusterScope": True,
    }


STEPS = """
from argosy import component

@component(image="python:3.11-slim")
def greet(who: str) -> str:
    return f"hello {who}"
"""
CALLER = """
apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata: {generateName: caller-}
spec:
  entrypoint: main
  templates:
  - name: main
    dag:
      tasks:
      - name: greet
        templateRef: {name: team, template: greet}
        arguments: {parameters: [{name: who, value: Ada}]}
"""


def module_of(project: Path) -> str:
    """A name that no other test's module has."""
    return f"team_steps_{abs(hash(project))}"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose steps' image does not hold their code, and a workflow by hand that calls one."""
    (tmp_path / f"{module_of(tmp_path)}.py").write_text(STEPS)
    (tmp_path / "caller.yaml").write_text(CALLER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARGOSY_STATE_DIR", str(tmp_path / ".argosy"))
    return tmp_path


def test_the_code_of_a_library_goes_beside_it_and_is_found_there(project: Path) -> None:
    words = ("library", f"{module_of(project)}.py", "--name", "team")
    done = run(*words)
    assert "the steps' code) goes with it: -o FILE writes it beside FILE" in done.stderr
    done = run(*words, "-o", "team.yaml")
    assert "team.code.yaml: written" in done.stderr
    template = load_manifest(project / "team.yaml")["spec"]["templates"][0]
    code = load_manifest(project / "team.code.yaml")
    assert template["volumes"][0]["configMap"]["name"] == code["metadata"]["name"]
    called = CliRunner().invoke(argosy, ["run", "caller.yaml", "-f", "team.yaml"])
    assert called.exit_code == 0, called.output
    assert "hello Ada" in called.output
    (project / "team.code.yaml").rename(project / "elsewhere.yaml")
    lost = CliRunner().invoke(argosy, ["run", "caller.yaml", "-f", "team.yaml"])
    assert lost.exit_code == 2
    assert "team.yaml: the code of its steps, ConfigMap 'argosy-code-" in lost.output
    given = CliRunner().invoke(argosy, ["run", "caller.yaml", "-f", "team.yaml", "-f", "elsewhere.yaml"])
    assert given.exit_code == 0, given.output


def test_a_library_whose_image_holds_the_code_has_none_beside_it(project: Path) -> None:
    words = ("library", f"{module_of(project)}.py", "-o", "team.yaml")
    run(*words)
    (project / "argosy.yaml").write_text("codeInImages: [python]\n")
    assert "team.code.yaml: removed" in run(*words).stderr
    assert not (project / "team.code.yaml").exists()


def test_kfp_says_that_the_image_has_to_hold_the_code(project: Path) -> None:
    words = ("kfp", "greet", "--module", f"{module_of(project)}.py")
    assert f"'python:3.11-slim' has to hold the module '{module_of(project)}'" in run(*words).stderr
    (project / "argosy.yaml").write_text("codeInImages: [python]\n")
    assert run(*words).stderr == ""


def test_exports_name_the_image_that_was_built(project: Path) -> None:
    built, step = f"registry.example/team@sha256:{'a' * 64}", f"{module_of(project)}:greet"
    pin = Pin(built, ("python:3.11-slim",), (), {step: step_digest(module_of(project), [str(project)])})
    write_pins(project / "argosy.images.yaml", [pin])
    file = f"{module_of(project)}.py"
    for words in (("library", file), ("kfp", "greet", "--module", file)):
        done = run(*words)
        assert f"image: {built}" in done.stdout and done.stderr == ""


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown component 'trian'; did you mean 'train'"):
        run("kfp", "trian")
    with pytest.raises(UsageError, match=r"cannot write '.*'"):
        run("kfp", "train", "-o", tmp_path / "nowhere" / "train.yaml")
