"""The Secrets that a Couler program makes, which its steps read."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from argosy.cluster.api import Api
from argosy.cluster.failures import ConflictError, Patience

_LOGGER = logging.getLogger(__name__)


def secret_manifests(secrets: Iterable[Any] | None) -> list[dict[str, Any]]:
    """The manifests of what `couler.create_secret` noted, but for those that it shall not make."""
    made = [s for s in secrets or () if not (s.dry_run or getattr(s, "use_existing", False))]
    return [_plain(s.to_yaml()) for s in made]


def _plain(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _plain(v) if isinstance(v, Mapping) else v for k, v in manifest.items()}


def deliver_secrets(
    api: Api, namespace: str, secrets: Iterable[Mapping[str, Any]], patience: Patience
) -> None:
    """Make each Secret in the workflow's namespace, which is the only one that its pods can read.

    Raises:
        ConflictError: there is one of that name with other content; it stays as it is.
    """
    for secret in secrets:
        name = secret["metadata"]["name"]
        body = {**secret, "metadata": {**secret["metadata"], "namespace": namespace}}
        try:
            patience.call(lambda body=body: api.create_secret(namespace, body))  # type: ignore[misc]
            _LOGGER.info("Secret '%s' created in namespace '%s'", name, namespace)
        except ConflictError:
            known = patience.call(lambda name=name: api.get_secret(namespace, name))  # type: ignore[misc]
            if known.get("data") != body.get("data"):
                raise ConflictError(
                    f"there is a Secret '{name}' with other content in namespace '{namespace}'; "
                    "name the new one otherwise, or delete the old one"
                ) from None
