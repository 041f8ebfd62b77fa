"""Step 6 of the deployment, beside the verification: the registry says what is live."""

from typing import NamedTuple

from argosy import Resources, component
from argosy.components import images


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
    resources=Resources(cpu=("250m", "500m"), memory=("512Mi", "1Gi")),
)
def update_aliases(
    model_version: str,
    triton_version: int,
    model_name: str = "resnet18-imagenette-onnx",
    mlflow_tracking_uri: str = "http://mlflow.ai-platform:80",
) -> Aliases:
    """Move `live` to the deployed version and `previous` to the one that was live.

    A repeated step changes nothing, and one that was killed half way is finished by the next run.

    Args:
        model_version: the deployed version in MLflow.
        triton_version: its version in Triton, noted as a tag on the MLflow version.
        model_name: the model's name in MLflow.
        mlflow_tracking_uri: the MLflow server.
    """
    from argosy.components.deployment.alias_moves import go_live
    from argosy.components.deployment.layout import check_name, check_version
    from argosy.components.shared import registry
    from argosy.errors import UsageError

    check_name("model_name", model_name)
    check_version(triton_version)
    if not model_version.isascii() or not model_version.isdigit():
        raise UsageError(f"model_version {model_version!r} is not the number of a version in MLflow")
    moved = go_live(registry.connect(mlflow_tracking_uri), model_name, model_version, triton_version)
    return Aliases(moved.live, moved.previous)


if __name__ == "__main__":
    update_aliases.main()
