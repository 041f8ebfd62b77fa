"""Deployments without fetching: published, served, made live and verified by the real steps."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import requests
from mlflow.tracking import MlflowClient

from argosy.components.deployment import reload_triton, rollback, update_aliases, verify_deployment
from argosy.components.deployment.aliases.moves import AliasTable
from argosy.components.deployment.model.artifacts import read_artifacts
from argosy.components.deployment.model.layout import Metadata, ModelKeys
from argosy.components.deployment.repository.publishing import Publication, publish
from argosy.components.deployment.repository.versions import Claim, claim_next
from argosy.components.deployment.rollback import RolledBack
from argosy.components.deployment.swap.serving import config_names, ready_versions
from argosy.components.deployment.swap.sole import Place
from argosy.components.shared import registry
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton import Triton
from tests.components.deployment import models
from tests.components.deployment.conftest import Servers, claim_for, prepared

IMAGE = np.random.default_rng(7).standard_normal((1, 3, models.SIZE, models.SIZE)).astype(np.float32)


@dataclass
class Fleet:
    """One model on the real servers, and its deployments; version N of Triton's is `conv_net(N)`."""

    servers: Servers
    client: MlflowClient
    place: Place
    folder: Path
    answers: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.place.model

    @property
    def keys(self) -> ModelKeys:
        return self.place.keys

    @property
    def bucket(self) -> Bucket:
        return self.place.bucket

    @property
    def triton(self) -> Triton:
        return self.place.triton

    def where(self) -> dict[str, Any]:
        """The inputs that say where everything is."""
        return {
            "model_name": self.name,
            "mlflow_tracking_uri": self.servers.mlflow,
            "s3_bucket": self.servers.bucket,
            "triton_url": self.servers.triton,
        }

    def publish(self, owner: str, model: bytes | None = None) -> int:
        """Register the next version in MLflow, claim and publish it; its number, the same in both."""
        registry.ensure_model(self.client, self.name)
        made = self.client.create_model_version(self.name, "s3://nowhere/model", await_creation_for=0)
        number = int(made.version)
        model = model or models.conv_net(number)
        wanted = Claim(owner, str(number), claim_for(model).model_sha256)
        assert claim_next(self.bucket, self.keys, wanted) == number
        folder = prepared(self.folder / f"{self.name}-{number}", self.name, number, model)
        path = folder / str(number) / "metadata.json"
        described = json.loads(path.read_text())
        described["mlflow"]["version"] = str(number)
        path.write_text(json.dumps(described))
        Metadata.read(path)
        publish(Publication(self.bucket, self.keys, number, owner), read_artifacts(folder, number))
        return number

    def serve(self, owner: str, number: int) -> None:
        where = {**self.where(), "triton_grpc_url": self.servers.triton_grpc}
        reload_triton(triton_version=number, owner=owner, load_timeout=60, **where)

    def go_live(self, owner: str, number: int) -> None:
        update_aliases(model_version=str(number), triton_version=number, owner=owner, **self.where())

    def verify(self, owner: str, number: int, classes: int = models.CLASSES) -> None:
        verify_deployment(
            triton_version=number,
            expected_input_shape=list(IMAGE.shape),
            expected_output_shape=[1, classes],
            owner=owner,
            model_version=str(number),
            **self.where(),
        )

    def deploy(self, owner: str, model: bytes | None = None) -> int:
        """Everything but the verification; the version's number in MLflow and in Triton."""
        number = self.publish(owner, model)
        self.serve(owner, number)
        self.go_live(owner, number)
        self.answers[number] = self.answer(number)
        return number

    def rollback(self, **given: Any) -> RolledBack:
        return rollback(**{**self.where(), "load_timeout": 60, **given})

    def aliases(self) -> tuple[str, str]:
        found = AliasTable(self.client, self.name).read()
        return found.live, found.previous

    def ready(self) -> set[int]:
        return set(ready_versions(self.triton, self.name))

    def named(self) -> set[int]:
        return set(config_names(self.place))

    def answer(self, number: int) -> np.ndarray:
        return self.triton.infer(self.name, number, {"input": IMAGE})["output"]

    def answers_as(self, number: int) -> bool:
        """Whether a client that names no version gets the answers of this one."""
        body = {"inputs": [{"name": "input", "shape": list(IMAGE.shape), "datatype": "FP32",
                            "data": IMAGE.ravel().tolist()}]}  # fmt: skip
        url = f"{self.servers.triton}/v2/models/{self.name}/infer"
        found = requests.post(url, json=body, timeout=30).json()["outputs"][0]["data"]
        return np.allclose(found, self.answers[number].ravel(), atol=1e-5)

    def record(self, number: int) -> dict[str, Any]:
        body, _ = self.bucket.read(self.keys.record(number)) or (b"{}", "")
        found: dict[str, Any] = json.loads(body)
        return found

    def tags(self, number: int) -> dict[str, str]:
        tags: dict[str, str] = self.client.get_model_version(self.name, str(number)).tags
        return tags
