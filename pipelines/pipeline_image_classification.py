"""From images to a served model: training, then deployment if both gates passed. A Couler program."""

import couler.argo as couler

from argosy import pipeline
from argosy.components.parameters import Checks, Serving, Training
from argosy.pipelines.deploy_model_image_classification import LAPTOP as DEPLOY_LAPTOP
from argosy.pipelines.deploy_model_image_classification import (
    archive_on_success,
    deploy,
    roll_back_on_failure,
)
from argosy.pipelines.train_model_image_classification import LAPTOP as TRAIN_LAPTOP
from argosy.pipelines.train_model_image_classification import train_and_validate


@pipeline(service_account="workflow-sa", timeout=8 * 3600, local={**TRAIN_LAPTOP, **DEPLOY_LAPTOP})
def pipeline_image_classification(
    training: Training = Training(),  # noqa: B008 - a declaration, never changed
    source: str = "",
    force_version: int | None = None,
    serving: Serving = Serving(),  # noqa: B008
    checks: Checks = Checks(),  # noqa: B008
) -> None:
    """Train, pass both gates, and serve: the ONNX model's name is the model's with '-onnx'.

    Args:
        source: Which ONNX model version to deploy, alias:NAME or version:N; empty takes the validated one.
        force_version: Force a specific Triton version; empty takes the next.
    """
    validated = train_and_validate(training)
    model_name = f"{training.model_name}-onnx"
    couler.when(
        couler.equal(validated.result, "passed"),
        lambda: deploy(
            model_name=model_name,
            source=source,
            validated_version=validated.onnx_model_version,
            force_version=force_version,
            mlflow_tracking_uri=training.mlflow_tracking_uri,
            serving=serving,
            checks=checks,
        ),
    )
    roll_back_on_failure(
        model_name=model_name, mlflow_tracking_uri=training.mlflow_tracking_uri, serving=serving
    )
    archive_on_success(
        model_name=model_name, mlflow_tracking_uri=training.mlflow_tracking_uri, serving=serving
    )
