"""Step 5 of the deployment: Triton serves the version."""

from typing import NamedTuple

from argosy import component
from argosy.components import images
from argosy.components.defaults import (
    ASKS_SERVERS,
    MLFLOW_TRACKING_URI,
    ONNX_MODEL_NAME,
    S3_BUCKET,
    TRITON_URL,
)


class Serving(NamedTuple):
    """The version that serves now.

    Args:
        triton_version: the version that is ready and answered an inference.
    """

    triton_version: int


@component(
    image=images.DEPLOYMENT_TOOLS,
    security_context=images.UNPRIVILEGED,
    resources=ASKS_SERVERS,
    changes_world=True,
)
def reload_triton(
    triton_version: int,
    model_name: str = ONNX_MODEL_NAME,
    triton_url: str = TRITON_URL,
    triton_grpc_url: str = "",
    load_timeout: int = 300,
    owner: str = "",
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    s3_bucket: str = S3_BUCKET,
    s3_prefix: str = "models",
) -> Serving:
    """Make Triton load exactly the published version, and wait until it answers.

    The versions behind `live` and `previous` stay loaded beside it, and so do those of deployments in flight.
    A load that fails leaves them serving.  config.pbtxt names what serves, for restarts of Triton.

    Args:
        triton_version: the published version.
        model_name: the model's name in Triton.
        triton_url: the server, over HTTP; several, or a name that has several addresses: every replica.
        triton_grpc_url: HOST:PORT of its gRPC service, over which a load disturbs no client; empty: HTTP.
        load_timeout: seconds within which the version must be in service.
        owner: who deploys: the workflow's uid; empty: this run alone.
        mlflow_tracking_uri: the MLflow server, which knows what is live.
        s3_bucket: the bucket of Triton's model repository.
        s3_prefix: the repository's folder in the bucket.
    """
    import uuid

    from argosy.components.deployment.model.layout import ModelKeys, check_name, check_version
    from argosy.components.deployment.swap.served_versions import versions_beside
    from argosy.components.deployment.swap.serving import bring_into_service
    from argosy.components.deployment.swap.sole import Place, sole
    from argosy.components.shared import registry, s3
    from argosy.components.shared.triton import connect_all
    from argosy.components.shared.triton_deadline import Deadline
    from argosy.errors import UsageError

    keys = ModelKeys(s3_prefix, model_name)
    check_version(triton_version)
    owner = check_name("owner", owner) if owner else uuid.uuid4().hex
    if load_timeout < 1:
        raise UsageError(f"load_timeout {load_timeout} is not a number of seconds above 0")
    replicas = connect_all(triton_url, triton_grpc_url)
    client = registry.connect_lightly(mlflow_tracking_uri)
    place = Place.of(replicas, s3.connect(s3_bucket), keys)
    deadline = Deadline.after(load_timeout)
    with sole(place, owner, deadline) as hold:
        beside = versions_beside(place, triton_version, client, deadline)
        bring_into_service(hold, triton_version, beside, deadline)
    return Serving(triton_version)


if __name__ == "__main__":
    reload_triton.main()
