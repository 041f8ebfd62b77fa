"""Another model family on the same gates, export and deployment: only its train step is new."""

import couler.argo as couler
from train_tabular import train_tabular

from argosy import pipeline
from argosy.components.defaults import MLFLOW_TRACKING_URI
from argosy.components.parameters import Checks, Serving
from argosy.pipelines.deploy_model_image_classification import (
    archive_on_success,
    deploy,
    roll_back_on_failure,
)
from argosy.pipelines.train_model_image_classification import pass_gates

FEATURES, CLASSES = 30, 2


@pipeline(service_account="workflow-sa", timeout=3600)
def tabular_classifier(
    model_name: str = "mlp-breast-cancer",
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    epochs: int = 40,
    min_accuracy: float = 0.90,
    min_improvement: float = 0.005,
    serving: Serving = Serving(),  # noqa: B008 - a declaration, never changed
) -> None:
    """Train on rows of numbers, pass both gates, and serve.

    Args:
        model_name: Model name in the MLflow registry.
        mlflow_tracking_uri: MLflow server URL.
        epochs: Passes over the training rows.
        min_accuracy: Gate 1, least validation accuracy.
        min_improvement: Gate 1, least gain over the current champion.
    """
    candidate = train_tabular(model_name=model_name, mlflow_tracking_uri=mlflow_tracking_uri, epochs=epochs)
    validated = pass_gates(
        run_id=candidate.run_id,
        model_name=model_name,
        mlflow_tracking_uri=mlflow_tracking_uri,
        input_shape=f"1,{FEATURES}",
        min_accuracy=min_accuracy,
        min_improvement=min_improvement,
    )
    couler.when(
        couler.equal(validated.result, "passed"),
        lambda: deploy(
            model_name=f"{model_name}-onnx",
            source="",
            validated_version=validated.onnx_model_version,
            force_version=None,
            mlflow_tracking_uri=mlflow_tracking_uri,
            serving=serving,
            checks=Checks(expected_input_shape=[1, FEATURES], expected_output_shape=[1, CLASSES]),
        ),
    )
    roll_back_on_failure(
        model_name=f"{model_name}-onnx",
        mlflow_tracking_uri=mlflow_tracking_uri,
        serving=serving,
    )
    archive_on_success(
        model_name=f"{model_name}-onnx",
        mlflow_tracking_uri=mlflow_tracking_uri,
        serving=serving,
    )
