"""Hostile values as parameters of the real steps: refused in one line or data, and nothing else happens."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from argosy.components import deployment
from argosy.components.shared import s3
from argosy.components.shared.s3 import Bucket
from argosy.compose.given import check_values
from argosy.declare.component import Component
from argosy.errors import ArgosyError, StepError, UsageError
from argosy.step.interface import ArtifactKind
from argosy.step.values import ValueType
from tests.components.deployment.conftest import Servers
from tests.security.hostile import CANARY, VALUES


def _reaches_a_step(value: str) -> bool:
    try:
        check_values({"x": value})
    except UsageError:
        return False
    return True


STEPS: list[Component[Any, Any]] = [getattr(deployment, name) for name in deployment.__all__]
# What no command line can carry, or a step refuses as no text, is refused before the step's own code.
CARRIED = [value for value in VALUES if _reaches_a_step(value)]
PLACES = [
    (step.interface.name, port.name)
    for step in STEPS
    for port in step.interface.inputs
    if isinstance(port.type, ValueType) and port.type.base is str and not port.type.choices
]

SHARES = 10


def _share(step_name: str, parameter: str) -> list[str]:
    """The values that are tried here: a tenth of all, others for each place, and every one somewhere."""
    return CARRIED[PLACES.index((step_name, parameter)) % SHARES :: SHARES]


@pytest.fixture(scope="module")
def _empty(servers: Servers) -> str:
    """A bucket of this file's own: each case lists it twice, and the shared one holds the data sets."""
    made = s3.connect(servers.bucket).client.create_bucket(Bucket="hostile-parameters")
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 200
    return "hostile-parameters"


@pytest.fixture
def bucket(_empty: str) -> Bucket:
    return s3.connect(_empty)


@pytest.fixture
def inputs(servers: Servers, bucket: Bucket, tmp_path: Path) -> dict[str, Any]:
    """Every input of every step, so that nothing but the value that is tried is wrong."""
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "file").write_bytes(b"nothing")
    return {
        "model_name": "hostile-model",
        "source": "alias:deploy",
        "owner": "workflow-1",
        "model_version": "1",
        "model_sha256": "0" * 64,
        "deployed_by": "pod",
        "mlflow_tracking_uri": servers.mlflow,
        "s3_bucket": bucket.name,
        "s3_prefix": "models",
        "triton_url": servers.triton,
        "triton_grpc_url": servers.triton_grpc,
        "triton_version": 1,
        "load_timeout": 1,
        "dry_run": True,
        "model": tmp_path / "file",
        "metadata": tmp_path / "file",
        "artifacts": tmp_path / "artifacts",
    }


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "3")
    # boto3 takes a third of a second for each new client.
    monkeypatch.setattr(s3, "make_client", cache(s3.make_client))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    yield
    assert not list((tmp_path / "cwd").iterdir())


def _outcome(step: Component[Any, Any], given: dict[str, Any]) -> str:
    """What the step raised; every error of a user's is one line."""
    try:
        step(**given)
    except ArgosyError as error:
        assert len(str(error).splitlines()) == 1, ascii(str(error))
        assert len(str(error)) < 1500
        return str(error)
    return ""


@pytest.mark.parametrize(("step_name", "parameter"), PLACES, ids=lambda value: value)
def test_refused_in_one_line_or_data(
    step_name: str, parameter: str, inputs: dict[str, Any], bucket: Bucket
) -> None:
    step = next(s for s in STEPS if s.interface.name == step_name)
    given = {port.name: inputs[port.name] for port in step.interface.inputs if port.name in inputs}
    before = set(bucket.keys(""))
    for value in _share(step_name, parameter):
        _outcome(step, {**given, parameter: value})
    made = set(bucket.keys("")) - before
    # Without a model there is nothing to publish, only to claim and to note that it failed.
    allowed = ("claims/", "locks/", "deployments/")
    assert all(key.startswith(allowed) for key in made), sorted(made)
    assert not [key for key in made if ".." in key or "//" in key or CANARY in key]


def test_every_step_is_tried() -> None:
    assert len(STEPS) >= 7
    assert len(PLACES) >= SHARES
    assert {parameter for _, parameter in PLACES} >= {
        "model_name",
        "s3_bucket",
        "s3_prefix",
        "source",
        "owner",
    }


@pytest.mark.parametrize("what", ["file", "artifacts"])
def test_artifacts_that_are_no_artifacts(what: str, inputs: dict[str, Any], tmp_path: Path) -> None:
    kinds = [p for s in STEPS for p in s.interface.inputs if isinstance(p.type, ArtifactKind)]
    assert kinds
    step = deployment.prepare_artifacts if what == "file" else deployment.upload_to_s3
    given = {port.name: inputs[port.name] for port in step.interface.inputs if port.name in inputs}
    with pytest.raises(StepError):
        step(**given)
