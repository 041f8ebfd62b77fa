"""After Gate 3 said no: the version leaves what Triton reads."""

from typing import NamedTuple

from argosy import Retry, component
from argosy.components import images
from argosy.components.defaults import (
    ASKS_SERVERS,
    MLFLOW_TRACKING_URI,
    ONNX_MODEL_NAME,
    S3_BUCKET,
    TRITON_URL,
)


class Withdrawn(NamedTuple):
    """The fate of the version.

    Args:
        withdrawn: whether it is gone from the repository; not where something stands on it.
    """

    withdrawn: bool


@component(
    image=images.DEPLOYMENT_TOOLS,
    security_context=images.UNPRIVILEGED,
    resources=ASKS_SERVERS,
    retry=Retry(),
    changes_world=True,
)
def withdraw_version(
    triton_version: int,
    model_name: str = ONNX_MODEL_NAME,
    owner: str = "",
    triton_url: str = TRITON_URL,
    triton_grpc_url: str = "",
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    s3_bucket: str = S3_BUCKET,
    s3_prefix: str = "models",
) -> Withdrawn:
    """Remove a version that failed the comparison from the repository; its record stays, and says why.

    Its number is never given again.  A version that is live, previous or named in config.pbtxt stays.  A
    version whose record tells of no failed comparison is refused.

    Args:
        triton_version: the version that failed.
        model_name: the model's name in MLflow and in Triton.
        owner: who deploys: the workflow's uid.
        triton_url: the server or its replicas, over HTTP; asked only where a comparison was killed.
        triton_grpc_url: HOST:PORT of its gRPC service; empty: HTTP.
        mlflow_tracking_uri: the MLflow server, which knows what is live.
        s3_bucket: the bucket of Triton's model repository.
        s3_prefix: the repository's folder in the bucket.
    """
    from argosy.components.deployment.aliases.moves import own_name
    from argosy.components.deployment.comparison.candidate import withdraw
    from argosy.components.deployment.model.layout import ModelKeys, check_name, check_version
    from argosy.components.deployment.swap.sole import Place
    from argosy.components.shared import registry, s3
    from argosy.components.shared.triton import connect_all

    keys = ModelKeys(s3_prefix, model_name)
    check_version(triton_version)
    owner = check_name("owner", own_name(owner))
    replicas = connect_all(triton_url, triton_grpc_url)
    place = Place.of(replicas, s3.connect(s3_bucket), keys)
    client = registry.connect_lightly(mlflow_tracking_uri)
    return Withdrawn(not withdraw(client, place, triton_version, owner))


if __name__ == "__main__":
    withdraw_version.main()
