"""Step 2 of the deployment: the version number under which Triton will know the model."""

from typing import Annotated, NamedTuple

from argosy import component
from argosy.components import images
from argosy.components.defaults import ASKS_SERVERS, MLFLOW_TRACKING_URI, ONNX_MODEL_NAME, S3_BUCKET


class Version(NamedTuple):
    """The claimed version.

    Args:
        triton_version: the number of the version's folder in Triton's repository.
    """

    triton_version: Annotated[int, "triton_version.txt"]


@component(
    image=images.DEPLOYMENT_TOOLS,
    security_context=images.UNPRIVILEGED,
    resources=ASKS_SERVERS,
    changes_world=True,
)
def determine_version(
    model_version: str,
    model_sha256: str,
    owner: str,
    model_name: str = ONNX_MODEL_NAME,
    s3_bucket: str = S3_BUCKET,
    s3_prefix: str = "models",
    force_version: int | None = None,
    replace: bool = False,
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
) -> Version:
    """Claim the next Triton version of the model.

    The next version is one above every version that was ever published or claimed.  The claim is a
    conditional write, so deployments that run at the same time get different numbers; it belongs to `owner`,
    so a repeated step gets its own number again.

    Args:
        model_version: the model's version in MLflow, noted in the claim.
        model_sha256: SHA-256 of the model file that the version is for.
        owner: who claims: the workflow's uid.
        model_name: the model's name in MLflow and in Triton.
        s3_bucket: the bucket of Triton's model repository.
        s3_prefix: the repository's folder in the bucket.
        force_version: this version and no other: claimed where it is free, deployed again where it is
            published with the same bytes, refused where it is published with others.
        replace: let force_version replace other bytes; never those of the live or the previous version.
        mlflow_tracking_uri: the MLflow server; asked only which version is live, and only with `replace`.
    """
    from argosy.components.deployment.model.layout import ModelKeys, check_name, check_version
    from argosy.components.deployment.repository.versions import (
        Claim,
        claim_forced,
        claim_next,
        published_sha256,
    )
    from argosy.components.shared import s3
    from argosy.errors import UsageError

    keys = ModelKeys(s3_prefix, model_name)
    wanted = Claim(check_name("owner", owner), model_version, model_sha256)
    if force_version is None:
        if replace:
            raise UsageError("replace needs force_version: the version whose bytes are to be replaced")
        return Version(claim_next(s3.connect(s3_bucket), keys, wanted))
    check_version(force_version)
    bucket = s3.connect(s3_bucket)
    if replace and published_sha256(bucket, keys, force_version) not in (None, model_sha256):
        from argosy.components.deployment.repository.archive import standing
        from argosy.components.deployment.repository.publishing import check_replaceable
        from argosy.components.shared import registry

        client = registry.connect_lightly(mlflow_tracking_uri)
        check_replaceable(lambda: standing(client, bucket, keys), force_version, model_name)
    return Version(claim_forced(bucket, keys, force_version, wanted, may_replace=replace))


if __name__ == "__main__":
    determine_version.main()
