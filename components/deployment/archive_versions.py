"""After a deployment that succeeded: old versions leave what Triton fetches, and are kept."""

from typing import Literal, NamedTuple

from argosy import Retry, component
from argosy.components import images
from argosy.components.defaults import (
    ASKS_SERVERS,
    KEEP_VERSIONS,
    MLFLOW_TRACKING_URI,
    ONNX_MODEL_NAME,
    S3_BUCKET,
)


class Archived(NamedTuple):
    """The fate of the old versions.

    Args:
        archived: the versions that went into the archive, or would; lowest first.
        result: archived, nothing-to-do, or not-archived where something failed (log and record say why).
    """

    archived: list[int]
    result: Literal["archived", "nothing-to-do", "not-archived"]


@component(
    image=images.DEPLOYMENT_TOOLS,
    security_context=images.UNPRIVILEGED,
    resources=ASKS_SERVERS,
    retry=Retry(),
    changes_world=True,
)
def archive_versions(
    keep: int = KEEP_VERSIONS,
    dry_run: bool = False,
    model_name: str = ONNX_MODEL_NAME,
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    s3_bucket: str = S3_BUCKET,
    s3_prefix: str = "models",
    owner: str = "",
) -> Archived:
    """Move old versions of a model out of what Triton fetches at each load, into the bucket's archive.

    The newest `keep` versions stay, the live and the previous one, those that config.pbtxt names, and those
    whose deployment is under way.  Everything finds an archived version still: a rollback to it brings it
    back first.  Where something fails and there is an `owner`, the step says so in its log and in the
    deployment's record, and succeeds: the deployment is none the worse for it, and the next one archives.

    Args:
        keep: how many of the newest versions stay where Triton reads; 0: all.
        dry_run: only tell what would be archived.
        model_name: the model's name in MLflow and in Triton.
        mlflow_tracking_uri: the MLflow server, which knows what is live; asked only where something is old.
        s3_bucket: the bucket of Triton's model repository.
        s3_prefix: the repository's folder in the bucket.
        owner: whose deployment succeeded: the workflow's uid; empty: this run alone.
    """
    from argosy.components.deployment.model.layout import ModelKeys, check_name
    from argosy.components.deployment.repository.archive import Ending

    keys = ModelKeys(s3_prefix, model_name)
    if owner:
        check_name("owner", owner)
    done = Ending(keys, s3_bucket, mlflow_tracking_uri, owner).archive(keep, dry_run)
    return Archived(done.versions, done.result)


if __name__ == "__main__":
    archive_versions.main()
