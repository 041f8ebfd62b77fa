"""Replicas of Triton that started later, or missed something, serve what is live: a Couler program."""

from argosy import Schedule, pipeline
from argosy.components.defaults import MLFLOW_TRACKING_URI, ONNX_MODEL_NAME, S3_BUCKET, TRITON_URL
from argosy.components.deployment import sync_triton as sync


# Every five minutes, as a CronWorkflow; submitted as a Workflow it looks at once.
@pipeline(service_account="workflow-sa", timeout=900, schedule=Schedule("*/5 * * * *"))
def sync_triton(
    model_name: str = ONNX_MODEL_NAME,
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    s3_bucket: str = S3_BUCKET,
    triton_url: str = TRITON_URL,
    triton_grpc_url: str = "",
) -> None:
    """Make every replica of Triton serve what MLflow's alias live says; those that do are left alone.

    Args:
        model_name: ONNX model name in MLflow and Triton.
        mlflow_tracking_uri: MLflow server URL.
        s3_bucket: S3 bucket of the Triton model repository.
        triton_url: Triton server URL; several with commas, or a name that has several addresses.
        triton_grpc_url: Triton's gRPC address as host:port, for each URL; empty loads over HTTP.
    """
    sync(
        model_name=model_name,
        mlflow_tracking_uri=mlflow_tracking_uri,
        s3_bucket=s3_bucket,
        triton_url=triton_url,
        triton_grpc_url=triton_grpc_url,
        owner="{{workflow.uid}}",
    )
