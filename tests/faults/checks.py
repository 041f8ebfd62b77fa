"""What must be true at every moment of every deployment, whatever broke."""

from __future__ import annotations

import numpy as np
import onnxruntime
from mlflow.tracking import MlflowClient

from argosy.components.deployment.model.layout import MODEL_FILE, ModelKeys
from argosy.components.deployment.repository.versions import claimed_versions, published_versions
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton import Triton
from tests.components.deployment.models import SIZE

TRITON_VERSION = "triton.version"


def aliases(client: MlflowClient, name: str) -> dict[str, str]:
    """`live` and `previous`, where they are set, as MLflow versions."""
    found = client.get_registered_model(name).aliases.items()
    return {alias: str(version) for alias, version in found if alias in ("live", "previous")}


def answers(triton: Triton, name: str, version: int, model: bytes) -> None:
    """The version is served, and computes what ONNX Runtime computes from these bytes."""
    images = np.random.default_rng(0).standard_normal((2, 3, SIZE, SIZE)).astype(np.float32)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"input": images})
    served = triton.infer(name, version, {"input": images})["output"]
    np.testing.assert_allclose(served, expected, atol=1e-5)


def nothing_half_published(bucket: Bucket, keys: ModelKeys) -> None:
    """Every version's folder holds a model, and every published version is claimed."""
    for version in published_versions(bucket, keys):
        assert bucket.head(keys.version(version) + MODEL_FILE), f"version {version} has no model"
    assert published_versions(bucket, keys) <= claimed_versions(bucket, keys)


def live_is_served(client: MlflowClient, triton: Triton, name: str) -> None:
    """`live` names a version that Triton serves now; `previous` is another."""
    where = aliases(client, name)
    version = client.get_model_version(name, where["live"])
    assert triton.version_ready(name, int(version.tags[TRITON_VERSION]))
    assert where.get("previous") != where["live"]
