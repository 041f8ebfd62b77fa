"""Step 7 of the deployment, beside the aliases: the served version really answers."""

from typing import NamedTuple

from argosy import Resources, component
from argosy.components import images


class Verified(NamedTuple):
    """Where the model answers.

    Args:
        endpoint: the address for inference requests to this version.
        latency_ms: the median time of a request, in milliseconds.
    """

    endpoint: str
    latency_ms: float


@component(
    image=images.DEPLOYMENT_TOOLS,
    resources=Resources(cpu=("250m", "500m"), memory=("512Mi", "1Gi")),
)
def verify_deployment(
    triton_version: int,
    model_name: str = "resnet18-imagenette-onnx",
    triton_url: str = "http://triton-inference.ml-models:8000",
    expected_input_shape: list[int] = [1, 3, 224, 224],  # noqa: B006 - a default of the declaration, never changed
    expected_output_shape: list[int] = [1, 10],  # noqa: B006
) -> Verified:
    """Send synthetic input to exactly the deployed version and check what it answers.

    The answer must have the expected shape, the declared type and finite numbers; its time is logged.

    Args:
        triton_version: the deployed version.
        model_name: the model's name in Triton.
        triton_url: the server, over HTTP.
        expected_input_shape: the shape of the synthetic input, batch first.
        expected_output_shape: the shape of the answer.
    """
    from argosy.components.deployment.layout import check_name, check_version
    from argosy.components.deployment.verification import check_shape, verify
    from argosy.components.shared.triton import Triton

    check_name("model_name", model_name)
    check_version(triton_version)
    shapes = (
        check_shape("expected_input_shape", expected_input_shape),
        check_shape("expected_output_shape", expected_output_shape),
    )
    triton = Triton(triton_url)
    latency = verify(triton, model_name, triton_version, *shapes)
    endpoint = f"{triton.url}/v2/models/{model_name}/versions/{triton_version}/infer"
    return Verified(endpoint, latency.p50)


if __name__ == "__main__":
    verify_deployment.main()
