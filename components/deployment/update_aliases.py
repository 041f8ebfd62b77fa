"""Step 6 of the deployment, beside the verification: the registry says what is live."""

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


class Aliases(NamedTuple):
    """Where the aliases point.

    Args:
        live: the MLflow version that serves.
        previous: the MLflow version to go back to; empty where there is none.
    """

    live: str
    previous: str


@component(
    image=images.DEPLOYMENT_TOOLS,
    security_context=images.UNPRIVILEGED,
    resources=ASKS_SERVERS,
    retry=Retry(),
    changes_world=True,
)
def update_aliases(
    model_version: str,
    triton_version: int,
    model_name: str = ONNX_MODEL_NAME,
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    owner: str = "",
    s3_bucket: str = S3_BUCKET,
    s3_prefix: str = "models",
    triton_url: str = TRITON_URL,
    triton_grpc_url: str = "",
) -> Aliases:
    """Move `live` to the deployed version and `previous` to the one that was live.

    One step at a time moves a model's aliases.  A repeated step changes nothing, one that was killed half way
    is finished by the next run, and one that a newer deployment has overtaken leaves that one live.  Tags on
    the MLflow version say by whom it went live and what was live before, so that a rollback can undo it.

    A workflow that was rolled back and is retried may begin with this step: then Triton loads the version
    again first.

    Args:
        model_version: the deployed version in MLflow.
        triton_version: its version in Triton, noted as a tag on the MLflow version.
        model_name: the model's name in MLflow.
        mlflow_tracking_uri: the MLflow server.
        owner: who deploys: the workflow's uid; empty: nobody that a later run would know again.
        s3_bucket: the bucket of Triton's model repository, which holds the lease on the aliases.
        s3_prefix: the repository's folder in the bucket.
        triton_url: the server or its replicas, over HTTP; asked only after a rollback.
        triton_grpc_url: HOST:PORT of its gRPC service; empty: HTTP.
    """
    from contextlib import ExitStack

    from argosy.components.deployment.aliases.history import now
    from argosy.components.deployment.aliases.moves import go_live, held_aliases, own_name
    from argosy.components.deployment.model.layout import ModelKeys, check_name, check_version
    from argosy.components.deployment.repository.versions import amend_record, was_rolled_back
    from argosy.components.shared import registry, s3
    from argosy.errors import UsageError
    from argosy.step.values import shown

    keys = ModelKeys(s3_prefix, model_name)
    owner = check_name("owner", own_name(owner))
    check_version(triton_version)
    if not model_version.isascii() or not model_version.isdigit():
        raise UsageError(f"model_version {shown(model_version)} is not the number of a version in MLflow")
    client, bucket = registry.connect_lightly(mlflow_tracking_uri), s3.connect(s3_bucket)
    registry.get_version(client, model_name, model_version)
    with ExitStack() as holds:
        if was_rolled_back(bucket, keys, triton_version, owner):
            # Only here, because these imports cost more than the whole step does otherwise.
            from argosy.components.deployment.swap.served_versions import Place, served_again
            from argosy.components.shared.triton import connect_all

            place = Place.of(connect_all(triton_url, triton_grpc_url), bucket, keys)
            holds.enter_context(served_again(client, place, triton_version, f"{owner}-aliases"))
        table = holds.enter_context(held_aliases(client, bucket, keys, owner))
        moved = go_live(table, model_version, triton_version, owner)
    block = {"live": moved.live, "previous": moved.previous, "at": now(), "workflow": owner}
    amend_record(bucket, keys, triton_version, aliases=block)
    return Aliases(moved.live, moved.previous)


if __name__ == "__main__":
    update_aliases.main()
