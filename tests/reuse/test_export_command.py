"""`argosy export`."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from argosy import load_component, load_library
from argosy.cli.export import export
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


def test_mistakes_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown component 'trian'; did you mean 'train'"):
        run("kfp", "trian")
    with pytest.raises(UsageError, match=r"cannot write '.*'"):
        run("kfp", "train", "-o", tmp_path / "nowhere" / "train.yaml")
