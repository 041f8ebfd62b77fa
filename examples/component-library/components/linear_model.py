"""A model that nobody trained: weights, written as ONNX."""

from typing import Annotated, NamedTuple

from argosy import File, Resources, component


class LinearModel(NamedTuple):
    """The same outputs as Argosy's fetch-model has.

    Args:
        model: the ONNX file.
        metadata: what the deployment stores beside it.
        model_version: a version in no registry: the start of the file's SHA-256.
        model_sha256: the file's SHA-256.
    """

    model: Annotated[File, "model.onnx"]
    metadata: Annotated[File, "metadata.json"]
    model_version: str
    model_sha256: str


@component(
    image="registry.example/linear-models:1.0.0",
    code="image",
    resources=Resources(cpu=("100m", "500m"), memory=("256Mi", "512Mi")),
)
def linear_model(weights: list[float], bias: float = 0.0, model_name: str = "linear") -> LinearModel:
    """Write a weighted sum as an ONNX model.

    Args:
        weights: one a feature.
        bias: what is added.
        model_name: the model's name, for the metadata.
    """
    import hashlib
    import json
    import tempfile
    from pathlib import Path

    from components.linear_onnx import linear_onnx, metadata_of

    folder = Path(tempfile.mkdtemp(prefix="linear-"))
    model, metadata = folder / "model.onnx", folder / "metadata.json"
    data = linear_onnx(weights, bias)
    sha256 = hashlib.sha256(data).hexdigest()
    model.write_bytes(data)
    metadata.write_text(json.dumps(metadata_of(model_name, sha256, data, len(weights)), indent=2))
    return LinearModel(model, metadata, sha256[:12], sha256)


if __name__ == "__main__":
    linear_model.main()
