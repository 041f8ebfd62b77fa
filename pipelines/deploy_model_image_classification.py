"""Fetch, version, prepare, publish, compare if wanted, load, aliases and verification: a Couler program."""

from typing import Any

import couler.argo as couler

from argosy import pipeline
from argosy.components.defaults import MLFLOW_TRACKING_URI, ONNX_MODEL_NAME
from argosy.components.deployment import (
    archive_versions,
    compare_live,
    determine_version,
    fetch_model,
    prepare_artifacts,
    reload_triton,
    rollback,
    update_aliases,
    upload_to_s3,
    verify_deployment,
    withdraw_version,
)
from argosy.components.parameters import Checks, Serving

# Whoever publishes a version owns its claim: a retried or resumed workflow takes its own up again.
OWNER = "{{workflow.uid}}"
# Gate 3 was not wanted, or said yes.  A comparison that crashed is neither.
AFTER_GATE_3 = (
    "upload-to-s3.Succeeded && (compare-live.Succeeded || compare-live.Skipped)"
    " && (withdraw-version.Skipped || withdraw-version.Omitted)"
)
LAPTOP = {"expected_input_shape": "[1, 3, 32, 32]"}


def deploy(
    *,
    model_name: str,
    source: str,
    force_version: int | None,
    mlflow_tracking_uri: str,
    serving: Serving,
    checks: Checks,
    validated_version: str = "",
    replace: bool = False,
) -> None:
    """The deployment steps, from the MLflow registry to a Triton that answers.

    With `checks.compare`, the rest is skipped where Gate 3 finds the new version worse than the live one.
    There is no Gate 3 where it is False and no parameter.
    """
    fetched = fetch_model(
        model_name=model_name,
        source=source,
        validated_version=validated_version,
        mlflow_tracking_uri=mlflow_tracking_uri,
    )
    claimed = determine_version(
        model_name=model_name,
        s3_bucket=serving.s3_bucket,
        model_version=fetched.model_version,
        model_sha256=fetched.model_sha256,
        owner=OWNER,
        force_version=force_version,
        replace=replace,
        mlflow_tracking_uri=mlflow_tracking_uri,
    )
    prepared = prepare_artifacts(
        model_name=model_name,
        model=fetched.model,
        metadata=fetched.metadata,
        triton_version=claimed.triton_version,
    )
    uploaded = upload_to_s3(
        model_name=model_name,
        artifacts=prepared.artifacts,
        triton_version=claimed.triton_version,
        s3_bucket=serving.s3_bucket,
        owner=OWNER,
        force_version=force_version,
        replace=replace,
        mlflow_tracking_uri=mlflow_tracking_uri,
    )
    if checks.compare is not False:
        couler.when(
            couler.equal(checks.compare, "true"),
            lambda: gate_3(
                fetched.model_version,
                claimed.triton_version,
                limits=checks.comparison_limits,
                recorded_requests=checks.recorded_requests,
                model_name=model_name,
                triton_url=serving.triton_url,
                triton_grpc_url=serving.triton_grpc_url,
                mlflow_tracking_uri=mlflow_tracking_uri,
                s3_bucket=serving.s3_bucket,
            ),
        )
    loaded = couler.set_dependencies(
        lambda: reload_triton(
            model_name=model_name,
            triton_version=claimed.triton_version,
            triton_url=serving.triton_url,
            triton_grpc_url=serving.triton_grpc_url,
            owner=OWNER,
            mlflow_tracking_uri=mlflow_tracking_uri,
            s3_bucket=serving.s3_bucket,
        ),
        dependencies=[uploaded] if checks.compare is False else AFTER_GATE_3,
    )
    update_aliases(
        model_name=model_name,
        model_version=fetched.model_version,
        mlflow_tracking_uri=mlflow_tracking_uri,
        triton_version=loaded.triton_version,
        owner=OWNER,
        s3_bucket=serving.s3_bucket,
        triton_url=serving.triton_url,
        triton_grpc_url=serving.triton_grpc_url,
    )
    verify_deployment(
        model_name=model_name,
        model_version=fetched.model_version,
        mlflow_tracking_uri=mlflow_tracking_uri,
        triton_version=loaded.triton_version,
        triton_url=serving.triton_url,
        triton_grpc_url=serving.triton_grpc_url,
        expected_input_shape=checks.expected_input_shape,
        expected_output_shape=checks.expected_output_shape,
        owner=OWNER,
        s3_bucket=serving.s3_bucket,
    )


def gate_3(
    model_version: str, triton_version: int, *, limits: dict[str, Any], recorded_requests: str, **places: Any
) -> None:
    """Compare the published version with the live one; a version that lost is withdrawn.

    `places` says which model it is, and where: what both steps take.
    """
    compared = couler.set_dependencies(
        lambda: compare_live(
            triton_version=triton_version,
            model_version=model_version,
            limits=limits,
            recorded_requests=recorded_requests,
            owner=OWNER,
            **places,
        ),
        dependencies=["upload-to-s3"],
    )
    couler.when(
        couler.equal(compared.result, "failed"),
        lambda: withdraw_version(triton_version=triton_version, owner=OWNER, **places),
    )


def archive_on_success(*, model_name: str, mlflow_tracking_uri: str, serving: Serving) -> None:
    """The exit handler of a deployment that succeeded: old versions leave what Triton fetches at each load.

    It is no step of the deployment, whose failure would take back a version that is live and verified.
    """
    couler.set_exit_handler(
        couler.WFStatus.Succeeded,
        lambda: archive_versions(
            keep=serving.keep_versions,
            owner=OWNER,
            model_name=model_name,
            mlflow_tracking_uri=mlflow_tracking_uri,
            s3_bucket=serving.s3_bucket,
        ),
    )


def roll_back_on_failure(*, model_name: str, mlflow_tracking_uri: str, serving: Serving) -> None:
    """The exit handler: a workflow that fails undoes what it deployed; one that deployed nothing, nothing.

    It asks S3 and MLflow what this workflow did, because an exit handler cannot read the outputs of steps.
    The failed steps' own messages (`workflow.failures`) are not passed on: text that nobody chose, spliced
    into the manifest, could keep the handler from starting.  Why a verification failed is in its record.
    """

    def undo(name: str) -> object:
        return rollback.options(name=name)(
            owner=OWNER,
            reason="{{workflow.name}} {{workflow.status}}",
            model_name=model_name,
            mlflow_tracking_uri=mlflow_tracking_uri,
            s3_bucket=serving.s3_bucket,
            triton_url=serving.triton_url,
            triton_grpc_url=serving.triton_grpc_url,
        )

    couler.set_exit_handler(couler.WFStatus.Failed, lambda: undo("rollback"))
    couler.set_exit_handler(couler.WFStatus.Error, lambda: undo("rollback-on-error"))


@pipeline(service_account="workflow-sa", timeout=3600, local=LAPTOP)
def deploy_model_image_classification(
    model_name: str = ONNX_MODEL_NAME,
    source: str = "alias:deploy",
    validated_version: str = "",
    force_version: int | None = None,
    replace: bool = False,
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    serving: Serving = Serving(),  # noqa: B008 - a declaration, never changed
    checks: Checks = Checks(),  # noqa: B008
) -> None:
    """Deploy a validated ONNX model from MLflow to Triton via S3; if that fails, roll back.

    Args:
        model_name: ONNX model name in MLflow.
        source: Which model version to deploy, alias:NAME or version:N; empty takes validated-version.
        validated_version: The number of the version that a calling workflow has just validated.
        force_version: Force a specific Triton version; empty takes the next.
        replace: Let force-version replace other bytes, never those of the live or the previous version.
        mlflow_tracking_uri: MLflow server URL.
    """
    deploy(
        model_name=model_name,
        source=source,
        validated_version=validated_version,
        force_version=force_version,
        mlflow_tracking_uri=mlflow_tracking_uri,
        serving=serving,
        checks=checks,
        replace=replace,
    )
    roll_back_on_failure(model_name=model_name, mlflow_tracking_uri=mlflow_tracking_uri, serving=serving)
    archive_on_success(model_name=model_name, mlflow_tracking_uri=mlflow_tracking_uri, serving=serving)
