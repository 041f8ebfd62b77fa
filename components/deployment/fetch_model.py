"""Step 1 of the deployment: the model's file, out of MLflow."""

import re
from typing import Annotated, NamedTuple

from argosy import File, component
from argosy.components import images
from argosy.components.defaults import HOLDS_A_MODEL, MLFLOW_TRACKING_URI, ONNX_MODEL_NAME


class Fetched(NamedTuple):
    """The model and what is known of it.

    Args:
        model: the ONNX file; above 2 GiB a tar of it and its data files.
        metadata: where it came from and what Gate 2 measured.
        model_version: its version in MLflow.
        model_sha256: SHA-256 of the model, hexadecimal.
    """

    model: Annotated[File, "model.onnx"]
    metadata: Annotated[File, "metadata.json"]
    model_version: str
    model_sha256: str


@component(
    image=images.DEPLOYMENT_TOOLS,
    security_context=images.UNPRIVILEGED,
    resources=HOLDS_A_MODEL,
    changes_world=True,
)
def fetch_model(
    model_name: str = ONNX_MODEL_NAME,
    source: str = "alias:deploy",
    mlflow_tracking_uri: str = MLFLOW_TRACKING_URI,
    validated_version: str = "",
) -> Fetched:
    """Download the ONNX model that is to be deployed, and check it.

    The model must be whole, valid ONNX that ONNX Runtime opens.  It is read as protobuf; nothing in it is
    ever run.  Weights in files beside it are fetched too, and put into model.onnx up to 2 GiB.

    Args:
        model_name: the model's name in MLflow's registry.
        source: which version: "alias:NAME" or "version:NUMBER"; empty: `validated_version`.
        mlflow_tracking_uri: the MLflow server.
        validated_version: the number of the version that this workflow's own Gate 2 validated.  The alias
            deploy may have been moved by another workflow since; the metadata says so.
    """
    from argosy.components.deployment.model.layout import METADATA_FILE, check_name
    from argosy.components.deployment.model.source_model import describe, fetch
    from argosy.components.shared import registry
    from argosy.components.shared.files import scratch

    check_name("model_name", model_name)
    client = registry.connect_lightly(mlflow_tracking_uri)
    version = registry.resolve(client, model_name, _asked(source, validated_version))
    with scratch() as folder:
        model = fetch(version, folder)
        metadata = folder / METADATA_FILE
        describe(client, version, source, model).write(metadata)
    return Fetched(model.file, metadata, str(version.version), model.sha256)


def _asked(source: str, validated_version: str) -> str:
    """The source in words that the registry understands."""
    from argosy.errors import UsageError
    from argosy.step.values import shown

    if source:
        return source
    if not validated_version:
        raise UsageError("source is empty; give alias:NAME (as alias:deploy) or version:NUMBER")
    if not re.fullmatch("[1-9][0-9]*", validated_version):
        raise UsageError(f"validated_version {shown(validated_version)} is not the number of a version")
    return f"version:{validated_version}"


if __name__ == "__main__":
    fetch_model.main()
