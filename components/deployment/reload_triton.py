"""Step 5 of the deployment: Triton serves the version."""

from typing import NamedTuple

from argosy import Resources, component
from argosy.components import images


class Serving(NamedTuple):
    """What serves now.

    Args:
        triton_version: the version that is ready and answered an inference.
    """

    triton_version: int


@component(
    image=images.DEPLOYMENT_TOOLS,
    resources=Resources(cpu=("250m", "500m"), memory=("512Mi", "1Gi")),
)
def reload_triton(
    triton_version: int,
    model_name: str = "resnet18-imagenette-onnx",
    triton_url: str = "http://triton-inference.ml-models:8000",
    triton_grpc_url: str = "",
    load_timeout: int = 300,
) -> Serving:
    """Make Triton load the published version, and wait until it answers.

    The version that served before stays loaded beside it.  A load that fails leaves it serving.

    Args:
        triton_version: the published version.
        model_name: the model's name in Triton.
        triton_url: the server, over HTTP.
        triton_grpc_url: HOST:PORT of its gRPC service, over which a load disturbs no client; empty: HTTP.
        load_timeout: seconds within which the version must be in service.
    """
    from argosy.components.deployment.layout import check_name, check_version
    from argosy.components.deployment.serving import Target, bring_into_service
    from argosy.components.shared.triton import Triton
    from argosy.errors import UsageError

    check_name("model_name", model_name)
    check_version(triton_version)
    if load_timeout < 1:
        raise UsageError(f"load_timeout {load_timeout} is not a number of seconds above 0")
    triton = Triton(triton_url, triton_grpc_url.removeprefix("grpc://"))
    bring_into_service(Target(triton, model_name, triton_version), load_timeout)
    return Serving(triton_version)


if __name__ == "__main__":
    reload_triton.main()
