"""Back to the version that was live before, or to a named one, in one command: a Couler program."""

from argosy import pipeline
from argosy.components.defaults import MLFLOW_TRACKING_URI, ONNX_MODEL_NAME, S3_BUCKET, TRITON_URL
from argosy.components.deployment import rollback


@pipeline(service_account="workflow-sa", timeout=1800)
def rollback_model(
    to: str = "previous",
    reason: str = "",
    model_name: str = ONNX_MODEL_NAME,
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    s3_bucket: str = S3_BUCKET,
    triton_url: str = TRITON_URL,
    triton_grpc_url: str = "",
) -> None:
    """Make an older version live: Triton serves it first, then the aliases move.

    Args:
        to: Where to go back to, previous or version:N of the MLflow registry.
        reason: Why, for the record.
        model_name: ONNX model name in MLflow and Triton.
        mlflow_tracking_uri: MLflow server URL.
        s3_bucket: S3 bucket of the Triton model repository.
        triton_url: Triton server URL.
        triton_grpc_url: Triton's gRPC address as host:port; empty loads over HTTP.
    """
    rollback(
        to=to,
        reason=reason,
        model_name=model_name,
        mlflow_tracking_uri=mlflow_tracking_uri,
        s3_bucket=s3_bucket,
        triton_url=triton_url,
        triton_grpc_url=triton_grpc_url,
        # A retried workflow finishes what it began, and goes no further back.
        request="{{workflow.uid}}",
    )
