"""Step 7 of the deployment, beside the aliases: the served version really answers."""

from typing import NamedTuple

from argosy import Resources, Retry, component
from argosy.components import images
from argosy.components.defaults import MLFLOW_TRACKING_URI, ONNX_MODEL_NAME, S3_BUCKET, TRITON_URL


class Verified(NamedTuple):
    """Where the model answers.

    Args:
        endpoint: the address for inference requests to this version.
        latency_ms: the median time of a request, in milliseconds.
    """

    endpoint: str
    latency_ms: float


@component(
    image=images.DEPLOYMENT_TOOLS,
    security_context=images.UNPRIVILEGED,
    resources=Resources(cpu=("250m", "1"), memory=("1Gi", "2Gi")),
    retry=Retry(),
    changes_world=True,
)
def verify_deployment(
    triton_version: int,
    model_name: str = ONNX_MODEL_NAME,
    triton_url: str = TRITON_URL,
    expected_input_shape: list[int] = [1, 3, 224, 224],  # noqa: B006 - a default of the declaration, never changed
    expected_output_shape: list[int] = [1, 10],  # noqa: B006
    owner: str = "",
    model_version: str = "",
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    s3_bucket: str = S3_BUCKET,
    s3_prefix: str = "models",
    tolerance: float = 1e-4,
    triton_grpc_url: str = "",
) -> Verified:
    """Send synthetic input to exactly the deployed version and check what it answers.

    At each replica, where there are several: latencies are those of the slowest.

    The published file must be the one that its metadata.json describes.  The answers must have the expected
    shape, the declared type and finite numbers, and equal what ONNX Runtime answers on that file.  The
    findings, latencies included, are noted on the MLflow version and in the deployment's record, also where
    the verification fails.

    A workflow that was rolled back and is retried may begin with this step: then the version is loaded and
    made live again first.

    Args:
        triton_version: the deployed version.
        model_name: the model's name in Triton.
        triton_url: the server, over HTTP; several, or a name that has several addresses: every replica.
        expected_input_shape: the shape of the synthetic input, batch first.
        expected_output_shape: the shape of the answer.
        owner: who deploys: the workflow's uid.
        model_version: the version in MLflow; empty: the one that metadata.json names.
        mlflow_tracking_uri: the MLflow server.
        s3_bucket: the bucket of Triton's model repository.
        s3_prefix: the repository's folder in the bucket.
        tolerance: largest absolute difference from ONNX Runtime's answer.
        triton_grpc_url: HOST:PORT of its gRPC service, for a load after a rollback; empty: HTTP.
    """
    from argosy.components.deployment.aliases.moves import own_name
    from argosy.components.deployment.model.layout import ModelKeys, check_name, check_version
    from argosy.components.deployment.verification.checks import Expectation
    from argosy.components.deployment.verification.verifying import Noting, Served, verify_published
    from argosy.components.shared import s3
    from argosy.components.shared.triton import connect_all

    keys = ModelKeys(s3_prefix, model_name)
    check_version(triton_version)
    owner = check_name("owner", own_name(owner))
    expected = Expectation(tuple(expected_input_shape), tuple(expected_output_shape), tolerance)
    replicas = connect_all(triton_url, triton_grpc_url)
    bucket = s3.connect(s3_bucket)
    noting = Noting(bucket, keys, triton_version, mlflow_tracking_uri, model_version, owner)
    served = Served(replicas, triton_url)
    report = verify_published(noting, served, expected)
    return Verified(served.endpoint(noting), report.p50_ms)


if __name__ == "__main__":
    verify_deployment.main()
