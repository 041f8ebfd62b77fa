"""A client of MLflow that dies in the middle of its work, as a killed step does."""

from collections.abc import Callable
from typing import Any

from mlflow.tracking import MlflowClient


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

    def delete_model_version_tag(self, *args: Any, **options: Any) -> None:
        self._write(super().delete_model_version_tag, *args, **options)


def dies(client: MortalClient, call: Callable[[MortalClient], object]) -> bool:
    """Whether the client died during the call."""
    try:
        call(client)
    except Killed:
        return True
    return False
