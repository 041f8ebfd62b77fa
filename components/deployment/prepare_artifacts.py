"""Step 3 of the deployment: the files as Triton's repository wants them."""

from typing import NamedTuple

from argosy import Directory, File, FromField, component
from argosy.components import images
from argosy.components.defaults import HOLDS_A_MODEL, ONNX_MODEL_NAME

POD_NAME = "ARGOSY_POD_NAME"


class Prepared(NamedTuple):
    """The model's folder.

    Args:
        artifacts: config.pbtxt and a folder named as the version, with model.onnx and metadata.json.
    """

    artifacts: Directory


@component(
    image=images.DEPLOYMENT_TOOLS,
    security_context=images.UNPRIVILEGED,
    resources=HOLDS_A_MODEL,
    env={POD_NAME: FromField("metadata.name")},
)
def prepare_artifacts(
    model: File,
    metadata: File,
    triton_version: int,
    model_name: str = ONNX_MODEL_NAME,
    deployed_by: str = "",
) -> Prepared:
    """Lay out the model as Triton's repository has it, with config.pbtxt and the complete metadata.json.

    config.pbtxt comes from the ONNX model's own signature.

    Args:
        model: the ONNX file, or above 2 GiB the tar that fetch-model made.
        metadata: its metadata, so far without the deployment.
        triton_version: the version in Triton's repository.
        model_name: the model's name in Triton.
        deployed_by: who deploys; empty: this pod's name, or the host's where no pod's is told.
    """
    import os
    import socket

    from argosy.components.deployment.model.artifacts import lay_out
    from argosy.components.deployment.model.layout import check_name, check_version
    from argosy.components.shared.files import scratch

    check_name("model_name", model_name)
    check_version(triton_version)
    # A host's name is cut at 63 characters, which pods' names often exceed.
    by = deployed_by or os.environ.get(POD_NAME) or socket.gethostname()
    with scratch() as folder:
        lay_out(folder, model, metadata, model_name, triton_version, by)
    return Prepared(folder)


if __name__ == "__main__":
    prepare_artifacts.main()
