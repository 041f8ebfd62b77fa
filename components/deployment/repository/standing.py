"""Which published versions something stands on, so that they are neither pruned nor replaced."""

from __future__ import annotations

from typing import TYPE_CHECKING

from argosy.components.deployment.model.layout import ModelKeys, version_number
from argosy.components.deployment.model.triton_config import named_versions
from argosy.components.shared import registry
from argosy.components.shared.s3 import Bucket
from argosy.errors import StepError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_ALIASES = ("live", "previous")
_TRITON_VERSION = "triton.version"


def standing(client: MlflowClient, bucket: Bucket, keys: ModelKeys) -> dict[int, str]:
    """The versions that `live` and `previous` stand for, and those that config.pbtxt names: number -> why.

    Raises:
        StepError: MLflow or S3 failed, MLflow does not know the model, or an alias's version does not say
            which Triton version it is: then nobody can tell what is live.
    """
    config = bucket.read(keys.config)
    named = named_versions(config[0].decode("utf-8", "replace")) if config else None
    return dict.fromkeys(named or (), "named in config.pbtxt") | _behind_aliases(client, keys.model)


def _behind_aliases(client: MlflowClient, name: str) -> dict[int, str]:
    model = registry.find_model(client, name)
    if model is None:
        raise StepError(f"MLflow has no registered model {name!r}: nobody can tell which version is live")
    found = {}
    for alias in reversed(_ALIASES):
        if alias not in model.aliases:
            continue
        version = registry.get_version(client, name, model.aliases[alias])
        number = version_number(version.tags.get(_TRITON_VERSION, ""))
        if number is None:
            raise StepError(
                f"version {version.version} of {name!r} has alias {alias!r} and no tag {_TRITON_VERSION!r}: "
                "nobody can tell which version is live; deploy it again, or set the tag"
            )
        found[number] = alias
    return found
