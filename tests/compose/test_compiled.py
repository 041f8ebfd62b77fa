"""The compiled pipelines: committed, current, valid by Argo's own schema, and as SEED's tables say."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from argosy.compose.compiler import compile
from argosy.compose.loader import built_in_names, load_pipeline
from argosy.manifest.emit import to_yaml

TRAINING_IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/triton-training-tools:0.1.0"
DEPLOYMENT_IMAGE = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/mlops-deployment-tools:0.1.0"


def manifest(name: str, kind: Any = "Workflow") -> dict[str, Any]:
    return compile(load_pipeline(name), kind)


def templates(name: str) -> dict[str, dict[str, Any]]:
    return {t["name"]: t for t in manifest(name)["spec"]["templates"]}


def tasks(name: str) -> dict[str, dict[str, Any]]:
    return {t["name"]: t for t in templates(name)["main"]["dag"]["tasks"]}


def defaults(name: str) -> dict[str, str]:
    return {p["name"]: p["value"] for p in manifest(name)["spec"]["arguments"]["parameters"]}


def test_the_committed_yaml_is_what_the_pipelines_compile_to(repository: Path) -> None:
    command = [sys.executable, "-m", "argosy.cli.main", "compile", "--check"]
    done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_notices_a_difference(repository: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "argosy.cli.main", "compile", "-o", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    changed = tmp_path / "train-model-image-classification.yaml"
    changed.write_text(changed.read_text().replace("value: '0.9'", "value: '0.8'"))
    done = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "-      value: '0.8'" in done.stdout


@pytest.mark.parametrize("kind", ["Workflow", "WorkflowTemplate", "ClusterWorkflowTemplate"])
@pytest.mark.parametrize("name", built_in_names())
def test_yaml_is_deterministic_and_reads_back_as_compiled(name: str, kind: Any) -> None:
    text = to_yaml(manifest(name, kind))
    assert to_yaml(manifest(name, kind)) == text
    assert yaml.safe_load(text) == manifest(name, kind)


STRICT_SCHEMA = """
import sys, yaml
import hera.shared._pydantic as shared
shared.APIBaseModel.model_config.update(extra="forbid", populate_by_name=False)
models = __import__("hera.workflows.models", fromlist=["models"])
for line in sys.stdin.read().split():
    document = yaml.safe_load(open(line))
    getattr(models, document["kind"]).model_validate(document)
"""


def test_the_committed_yaml_is_valid_by_argos_schema(repository: Path) -> None:
    files = "\n".join(map(str, (repository / "pipelines" / "compiled").glob("*.yaml")))
    assert len(files.split()) == 2 * len(built_in_names())
    done = subprocess.run(
        [sys.executable, "-c", STRICT_SCHEMA], input=files, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_parameters_of_training_are_those_of_the_table() -> None:
    found = defaults("train-model-image-classification")
    assert {
        "model-name": "resnet18-imagenette",
        "mlflow-tracking-uri": "http://mlflow.ai-platform:80",
        "input-shape": "1,3,224,224",
        "epochs": "",
        "learning-rate": "",
        "batch-size": "",
    }.items() <= found.items()


def test_parameters_of_deployment_are_those_of_the_table() -> None:
    found = defaults("deploy-model-image-classification")
    assert {
        "model-name": "resnet18-imagenette-onnx",
        "source": "alias:deploy",
        "force-version": "",
        "mlflow-tracking-uri": "http://mlflow.ai-platform:80",
        "s3-bucket": "my-triton-models",
        "triton-url": "http://triton-inference.ml-models:8000",
        "expected-input-shape": "[1, 3, 224, 224]",
        "expected-output-shape": "[1, 10]",
    }.items() <= found.items()


@pytest.mark.parametrize(
    ("step", "cpu", "memory", "gpu"),
    [
        ("train", ("3", "4"), ("8Gi", "14Gi"), "1"),
        ("promote", ("250m", "500m"), ("512Mi", "1Gi"), None),
        ("export-onnx", ("1", "2"), ("2Gi", "4Gi"), None),
        ("validate-onnx", ("1", "2"), ("2Gi", "4Gi"), None),
    ],
)
def test_resources_of_training_are_those_of_the_table(
    step: str, cpu: tuple[str, str], memory: tuple[str, str], gpu: str | None
) -> None:
    container = templates("train-model-image-classification")[step]["container"]
    limits = {"cpu": cpu[1], "memory": memory[1], **({"nvidia.com/gpu": gpu} if gpu else {})}
    assert container["resources"] == {"requests": {"cpu": cpu[0], "memory": memory[0]}, "limits": limits}
    assert container["image"] == TRAINING_IMAGE


def test_training_runs_on_a_gpu_node_with_shared_memory() -> None:
    template = templates("train-model-image-classification")["train"]
    assert "gpu-training" in template["nodeSelector"].values()
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in template["tolerations"]
    assert template["container"]["volumeMounts"] == [{"name": "dshm", "mountPath": "/dev/shm"}]
    assert template["volumes"][0]["emptyDir"]["medium"] == "Memory"


def test_every_step_of_deployment_uses_the_deployment_image() -> None:
    found = templates("deploy-model-image-classification")
    assert {t["container"]["image"] for t in found.values() if "container" in t} == {DEPLOYMENT_IMAGE}


def test_the_gates_guard_what_follows_them() -> None:
    found = tasks("pipeline-image-classification")
    assert found["export-onnx"]["when"] == "{{tasks.promote.outputs.parameters.result}} == passed"
    assert found["validate-onnx"]["depends"] == "export-onnx.Succeeded"
    assert found["fetch-model"]["depends"] == "validate-onnx.Succeeded"
    assert found["fetch-model"]["when"] == "{{tasks.validate-onnx.outputs.parameters.result}} == passed"
    assert [n for n, t in found.items() if "when" in t] == [
        "export-onnx",
        "fetch-model",
        "compare-live",
        "withdraw-version",
    ]


def test_gate_3_is_off_by_default_and_guards_the_load() -> None:
    assert defaults("deploy-model-image-classification")["compare"] == "false"
    found = tasks("deploy-model-image-classification")
    assert found["compare-live"]["when"] == "{{inputs.parameters.compare}} == true"
    assert found["withdraw-version"]["when"] == "{{tasks.compare-live.outputs.parameters.result}} == failed"
    depends = found["reload-triton"]["depends"]
    assert "(compare-live.Succeeded || compare-live.Skipped)" in depends
    assert "(withdraw-version.Skipped || withdraw-version.Omitted)" in depends


def test_aliases_and_verification_run_side_by_side_after_the_load() -> None:
    found = tasks("deploy-model-image-classification")
    assert list(found) == [
        "fetch-model",
        "determine-version",
        "prepare-artifacts",
        "upload-to-s3",
        "compare-live",
        "withdraw-version",
        "reload-triton",
        "update-aliases",
        "verify-deployment",
    ]
    assert "upload-to-s3" in found["reload-triton"]["depends"]
    assert "reload-triton" in found["verify-deployment"]["depends"]
    assert "update-aliases" not in found["verify-deployment"]["depends"]
    assert "verify-deployment" not in found["update-aliases"]["depends"]


def test_identifiers_are_parameters_and_files_are_artifacts() -> None:
    found = templates("deploy-model-image-classification")
    assert [a["name"] for a in found["fetch-model"]["outputs"]["artifacts"]] == ["model", "metadata"]
    version = found["determine-version"]["outputs"]["parameters"][0]
    assert version == {"name": "triton-version", "valueFrom": {"path": "/tmp/outputs/triton_version.txt"}}
    assert "artifacts" not in found["determine-version"]["outputs"]


def test_by_reference_the_halves_are_called_as_templates() -> None:
    found = tasks("pipeline-image-classification-by-reference")
    train, deploy = found["train-model-image-classification"], found["deploy-model-image-classification"]
    assert train["templateRef"] == {"name": "train-model-image-classification", "template": "main"}
    assert deploy["when"] == "{{tasks.train-model-image-classification.outputs.parameters.result}} == passed"
    outputs = templates("train-model-image-classification")["main"]["outputs"]["parameters"]
    assert outputs[0]["valueFrom"]["default"] == "failed"


def test_a_pipeline_is_an_ordinary_couler_program() -> None:
    module = importlib.import_module("argosy.pipelines.train_model_image_classification")
    assert module.couler.__name__ == "couler.argo"


def test_pruning_is_a_cron_workflow_too() -> None:
    spec = manifest("prune-versions", "CronWorkflow")["spec"]
    assert (spec["schedules"], spec["concurrencyPolicy"]) == (["0 3 * * *"], "Forbid")
    assert spec["workflowSpec"]["entrypoint"] == "main"


def test_replicas_are_brought_to_what_is_live_on_a_schedule() -> None:
    spec = manifest("sync-triton", "CronWorkflow")["spec"]
    assert (spec["schedules"], spec["concurrencyPolicy"]) == (["*/5 * * * *"], "Forbid")


def test_the_committed_picture_is_of_the_pipeline(repository: Path, tmp_path: Path) -> None:
    file = tmp_path / "picture.svg"
    command = [sys.executable, "-m", "argosy.cli.main", "graph", "pipeline-image-classification"]
    subprocess.run([*command, "--format", "svg", "-o", str(file)], check=True, capture_output=True)
    assert file.read_text() == (repository / "docs" / "pipeline-image-classification.svg").read_text()


@pytest.mark.parametrize("name", built_in_names())
def test_every_step_meets_the_pod_security_standard_restricted(name: str) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/"""
    containers = [t["container"] for t in templates(name).values() if "container" in t]
    assert containers or name.endswith("by-reference")  # whose steps are another template's
    for container in containers:
        context = container["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["seccompProfile"]["type"] in ("RuntimeDefault", "Localhost")


@pytest.mark.parametrize(
    ("name", "step", "told_by"),
    [
        ("pipeline-image-classification", "fetch-model", "validate-onnx"),
        (
            "pipeline-image-classification-by-reference",
            "deploy-model-image-classification",
            "train-model-image-classification",
        ),
    ],
)
def test_a_combined_pipeline_deploys_the_version_that_it_validated(
    name: str, step: str, told_by: str
) -> None:
    """The alias deploy may have been moved by another workflow since; a source that is given still wins."""
    given = {p["name"]: p["value"] for p in tasks(name)[step]["arguments"]["parameters"]}
    assert given["validated-version"] == f"{{{{tasks.{told_by}.outputs.parameters.onnx-model-version}}}}"
    assert given["source"] == "{{inputs.parameters.source}}"
    assert defaults(name)["source"] == ""
    assert defaults("deploy-model-image-classification")["source"] == "alias:deploy"


def test_deployed_by_is_the_pods_name() -> None:
    (env,) = templates("deploy-model-image-classification")["prepare-artifacts"]["container"]["env"]
    assert env == {
        "name": "ARGOSY_POD_NAME",
        "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}},
    }
