"""From images to a served model, through the WorkflowTemplates of both halves. A Couler program."""

from typing import Any

import couler.argo as couler

from argosy import pipeline
from argosy.components.defaults import DATASET, MLFLOW_TRACKING_URI, MODEL_NAME, S3_BUCKET, TRITON_URL
from argosy.pipelines.deploy_model_image_classification import (
    deploy_model_image_classification,
    roll_back_on_failure,
)
from argosy.pipelines.train_model_image_classification import train_model_image_classification


@pipeline(service_account="workflow-sa", timeout=8 * 3600)
def pipeline_image_classification_by_reference(
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
    source: str = "",
    force_version: int | None = None,
    s3_bucket: str = S3_BUCKET,
    triton_url: str = TRITON_URL,
    triton_grpc_url: str = "",
    expected_input_shape: list[int] = [1, 3, 224, 224],  # noqa: B006 - a declaration, never changed
    expected_output_shape: list[int] = [1, 10],  # noqa: B006
    compare: bool = False,
    comparison_limits: dict[str, Any] = {},  # noqa: B006
    recorded_requests: str = "",
) -> None:
    """As pipeline-image-classification, calling the templates of training and of deployment.

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
        source: Which ONNX model version to deploy, alias:NAME or version:N; empty takes the validated one.
        force_version: Force a specific Triton version; empty takes the next.
        s3_bucket: S3 bucket of the Triton model repository.
        triton_url: Triton server URL.
        triton_grpc_url: Triton's gRPC address as host:port; empty loads over HTTP.
        expected_input_shape: Input shape of the verification.
        expected_output_shape: Output shape that the verification expects.
        compare: Gate 3, compare with the live version before anything changes; a worse one is not deployed.
        comparison_limits: Gate 3, other limits of its rules, as JSON.
        recorded_requests: Gate 3, an s3:// prefix of inference requests to send beside validation images.
    """
    validated = train_model_image_classification.by_reference(
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
    couler.when(
        couler.equal(validated.result, "passed"),
        lambda: deploy_model_image_classification.by_reference(
            model_name=f"{model_name}-onnx",
            source=source,
            validated_version=validated.onnx_model_version,
            force_version=force_version,
            mlflow_tracking_uri=mlflow_tracking_uri,
            s3_bucket=s3_bucket,
            triton_url=triton_url,
            triton_grpc_url=triton_grpc_url,
            expected_input_shape=expected_input_shape,
            expected_output_shape=expected_output_shape,
            compare=compare,
            comparison_limits=comparison_limits,
            recorded_requests=recorded_requests,
        ),
    )
    # Who calls a template gets its steps, and not the exit handler of its workflow.
    roll_back_on_failure(
        model_name=f"{model_name}-onnx",
        mlflow_tracking_uri=mlflow_tracking_uri,
        s3_bucket=s3_bucket,
        triton_url=triton_url,
        triton_grpc_url=triton_grpc_url,
    )
