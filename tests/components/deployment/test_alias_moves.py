"""`live` and `previous`, on the real MLflow server."""

from collections.abc import Callable
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from argosy.components.deployment.alias_moves import Aliases, go_live
from argosy.components.shared import registry
from argosy.errors import StepError
from tests.components.deployment.conftest import Servers

NewVersions = Callable[[int], None]


class Killed(Exception):
    """The step ended in the middle."""


class MortalClient(MlflowClient):
    """A real client that dies before its n-th write, and checks after each write that nothing is broken."""

    def __init__(self, uri: str, name: str, writes: int) -> None:
        super().__init__(tracking_uri=uri, registry_uri=uri)
        self.model, self.left = name, writes

    def _write(self, call: Callable[..., Any], *args: Any, **options: Any) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1
        call(*args, **options)
        aliases = self.get_registered_model(self.model).aliases
        assert aliases.get("live") is None or aliases.get("live") != aliases.get("previous")

    def set_registered_model_alias(self, name: str, alias: str, version: str) -> None:
        self._write(super().set_registered_model_alias, name, alias, version)

    def delete_registered_model_alias(self, name: str, alias: str) -> None:
        self._write(super().delete_registered_model_alias, name, alias)

    def set_model_version_tag(self, *args: Any, **options: Any) -> None:
        self._write(super().set_model_version_tag, *args, **options)


@pytest.fixture
def four_versions(client: MlflowClient, name: str) -> str:
    """A model with versions 1 to 4 and no aliases; its name."""
    registry.ensure_model(client, name)
    for _ in range(4):
        client.create_model_version(name, "s3://nowhere/model")
    return name


def start(client: MlflowClient, name: str, aliases: Aliases) -> None:
    for alias, version in (("live", aliases.live), ("previous", aliases.previous)):
        if version:
            registry.set_alias(client, name, alias, version)


MOVES = [
    # before, the version that goes live, after
    (Aliases("", ""), "1", Aliases("1", "")),
    (Aliases("1", ""), "2", Aliases("2", "1")),
    (Aliases("2", "1"), "3", Aliases("3", "2")),
    (Aliases("2", "1"), "1", Aliases("1", "2")),  # back to the rollback target: they change places
    (Aliases("3", "1"), "2", Aliases("2", "3")),
    (Aliases("2", "1"), "2", Aliases("2", "1")),  # deployed again: nothing moves
    (Aliases("", "1"), "1", Aliases("1", "")),
    (Aliases("", "1"), "2", Aliases("2", "1")),
]


@pytest.mark.parametrize(("before", "new", "expected"), MOVES)
def test_moves(
    client: MlflowClient, four_versions: str, before: Aliases, new: str, expected: Aliases
) -> None:
    start(client, four_versions, before)
    assert go_live(client, four_versions, new, 7) == expected
    tags = client.get_model_version(four_versions, new).tags
    assert tags["triton.version"] == "7"
    assert go_live(client, four_versions, new, 7) == expected
    assert client.get_model_version(four_versions, new).tags == tags


@pytest.mark.parametrize("writes", range(6))
@pytest.mark.parametrize("new", ["3", "1"])
def test_killed_anywhere_and_run_again(
    servers: Servers, client: MlflowClient, four_versions: str, new: str, writes: int
) -> None:
    start(client, four_versions, Aliases("2", "1"))
    mortal = MortalClient(servers.mlflow, four_versions, writes)
    try:
        go_live(mortal, four_versions, new, 7)
    except Killed:
        pass
    else:
        assert writes >= 5
    assert go_live(client, four_versions, new, 7) == Aliases(new, "2")


def test_the_next_triton_version_is_noted(client: MlflowClient, four_versions: str) -> None:
    go_live(client, four_versions, "1", 7)
    go_live(client, four_versions, "1", 8)
    assert client.get_model_version(four_versions, "1").tags["triton.version"] == "8"


def test_a_version_that_does_not_exist(client: MlflowClient, four_versions: str) -> None:
    start(client, four_versions, Aliases("2", "1"))
    with pytest.raises(StepError, match="find version 9 of model"):
        go_live(client, four_versions, "9", 7)
    assert dict(client.get_registered_model(four_versions).aliases) == {"live": "2", "previous": "1"}
