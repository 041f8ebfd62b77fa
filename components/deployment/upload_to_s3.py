"""Step 4 of the deployment: the version appears in Triton's repository, whole."""

from typing import NamedTuple

from argosy import Directory, component
from argosy.components import images
from argosy.components.defaults import HOLDS_A_MODEL, MLFLOW_TRACKING_URI, ONNX_MODEL_NAME, S3_BUCKET


class Published(NamedTuple):
    """Where the version lies.

    Args:
        model_uri: s3://BUCKET/PREFIX/MODEL/VERSION/.
    """

    model_uri: str


@component(
    image=images.DEPLOYMENT_TOOLS,
    security_context=images.UNPRIVILEGED,
    resources=HOLDS_A_MODEL,
    changes_world=True,
)
def upload_to_s3(
    artifacts: Directory,
    triton_version: int,
    owner: str,
    model_name: str = ONNX_MODEL_NAME,
    s3_bucket: str = S3_BUCKET,
    s3_prefix: str = "models",
    force_version: int | None = None,
    replace: bool = False,
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
) -> Published:
    """Publish the prepared version: staged first, verified, then there all at once.

    A version that is published already with the same model is left as it is, and brought back first where
    it lies in the archive; one with other bytes is refused, or replaced where the user says so.  The step
    may be repeated at any point.

    Args:
        artifacts: the folder that prepare-artifacts made.
        triton_version: the claimed version.
        owner: whose claim it is: the workflow's uid.
        model_name: the model's name in Triton.
        s3_bucket: the bucket of Triton's model repository.
        s3_prefix: the repository's folder in the bucket.
        force_version: the version that the user forced, if any; it must be the one that is uploaded.
        replace: let force_version replace other bytes; never those of the live or the previous version.
        mlflow_tracking_uri: the MLflow server; asked only which version is live, and only with `replace`.
    """
    from argosy.components.deployment.model.artifacts import read_artifacts
    from argosy.components.deployment.model.layout import ModelKeys, check_name, check_version
    from argosy.components.deployment.repository.archive import bring_back
    from argosy.components.deployment.repository.publishing import Publication, publish
    from argosy.components.shared import s3
    from argosy.errors import UsageError

    keys = ModelKeys(s3_prefix, model_name)
    check_version(triton_version)
    check_name("owner", owner)
    if force_version not in (None, triton_version):
        raise UsageError(f"force_version is {force_version}, but version {triton_version} was determined")
    prepared = read_artifacts(artifacts, triton_version)
    place = Publication(s3.connect(s3_bucket), keys, triton_version, owner)
    bring_back(place.bucket, keys, triton_version, owner)
    if not replace or force_version is None:
        return Published(publish(place, prepared))

    from argosy.components.deployment.repository.archive import standing
    from argosy.components.deployment.repository.publishing import replace as publish_over
    from argosy.components.shared import registry

    client = registry.connect_lightly(mlflow_tracking_uri)
    return Published(publish_over(place, prepared, lambda: standing(client, place.bucket, keys)))


if __name__ == "__main__":
    upload_to_s3.main()
