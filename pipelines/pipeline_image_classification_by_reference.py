"""From images to a served model, through the WorkflowTemplates of both halves. A Couler program."""

import couler.argo as couler

from argosy import pipeline
from argosy.components.parameters import Checks, Serving, Training
from argosy.pipelines.deploy_model_image_classification import (
    archive_on_success,
    deploy_model_image_classification,
    roll_back_on_failure,
)
from argosy.pipelines.train_model_image_classification import train_model_image_classification


@pipeline(service_account="workflow-sa", timeout=8 * 3600)
def pipeline_image_classification_by_reference(
    training: Training = Training(),  # noqa: B008 - a declaration, never changed
    source: str = "",
    force_version: int | None = None,
    serving: Serving = Serving(),  # noqa: B008
    checks: Checks = Checks(),  # noqa: B008
) -> None:
    """As pipeline-image-classification, calling the templates of training and of deployment.

    Args:
        source: Which ONNX model version to deploy, alias:NAME or version:N; empty takes the validated one.
        force_version: Force a specific Triton version; empty takes the next.
    """
    validated = train_model_image_classification.by_reference(training)
    model_name = f"{training.model_name}-onnx"
    couler.when(
        couler.equal(validated.result, "passed"),
        lambda: deploy_model_image_classification.by_reference(
            model_name=model_name,
            source=source,
            validated_version=validated.onnx_model_version,
            force_version=force_version,
            mlflow_tracking_uri=training.mlflow_tracking_uri,
            serving=serving,
            checks=checks,
        ),
    )
    # Who calls a template gets its steps, and not the exit handler of its workflow.
    roll_back_on_failure(
        model_name=model_name, mlflow_tracking_uri=training.mlflow_tracking_uri, serving=serving
    )
    archive_on_success(
        model_name=model_name, mlflow_tracking_uri=training.mlflow_tracking_uri, serving=serving
    )
