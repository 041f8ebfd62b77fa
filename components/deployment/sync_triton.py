"""Beside the deployment: replicas of Triton that started later, or missed something, serve what is live."""

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


class Synced(NamedTuple):
    """The versions that the replicas serve.

    Args:
        versions: the versions that every replica serves now; empty where nothing is live.
        changed: the addresses of the replicas that served something else before.
    """

    versions: list[int]
    changed: list[str]


@component(
    image=images.DEPLOYMENT_TOOLS,
    security_context=images.UNPRIVILEGED,
    resources=ASKS_SERVERS,
    retry=Retry(),
    changes_world=True,
)
def sync_triton(
    model_name: str = ONNX_MODEL_NAME,
    triton_url: str = TRITON_URL,
    triton_grpc_url: str = "",
    load_timeout: int = 300,
    owner: str = "",
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    s3_bucket: str = S3_BUCKET,
    s3_prefix: str = "models",
    every: int = 0,
) -> Synced:
    """Make every replica of Triton serve what MLflow's `live` says; change nothing where it already is so.

    Each replica by itself: one that does not answer fails the step after the others were brought there.  As
    the command of a container beside Triton, with `every`, it waits for Triton, and looks again and again.

    Args:
        model_name: the model's name in MLflow and in Triton.
        triton_url: the server, over HTTP; several, or a name that has several addresses: every replica.
        triton_grpc_url: HOST:PORT of its gRPC service, over which a load disturbs no client; empty: HTTP.
        load_timeout: seconds within which the replicas must serve what is live.
        owner: who does it: the workflow's uid; empty: this run alone.
        mlflow_tracking_uri: the MLflow server, which knows what is live.
        s3_bucket: the bucket of Triton's model repository.
        s3_prefix: the repository's folder in the bucket.
        every: look again after so many seconds, for ever; 0: once.
    """
    import uuid

    from argosy.components.deployment.model.layout import ModelKeys, check_name
    from argosy.components.deployment.swap.served_versions import keep_in_sync, sync
    from argosy.components.deployment.swap.sole import Place
    from argosy.components.shared import registry, s3
    from argosy.components.shared.triton import connect_all
    from argosy.components.shared.triton_deadline import Deadline
    from argosy.errors import UsageError

    keys = ModelKeys(s3_prefix, model_name)
    owner = check_name("owner", owner or f"sync-{uuid.uuid4().hex}")
    if load_timeout < 1:
        raise UsageError(f"load_timeout {load_timeout} is not a number of seconds above 0")
    if every < 0:
        raise UsageError(f"every {every} is not a number of seconds, or 0 for once")
    # Read first: a wrong address is no reason to look again and again.
    connect_all(triton_url, triton_grpc_url)

    def once() -> Synced:
        # Connected anew each time: pods come and go, and credentials expire.
        client = registry.connect_lightly(mlflow_tracking_uri)
        place = Place.of(connect_all(triton_url, triton_grpc_url), s3.connect(s3_bucket), keys)
        done = sync(client, place, owner, Deadline.after(load_timeout))
        return Synced(sorted(done.versions), list(done.changed))

    return keep_in_sync(once, every) if every else once()


if __name__ == "__main__":
    sync_triton.main()
