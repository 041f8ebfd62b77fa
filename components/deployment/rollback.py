"""Back to what was: by an exit handler when a deployment failed, or by hand."""

from typing import Literal, NamedTuple

from argosy import Retry, component
from argosy.components import images
from argosy.components.defaults import (
    ASKS_SERVERS,
    MLFLOW_TRACKING_URI,
    ONNX_MODEL_NAME,
    S3_BUCKET,
    TRITON_URL,
)


class RolledBack(NamedTuple):
    """The version that is live now.

    Args:
        live: the MLflow version; empty where none is.
        triton_version: its version in Triton; empty where none is live.
        result: rolled-back, or nothing-to-do where there was nothing to take back.
    """

    live: str
    triton_version: int | None
    result: Literal["rolled-back", "nothing-to-do"]


@component(
    image=images.DEPLOYMENT_TOOLS,
    security_context=images.UNPRIVILEGED,
    resources=ASKS_SERVERS,
    retry=Retry(),
    changes_world=True,
)
def rollback(
    owner: str = "",
    to: str = "previous",
    reason: str = "",
    model_name: str = ONNX_MODEL_NAME,
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    s3_bucket: str = S3_BUCKET,
    s3_prefix: str = "models",
    triton_url: str = TRITON_URL,
    triton_grpc_url: str = "",
    load_timeout: int = 300,
    request: str = "",
) -> RolledBack:
    """Undo a workflow's deployment, or return to an older version by hand.

    With `owner`, as an exit handler: the aliases and what Triton serves go back to what they were before that
    workflow; what others did since stays, and where it published nothing, nothing is done.  Without it: `to`
    becomes live and what was live becomes previous, after Triton serves it and it answered; from the archive
    it is brought back first.  Either way the reason is noted on the MLflow version and in the deployment's
    record.  The step may be repeated.

    Args:
        owner: the workflow to undo, by its uid; empty: go back to `to`.
        to: previous, or version:NUMBER for a version in MLflow.
        reason: why, for the record.
        model_name: the model's name in MLflow and in Triton.
        mlflow_tracking_uri: the MLflow server.
        s3_bucket: the bucket of Triton's model repository.
        s3_prefix: the repository's folder in the bucket.
        triton_url: the server, over HTTP; several, or a name that has several addresses: every replica.
        triton_grpc_url: HOST:PORT of its gRPC service, over which a load disturbs no client; empty: HTTP.
        load_timeout: seconds within which Triton must serve what is live.
        request: who goes back by hand: the workflow's uid; a second run for it goes no further back.
    """
    from argosy.components.deployment.aliases.moves import own_name
    from argosy.components.deployment.aliases.recovery import Site, check_to, go_back, roll_back
    from argosy.components.deployment.model.layout import ModelKeys, check_name
    from argosy.components.deployment.swap.sole import Place
    from argosy.components.shared import registry, s3
    from argosy.components.shared.triton import connect_all
    from argosy.components.shared.triton_deadline import Deadline
    from argosy.errors import UsageError

    keys = ModelKeys(s3_prefix, model_name)
    check_to(to)
    asking = check_name("owner" if owner else "request", owner or own_name(request))
    if load_timeout < 1:
        raise UsageError(f"load_timeout {load_timeout} is not a number of seconds above 0")
    replicas = connect_all(triton_url, triton_grpc_url)
    bucket = s3.connect(s3_bucket)
    client = registry.connect_lightly(mlflow_tracking_uri)
    site = Site(client, Place.of(replicas, bucket, keys), Deadline.after(load_timeout))
    if owner:
        outcome = roll_back(site, owner, reason or f"workflow {owner} failed")
    else:
        outcome = go_back(site, to, reason or "rolled back by hand", asking)
    return RolledBack(outcome.live, outcome.triton_version, outcome.result)


if __name__ == "__main__":
    rollback.main()
