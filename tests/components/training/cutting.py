"""Cut a step off between two writes to MLflow."""

from collections.abc import Callable

import pytest
from mlflow.tracking import MlflowClient

# What is written about registered models; runs and files are written before.
WRITES = (
    "create_registered_model",
    "create_model_version",
    "set_model_version_tag",
    "set_registered_model_alias",
)


class Cut(BaseException):
    """The process ends here."""


class Writes:
    """Lets so many writes to MLflow through, then cuts; counts them."""

    def __init__(self, patch: pytest.MonkeyPatch, allowed: int) -> None:
        self.allowed, self.done = allowed, 0
        for write in WRITES:
            patch.setattr(MlflowClient, write, self._counting(getattr(MlflowClient, write)))

    def _counting(self, real: Callable[..., object]) -> Callable[..., object]:
        def write(*args: object, **settings: object) -> object:
            if self.done == self.allowed:
                raise Cut
            self.done += 1
            return real(*args, **settings)

        return write
