"""Train, Gate 1, export to ONNX, Gate 2: a Couler program."""

from typing import Any, Literal, NamedTuple

import couler.argo as couler

from argosy import pipeline
from argosy.components.defaults import DATASET, MLFLOW_TRACKING_URI, MODEL_NAME
from argosy.components.training import export_to_onnx, promote, train, validate_onnx

# Whoever trains owns the checkpoints: a retried or resumed workflow goes on from its own.
OWNER = "{{workflow.uid}}"
# On one machine the embedded data set stands in: scans of 8x8 pixels gain nothing above 32.
LAPTOP = {"input_shape": "1,3,32,32", "epochs": "6"}


class Validated(NamedTuple):
    """What training ends with; the defaults stand where a gate stopped it.

    Attributes:
        result: passed: the model passed both gates.
        onnx_model_version: the version of the registered ONNX model.
    """

    result: Literal["passed", "failed"] = "failed"
    onnx_model_version: str = ""


def train_and_validate(
    *,
    model_name: str,
    mlflow_tracking_uri: str,
    dataset: str,
    input_shape: str,
    epochs: int | None,
    learning_rate: float | None,
    batch_size: int | None,
    approach: str,
    weights: str,
    config: dict[str, Any],
    checkpoint: str,
    min_accuracy: float,
    min_improvement: float,
) -> Validated:
    """The training steps; what follows them asks whether `result` is passed."""
    candidate = train(
        model_name=model_name,
        mlflow_tracking_uri=mlflow_tracking_uri,
        dataset=dataset,
        input_shape=input_shape,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        approach=approach,
        weights=weights,
        config=config,
        checkpoint=checkpoint,
        owner=OWNER,
    )
    return pass_gates(
        run_id=candidate.run_id,
        model_name=model_name,
        mlflow_tracking_uri=mlflow_tracking_uri,
        input_shape=input_shape,
        min_accuracy=min_accuracy,
        min_improvement=min_improvement,
    )


def pass_gates(
    *,
    run_id: str,
    model_name: str,
    mlflow_tracking_uri: str,
    input_shape: str,
    min_accuracy: float,
    min_improvement: float,
) -> Validated:
    """Gate 1, export and Gate 2 for a run of any train step, of whatever family its model is."""
    gate_1 = promote(
        model_name=model_name,
        mlflow_tracking_uri=mlflow_tracking_uri,
        run_id=run_id,
        min_accuracy=min_accuracy,
        min_improvement=min_improvement,
    )
    validated = []

    def export_and_validate() -> None:
        export = export_to_onnx(
            model_name=model_name,
            mlflow_tracking_uri=mlflow_tracking_uri,
            model_version=gate_1.model_version,
            input_shape=input_shape,
        )
        gate_2 = validate_onnx(
            model_name=model_name,
            mlflow_tracking_uri=mlflow_tracking_uri,
            export_run_id=export.export_run_id,
        )
        validated.append(gate_2)

    couler.when(couler.equal(gate_1.result, "passed"), export_and_validate)
    (gate_2,) = validated
    return Validated(gate_2.result, gate_2.onnx_model_version)


@pipeline(service_account="workflow-sa", timeout=6 * 3600, local=LAPTOP)
def train_model_image_classification(
    model_name: str = MODEL_NAME,
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    dataset: str = DATASET,
    input_shape: str = "1,3,224,224",
    epochs: int | None = None,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    approach: str = "",
    weights: str = "",
    config: dict[str, Any] = {},  # noqa: B006 - a declaration, never changed
    checkpoint: str = "s3://my-checkpoints/training",
    min_accuracy: float = 0.90,
    min_improvement: float = 0.005,
) -> Validated:
    """Train ResNet18, promote it if it beats the champion, export it to ONNX and validate the export.

    Args:
        model_name: Model name in the MLflow registry.
        mlflow_tracking_uri: MLflow server URL.
        dataset: Image data set, an s3:// prefix or a folder with train/CLASS/ and val/CLASS/.
        input_shape: Input shape of training and ONNX export, as batch,channels,height,width.
        epochs: Override training epochs; empty takes config.yaml's.
        learning_rate: Override learning rate; empty takes config.yaml's.
        batch_size: Override batch size; empty takes config.yaml's.
        approach: baseline, feature_extraction or fine_tuning; empty takes config.yaml's.
        weights: none, imagenet, a file or s3://BUCKET/KEY; empty takes config.yaml's.
        config: Any keys of config.yaml with other values, as JSON.
        checkpoint: Folder or s3:// prefix from which a retried training goes on; empty keeps nothing.
        min_accuracy: Gate 1, least validation accuracy.
        min_improvement: Gate 1, least gain over the current champion.
    """
    return train_and_validate(
        model_name=model_name,
        mlflow_tracking_uri=mlflow_tracking_uri,
        dataset=dataset,
        input_shape=input_shape,
        epochs=epochs,
        learning_rate=learning_rate,
        batch_size=batch_size,
        approach=approach,
        weights=weights,
        config=config,
        checkpoint=checkpoint,
        min_accuracy=min_accuracy,
        min_improvement=min_improvement,
    )
