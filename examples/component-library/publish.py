"""Publish a linear model as Argosy publishes its own: a Couler program."""

from components.linear_model import linear_model

from argosy import pipeline
from argosy.components.defaults import S3_BUCKET
from argosy.components.deployment import determine_version, prepare_artifacts, upload_to_s3

# A retried or resumed workflow takes up the version that it claimed.
OWNER = "{{workflow.uid}}"


@pipeline(service_account="workflow-sa", timeout=1800)
def publish(
    weights: list[float] = [1.0, 1.0],  # noqa: B006 - a declaration, never changed
    bias: float = 0.0,
    model_name: str = "linear",
    s3_bucket: str = S3_BUCKET,
) -> None:
    """Write a linear model and publish it as the next version in Triton's repository.

    Args:
        weights: One a feature, as a JSON list.
        bias: What is added.
        model_name: The model's name in Triton.
        s3_bucket: S3 bucket of the Triton model repository.
    """
    made = linear_model(weights=weights, bias=bias, model_name=model_name)
    claimed = determine_version(
        model_name=model_name,
        s3_bucket=s3_bucket,
        model_version=made.model_version,
        model_sha256=made.model_sha256,
        owner=OWNER,
    )
    prepared = prepare_artifacts(
        model_name=model_name,
        model=made.model,
        metadata=made.metadata,
        triton_version=claimed.triton_version,
    )
    upload_to_s3(
        model_name=model_name,
        artifacts=prepared.artifacts,
        triton_version=claimed.triton_version,
        s3_bucket=s3_bucket,
        owner=OWNER,
    )
