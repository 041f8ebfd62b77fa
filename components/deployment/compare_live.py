"""Gate 3: a candidate is compared with what is live, before clients or aliases see it."""

from typing import Any, Literal, NamedTuple

from argosy import Resources, Retry, component
from argosy.components import images as tools
from argosy.components.defaults import MLFLOW_TRACKING_URI, ONNX_MODEL_NAME, S3_BUCKET, TRITON_URL


class Comparison(NamedTuple):
    """Gate 3's decision.

    Args:
        result: passed: the candidate may go live.
        reason: which rules are broken, with their numbers; or that all hold.
    """

    result: Literal["passed", "failed"]
    reason: str


@component(
    image=tools.DEPLOYMENT_TOOLS,
    security_context=tools.UNPRIVILEGED,
    resources=Resources(cpu=("500m", "2"), memory=("1Gi", "4Gi")),
    retry=Retry(),
    changes_world=True,
)
def compare_live(
    triton_version: int,
    model_version: str,
    model_name: str = ONNX_MODEL_NAME,
    triton_url: str = TRITON_URL,
    triton_grpc_url: str = "",
    images: int = 200,
    recorded_requests: str = "",
    concurrency: int = 2,
    limits: dict[str, Any] = {},  # noqa: B006 - a default of the declaration, never changed
    owner: str = "",
    load_timeout: int = 300,
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    s3_bucket: str = S3_BUCKET,
    s3_prefix: str = "models",
) -> Comparison:
    """Gate 3: send the candidate and the live version the same requests, and compare the answers.

    Triton loads the candidate beside the live version under a name of its own, so clients that name no
    version keep getting the live one; it is unloaded afterwards, whatever happened.  The requests are
    validation images that the candidate's training left in MLflow, and recorded ones.  A live version that
    Triton lost is loaded again first.  Where nothing is live, the candidate passes.

    The rules and their default limits: max_error_rate 0, max_accuracy_drop 0.01, min_agreement 0.8,
    max_difference 1e-4 (where both come from one training), max_p50_ratio 1.25 and max_p95_ratio 1.5 of
    latencies, max_memory_ratio 1.5.  Result and numbers go into the deployment's record, onto the MLflow
    version (tags comparison.*) and into the run that made it (metrics comparison_*, and a picture).  A server
    that fails is an error, never a verdict.

    Args:
        triton_version: the published version.
        model_version: the same in MLflow.
        model_name: the model's name in MLflow and in Triton.
        triton_url: the server, over HTTP; several, or a name that has several addresses: every replica.
        triton_grpc_url: HOST:PORT of its gRPC service, over which a load disturbs no client; empty: HTTP.
        images: how many validation images at most; 0: none.
        recorded_requests: s3://BUCKET/PREFIX of inference requests, each the JSON body in a .json; at most
            a thousand are sent; empty: none.
        concurrency: how many clients send at a time.
        limits: other limits of the rules, by name, as JSON.
        owner: who deploys: the workflow's uid; empty: this run alone.
        load_timeout: seconds within which a version must be in service.
        mlflow_tracking_uri: the MLflow server, which knows what is live.
        s3_bucket: the bucket of Triton's model repository.
        s3_prefix: the repository's folder in the bucket.
    """
    from argosy.components.deployment.aliases.moves import own_name
    from argosy.components.deployment.comparison import comparing
    from argosy.components.deployment.comparison.rules import Limits
    from argosy.components.deployment.comparison.traffic import check_prefix
    from argosy.components.deployment.model.layout import ModelKeys, check_name, check_version
    from argosy.components.deployment.swap.sole import Place
    from argosy.components.shared import registry, s3
    from argosy.components.shared.triton import connect_all
    from argosy.errors import UsageError
    from argosy.step.values import shown

    keys = ModelKeys(s3_prefix, model_name)
    check_version(triton_version)
    owner = check_name("owner", own_name(owner))
    if not model_version.isascii() or not model_version.isdigit():
        raise UsageError(f"model_version {shown(model_version)} is not the number of a version in MLflow")
    for name, value, least, most in (
        ("images", images, 0, 100_000),
        ("concurrency", concurrency, 1, 64),
        ("load_timeout", load_timeout, 1, 86_400),
    ):
        if not least <= value <= most:
            raise UsageError(f"{name} {value} is not a number from {least} to {most}")
    check_prefix(recorded_requests)
    thresholds = Limits.of(limits)
    replicas = connect_all(triton_url, triton_grpc_url)
    client = registry.connect(mlflow_tracking_uri)
    place = Place.of(replicas, s3.connect(s3_bucket), keys)
    compared = comparing.Comparison(
        client, place, triton_version, model_version, owner, images, recorded_requests, concurrency,
        thresholds, load_timeout,
    ).run()  # fmt: skip
    compared.note(client, place, model_version, owner)
    return Comparison(compared.result, compared.reason)


if __name__ == "__main__":
    compare_live.main()
