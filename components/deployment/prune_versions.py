"""Housekeeping beside the deployment: old versions leave Triton's repository."""

from typing import NamedTuple

from argosy import component
from argosy.components import images
from argosy.components.defaults import ASKS_SERVERS, MLFLOW_TRACKING_URI, ONNX_MODEL_NAME, S3_BUCKET


class Pruned(NamedTuple):
    """The fate of the versions.

    Args:
        pruned: the versions that were removed, or would be; lowest first.
        kept: the versions that stay.
    """

    pruned: list[int]
    kept: list[int]


@component(
    image=images.DEPLOYMENT_TOOLS,
    security_context=images.UNPRIVILEGED,
    resources=ASKS_SERVERS,
    changes_world=True,
)
def prune_versions(
    keep: int = 5,
    dry_run: bool = False,
    model_name: str = ONNX_MODEL_NAME,
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    s3_bucket: str = S3_BUCKET,
    s3_prefix: str = "models",
    owner: str = "",
) -> Pruned:
    """Remove old versions of a model from S3 for good, and what killed steps left there a day ago.

    That is unfinished uploads, which cost money and show nowhere, staged files, compared copies and leases.

    Versions in the archive count as those in the repository do, and go as they do.

    The newest `keep` versions stay, the live and the previous one, those that config.pbtxt names, and those
    that were claimed or published within the last hour.  Numbers of removed versions are never given again.
    Where MLflow cannot tell which version is live, nothing is removed.

    Args:
        keep: how many of the newest versions stay; at least 1.
        dry_run: only tell what would be removed.
        model_name: the model's name in MLflow and in Triton.
        mlflow_tracking_uri: the MLflow server.
        s3_bucket: the bucket of Triton's model repository.
        s3_prefix: the repository's folder in the bucket.
        owner: who prunes: the workflow's uid; empty: an id of this step's own.
    """
    import uuid

    from argosy.components.deployment.model.layout import ModelKeys, check_name
    from argosy.components.deployment.repository.archive import standing
    from argosy.components.deployment.repository.pruning import Pruning, clear_leftovers
    from argosy.components.shared import registry, s3
    from argosy.errors import UsageError

    if keep < 1:
        raise UsageError(f"keep {keep} is not a number of versions from 1 up")
    keys = ModelKeys(s3_prefix, model_name)
    owner = check_name("owner", owner or f"prune-{uuid.uuid4().hex}")
    client, bucket = registry.connect_lightly(mlflow_tracking_uri), s3.connect(s3_bucket)
    done = Pruning(bucket, keys, keep, lambda: standing(client, bucket, keys)).run(owner, dry_run)
    clear_leftovers(bucket, keys, dry_run)
    return Pruned(done.pruned, done.kept)


if __name__ == "__main__":
    prune_versions.main()
