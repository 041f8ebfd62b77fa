"""config.pbtxt of the tests' model, as its first deployment publishes it."""

from pathlib import Path

from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.model.onnx_model import read_signature
from argosy.components.deployment.model.triton_config import model_config
from argosy.components.shared.s3 import Bucket
from tests.components.deployment import models


def published_config(bucket: Bucket, keys: ModelKeys, folder: Path) -> None:
    """Write it; `folder` is for the model whose signature it has."""
    path = folder / "model.onnx"
    path.write_bytes(models.conv_net())
    bucket.write_if_absent(keys.config, model_config(keys.model, read_signature(path)).encode())
