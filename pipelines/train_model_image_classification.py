"""Train, Gate 1, export to ONNX, Gate 2: a Couler program."""

from typing import Literal, NamedTuple

import couler.argo as couler

from argosy import pipeline
from argosy.components.parameters import Training
from argosy.components.training import export_to_onnx, promote, train, validate_onnx

# Whoever trains owns the checkpoints: a retried or resumed workflow goes on from its own.
OWNER = "{{workflow.uid}}"
# On one machine the embedded data set stands in: scans of 8x8 pixels gain nothing above 32.
LAPTOP = {"input_shape": "1,3,32,32", "epochs": "6"}


class Validated(NamedTuple):
    """The end of a training; the defaults stand where a gate stopped it.

    Attributes:
        result: passed: the model passed both gates.
        onnx_model_version: the version of the registered ONNX model.
    """

    result: Literal["passed", "failed"] = "failed"
    onnx_model_version: str = ""


def train_and_validate(training: Training) -> Validated:
    """The training steps; what follows them asks whether `result` is passed."""
    candidate = train(
        model_name=training.model_name,
        mlflow_tracking_uri=training.mlflow_tracking_uri,
        dataset=training.dataset,
        input_shape=training.input_shape,
        epochs=training.epochs,
        learning_rate=training.learning_rate,
        batch_size=training.batch_size,
        approach=training.approach,
        weights=training.weights,
        config=training.config,
        checkpoint=training.checkpoint,
        owner=OWNER,
    )
    return pass_gates(
        run_id=candidate.run_id,
        model_name=training.model_name,
        mlflow_tracking_uri=training.mlflow_tracking_uri,
        input_shape=training.input_shape,
        min_accuracy=training.min_accuracy,
        min_improvement=training.min_improvement,
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
def train_model_image_classification(training: Training) -> Validated:
    """Train ResNet18, promote it if it beats the champion, export it to ONNX and validate the export."""
    return train_and_validate(training)
