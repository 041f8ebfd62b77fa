"""Configurations of the tests' model: as its first deployment publishes it, and as a load may give it."""

from pathlib import Path
from typing import Any

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


def config_of_a_load(name: str, *versions: int, size: int = models.SIZE) -> dict[str, Any]:
    """What a load can give in place of config.pbtxt: complete, and naming these versions."""
    return {
        "name": name,
        "backend": "onnxruntime",
        "max_batch_size": 4,
        "input": [{"name": "input", "data_type": "TYPE_FP32", "dims": [3, size, size]}],
        "output": [{"name": "output", "data_type": "TYPE_FP32", "dims": [models.CLASSES]}],
        "instance_group": [{"count": 1}],
        "version_policy": {"specific": {"versions": list(versions)}},
    }
