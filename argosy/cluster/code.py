"""The ConfigMaps that hold the code of steps: made before a workflow, and gone with the last that uses them.

A ConfigMap that a submission makes belongs to its Workflow, and to each later one that uses it: Kubernetes
deletes it with the last of them. One that a template uses, or that somebody applied, belongs to nobody and
stays; `argosy prune-code` finds those that nothing refers to.
"""

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from argosy.cluster.api import Api
from argosy.cluster.errors import ConflictError, NotFoundError, SubmitError, TransientError
from argosy.cluster.kinds import API_VERSION, CONFIG_MAP, KINDS, WORKFLOW, Kind
from argosy.cluster.patience import Patience
from argosy.code.bundle.archive import DIGEST, LABEL

_LOGGER = logging.getLogger(__name__)
_UPDATES = 5


def deliver_code(api: Api, namespace: str, code: Mapping[str, Any], patience: Patience) -> bool:
    """Make the ConfigMap unless it is there; whether it was made now.

    Raises:
        ConflictError: there is one of that name with other content; it stays as it is.
    """
    name = code["metadata"]["name"]
    body = {**code, "metadata": {**code["metadata"], "namespace": namespace}}
    try:
        patience.call(lambda: api.create(CONFIG_MAP, namespace, body))
        return True
    except ConflictError:
        known = patience.call(lambda: api.get(CONFIG_MAP, namespace, name))
        if _digest(known) != _digest(code):
            raise ConflictError(
                f"there is a ConfigMap '{name}' with other content in namespace '{namespace}'; delete it"
            ) from None
        return False


def keep_code(
    api: Api,
    namespace: str,
    code: Mapping[str, Any],
    kind: Kind,
    user: Mapping[str, Any],
    patience: Patience,
    *,
    made: bool,
) -> None:
    """Note who uses the ConfigMap, so that it lives as long as they do.

    Args:
        api, namespace, code, patience: as for `deliver_code`.
        kind, user: the object that uses it, as the server answered.
        made: whether it was made for this one.
    """
    for _ in range(_UPDATES):
        try:
            return _note_user(api, namespace, code, kind, user, made)
        except NotFoundError:  # the last that used it has just ended
            made = deliver_code(api, namespace, code, patience)
        except (ConflictError, TransientError):
            continue
        except SubmitError as error:  # the workflow is there already: this is no failure of it
            return _warn(code, user, str(error))
    return _warn(code, user, "others keep changing it")


def _note_user(
    api: Api, namespace: str, code: Mapping[str, Any], kind: Kind, user: Mapping[str, Any], made: bool
) -> None:
    known = api.get(CONFIG_MAP, namespace, code["metadata"]["name"])
    owners = _owners(known, kind, user, made)
    if owners is not None:
        metadata = {**known["metadata"], "ownerReferences": owners}
        api.replace(CONFIG_MAP, namespace, {**known, "metadata": metadata})


def _warn(code: Mapping[str, Any], user: Mapping[str, Any], why: str) -> None:
    names = code["metadata"]["name"], user["metadata"]["name"]
    _LOGGER.warning("ConfigMap '%s' is not bound to the life of '%s': %s", *names, why)


def _owners(
    known: Mapping[str, Any], kind: Kind, user: Mapping[str, Any], made: bool
) -> list[dict[str, Any]] | None:
    """The owners as they should be; None where nothing changes."""
    owners = list(known["metadata"].get("ownerReferences") or ())
    if kind is not WORKFLOW:
        return [] if owners else None
    if not made and not owners:
        return None  # a template's, or somebody's
    metadata = user["metadata"]
    own = {"apiVersion": API_VERSION, "kind": kind.name, "name": metadata["name"], "uid": metadata["uid"]}
    return None if own in owners else [*owners, own]


def unused_code(api: Api, namespace: str) -> list[dict[str, Any]]:
    """The ConfigMaps of code in a namespace that no workflow, template or schedule there refers to."""
    found = api.all_of(CONFIG_MAP, namespace, f"{LABEL}=bundle")
    if not found:
        return []
    users = [u for kind in KINDS.values() if kind.namespaced for u in api.all_of(kind, namespace)]
    texts = [json.dumps([u.get("spec"), (u.get("status") or {}).get("storedTemplates")]) for u in users]
    return [
        m
        for m in found
        if not m["metadata"].get("ownerReferences")
        and not any(f'"{m["metadata"]["name"]}"' in text for text in texts)
    ]


def delete_code(api: Api, namespace: str, name: str) -> None:
    """Delete a ConfigMap; that it is gone already is no error."""
    with suppress(NotFoundError):
        api.delete(CONFIG_MAP, namespace, name)


def _digest(config_map: Mapping[str, Any]) -> str | None:
    digest: str | None = (config_map["metadata"].get("annotations") or {}).get(DIGEST)
    return digest
