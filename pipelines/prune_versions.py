"""Old versions leave Triton's repository, by hand or on a schedule: a Couler program."""

from argosy import Schedule, pipeline
from argosy.components.defaults import MLFLOW_TRACKING_URI, ONNX_MODEL_NAME, S3_BUCKET
from argosy.components.deployment import prune_versions as prune


# At night, as a CronWorkflow; submitted as a Workflow it runs at once.
@pipeline(service_account="workflow-sa", timeout=3600, schedule=Schedule("0 3 * * *"))
def prune_versions(
    keep: int = 5,
    dry_run: bool = False,
    model_name: str = ONNX_MODEL_NAME,
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    s3_bucket: str = S3_BUCKET,
) -> None:
    """Remove old versions of a model and uploads that never ended; never what is live, previous or under way.

    Args:
        keep: How many of the newest versions stay.
        dry_run: Only tell what would be removed.
        model_name: ONNX model name in MLflow and Triton.
        mlflow_tracking_uri: MLflow server URL.
        s3_bucket: S3 bucket of the Triton model repository.
    """
    prune(
        keep=keep,
        dry_run=dry_run,
        model_name=model_name,
        mlflow_tracking_uri=mlflow_tracking_uri,
        s3_bucket=s3_bucket,
        owner="{{workflow.uid}}",
    )
