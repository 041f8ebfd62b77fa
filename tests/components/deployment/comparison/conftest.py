"""A model with a live version, and candidates that are compared with it, on the real servers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import onnx
import pytest
from mlflow.tracking import MlflowClient
from onnx import helper, numpy_helper

from argosy.components.deployment import compare_live
from argosy.components.deployment.compare_live import Comparison
from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.swap.sole import Place
from argosy.components.shared.run_files import INPUTS_FILE, LABELS_FILE
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton import Triton
from tests.components.deployment import models
from tests.components.deployment.conftest import Servers
from tests.components.deployment.fleet import IMAGE, Fleet

IMAGES = 24
# Both versions share two loaded cores here; how fast they are is not what these tests are about.
PATIENT = {"max_p50_ratio": 1000, "max_p95_ratio": 1000}


@dataclass
class Gate:
    """A fleet whose candidates have a training run with validation images, which `conv_net(1)` gets right."""

    fleet: Fleet
    run_id: str = ""
    failed: list[str] = field(default_factory=list)

    def candidate(self, owner: str, model: bytes) -> int:
        """Publish it, as a deployment does before Gate 3."""
        number = self.fleet.publish(owner, model)
        self.fleet.client.set_model_version_tag(
            self.fleet.name, str(number), "pytorch.run_id", self._training_run()
        )
        return number

    def compare(self, number: int, owner: str = "candidate", **given: Any) -> Comparison:
        inputs = {"limits": PATIENT, "images": IMAGES, "load_timeout": 60, **given}
        where = {**self.fleet.where(), "triton_grpc_url": self.fleet.servers.triton_grpc}
        names = {"triton_version": number, "model_version": str(number), "owner": owner}
        return compare_live(**{**where, **names, **inputs})

    def left(self) -> list[str]:
        """Keys of copies in the repository, and candidates that Triton serves."""
        fleet = self.fleet
        copies = list(fleet.bucket.keys(f"{fleet.keys.prefix}/{fleet.name}.candidate-"))
        index = fleet.triton._call("POST", "/v2/repository/index", "list", json={}).json()
        named = [entry for entry in index if entry["name"].startswith(f"{fleet.name}.candidate-")]
        return copies + [entry["name"] for entry in named if entry.get("state") == "READY"]

    @contextmanager
    def traffic(self) -> Iterator[None]:
        """While inside: a client that names no version; what fails or is not live's goes to `failed`."""
        over = threading.Event()

        def client() -> None:
            while not over.is_set():
                try:
                    if not self.fleet.answers_as(1):
                        self.failed.append("another version answered")
                except Exception as error:
                    self.failed.append(repr(error))

        thread = threading.Thread(target=client)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def record(self, prefix: str, *bodies: object) -> str:
        """Recorded requests, one key each; the prefix's address."""
        for number, body in enumerate(bodies):
            text = body if isinstance(body, str) else json.dumps(body)
            self.fleet.bucket.write_if_absent(f"{prefix}/{number}.json", text.encode())
        return f"s3://{self.fleet.bucket.name}/{prefix}"

    def _training_run(self) -> str:
        if not self.run_id:
            inputs = np.random.default_rng(3).standard_normal((IMAGES, *IMAGE.shape[1:])).astype(np.float32)
            labels = np.array([self._named(one[None]) for one in inputs])
            mlflow.set_experiment("comparison")
            with mlflow.start_run() as run:
                for name, array in ((INPUTS_FILE, inputs), (LABELS_FILE, labels)):
                    path = self.fleet.folder / name
                    np.save(path, array)
                    mlflow.log_artifact(str(path))
            self.run_id = run.info.run_id
        return self.run_id

    def _named(self, image: np.ndarray) -> int:
        from argosy.components.deployment.verification.checks import Reference

        path = self.fleet.folder / "truth.onnx"
        path.write_bytes(models.conv_net(1))
        return int(Reference(path).answer({"input": image})["output"].argmax())


@pytest.fixture
def fleet(
    servers: Servers, client: MlflowClient, bucket: Bucket, keys: ModelKeys, triton: Triton, tmp_path: Path
) -> Fleet:
    return Fleet(servers, client, Place(triton, bucket, keys), tmp_path)


@pytest.fixture
def gate(fleet: Fleet) -> Gate:
    """Version 1, `conv_net(1)`, is live."""
    fleet.deploy("first")
    return Gate(fleet)


def edited(edit: Callable[[onnx.ModelProto], None], seed: int = 1, classes: int = models.CLASSES) -> bytes:
    """`conv_net(seed)` after an edit."""
    model = onnx.load_from_string(models.conv_net(seed, classes=classes))
    edit(model)
    return bytes(model.SerializeToString())


def scaled(factor: float) -> bytes:
    """`conv_net(1)` with its last weights times a factor: it names the same classes."""

    def scale(model: onnx.ModelProto) -> None:
        (linear,) = (one for one in model.graph.initializer if one.name == "linear")
        array = (numpy_helper.to_array(linear) * np.float32(factor)).astype(np.float32)
        linear.CopyFrom(numpy_helper.from_array(array, "linear"))

    return edited(scale)


def of_any_width(classes: int) -> bytes:
    """A network that leaves open how many classes it tells apart, and tells this many of at most 12."""

    def open_up(model: onnx.ModelProto) -> None:
        graph = model.graph
        graph.node[-1].output[0] = "all"
        numbers = {"none": [0], "first": [0], "axis": [1], "classes": [classes]}
        graph.initializer.extend(
            numpy_helper.from_array(np.array(value, np.int64), name) for name, value in numbers.items()
        )
        # From the batch, which nobody knows beforehand: else ONNX Runtime would infer the width.
        graph.node.extend(
            [
                helper.make_node("Shape", ["input"], ["batch"], start=0, end=1),
                helper.make_node("Mul", ["batch", "none"], ["zero"]),
                helper.make_node("Add", ["zero", "classes"], ["width"]),
                helper.make_node("Slice", ["all", "first", "width", "axis"], ["output"]),
            ]
        )
        graph.output[0].type.tensor_type.shape.dim[1].dim_param = "classes"

    return edited(open_up, classes=12)


def request_of(image: np.ndarray) -> dict[str, Any]:
    """The JSON body of a client's request."""
    tensor = {"name": "input", "shape": list(image.shape), "datatype": "FP32", "data": image.ravel().tolist()}
    return {"inputs": [tensor]}
