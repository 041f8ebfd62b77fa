"""The ConfigMaps that hold the code of steps: made before a workflow, and gone with the last that uses them.

A ConfigMap that a Workflow's submission makes is marked so, and belongs to its Workflow and to each later one
that uses it: Kubernetes deletes it with the last of them. One that a template uses, or that somebody applied,
belongs to nobody and stays; `argosy prune-code` finds those that nothing refers to.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from argosy.cluster.api import API_VERSION, CONFIG_MAP, KINDS, WORKFLOW, Api, Kind, kind_of
from argosy.cluster.failures import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    Patience,
    SubmitError,
    TransientError,
)
from argosy.code.bundle.archive import DIGEST, LABEL, LIVES_WITH
from argosy.code.bundle.attach import named_in
from argosy.errors import UsageError

_LOGGER = logging.getLogger(__name__)
_OF_CLUSTER = KINDS["ClusterWorkflowTemplate"]
_UPDATES = 5


def deliver_code(api: Api, namespace: str, code: Mapping[str, Any], kind: Kind, patience: Patience) -> None:
    """Make the ConfigMap unless it is there.

    Args:
        api, namespace: where to.
        code: the ConfigMap.
        kind: of the object that will use it.
        patience: how transient failures are met.

    Raises:
        ConflictError: there is one of that name with other content; it stays as it is.
    """
    metadata = code["metadata"]
    name, annotations = metadata["name"], dict(metadata.get("annotations") or {})
    if kind is WORKFLOW or not kind.namespaced:
        # From the beginning: the first owner is noted only when its Workflow has a uid, and another
        # submission may come in between.
        annotations.setdefault(LIVES_WITH, kind.plural)
    body = {**code, "metadata": {**metadata, "namespace": namespace, "annotations": annotations}}
    try:
        patience.call(lambda: api.create(CONFIG_MAP, namespace, body))
    except ConflictError:
        known = patience.call(lambda: api.get(CONFIG_MAP, namespace, name))
        if _digest(known) != _digest(code):
            raise ConflictError(
                f"there is a ConfigMap '{name}' with other content in namespace '{namespace}'; delete it"
            ) from None


def code_there(
    api: Api, namespace: str, manifest: Mapping[str, Any], patience: Patience
) -> dict[str, Any] | None:
    """The ConfigMap that the steps of a compiled manifest mount, as it is in the cluster.

    None where they mount none, where it is not known in which namespaces they will run, or where we may not
    look.

    Raises:
        UsageError: it is not there.
    """
    name = named_in(manifest)
    if name is None or not kind_of(manifest["kind"]).namespaced:
        return None
    try:
        known = patience.call(lambda: api.get(CONFIG_MAP, namespace, name))
    except ForbiddenError:
        return None
    except NotFoundError:
        raise UsageError(
            f"the code of the steps, ConfigMap '{name}', is in no file beside the manifest and not in "
            f"namespace '{namespace}'; compile again with 'argosy compile FILE.py -o DIR'"
        ) from None
    kept = {
        key: known["metadata"][key] for key in ("name", "labels", "annotations") if key in known["metadata"]
    }
    return {**known, "metadata": kept}


def keep_code(
    api: Api,
    namespace: str,
    code: Mapping[str, Any],
    kind: Kind,
    user: Mapping[str, Any],
    patience: Patience,
) -> None:
    """Note who uses the ConfigMap, so that it lives as long as they do.

    Args:
        api, namespace, code, patience: as for `deliver_code`.
        kind, user: the object that uses it, as the server answered.
    """
    for _ in range(_UPDATES):
        try:
            return _note_user(api, namespace, code, kind, user)
        except NotFoundError:  # the last that used it has just ended
            deliver_code(api, namespace, code, kind, patience)
        except (ConflictError, TransientError):
            continue
        except SubmitError as error:  # the workflow is there already: this is no failure of it
            return _warn(code, user, str(error))
    return _warn(code, user, "others keep changing it")


def _note_user(
    api: Api, namespace: str, code: Mapping[str, Any], kind: Kind, user: Mapping[str, Any]
) -> None:
    known = api.get(CONFIG_MAP, namespace, code["metadata"]["name"])
    metadata = _noted(known["metadata"], kind, user)
    if metadata != known["metadata"]:
        api.replace(CONFIG_MAP, namespace, {**known, "metadata": metadata})


def _warn(code: Mapping[str, Any], user: Mapping[str, Any], why: str) -> None:
    names = code["metadata"]["name"], user["metadata"]["name"]
    _LOGGER.warning("ConfigMap '%s' is not bound to the life of '%s': %s", *names, why)


def _noted(known: Mapping[str, Any], kind: Kind, user: Mapping[str, Any]) -> dict[str, Any]:
    """The ConfigMap's metadata, with the object that uses it among the owners if it is a Workflow."""
    owners = list(known.get("ownerReferences") or ())
    annotations = dict(known.get("annotations") or {})
    of_workflows = annotations.get(LIVES_WITH) == WORKFLOW.plural
    if kind is not WORKFLOW:
        if not kind.namespaced:
            annotations[LIVES_WITH] = kind.plural
        elif of_workflows:
            del annotations[LIVES_WITH]
        rest = {k: v for k, v in known.items() if k != "ownerReferences"}
        return {**rest, "annotations": annotations} if annotations or "annotations" in known else rest
    if not owners and not of_workflows:
        return dict(known)  # a template's, or somebody's
    metadata = user["metadata"]
    own = {"apiVersion": API_VERSION, "kind": kind.name, "name": metadata["name"], "uid": metadata["uid"]}
    return {**known, "ownerReferences": owners if own in owners else [*owners, own]}


def unused_code(api: Api, namespace: str) -> list[dict[str, Any]]:
    """The ConfigMaps of code in a namespace that no workflow, template or schedule refers to.

    One that was made for a template of the whole cluster counts as used where we may not look at those.
    """
    found = [m for m in api.all_of(CONFIG_MAP, namespace, f"{LABEL}=bundle") if not _owners(m)]
    if found:
        found = _unnamed(found, (u for k in KINDS.values() if k.namespaced for u in api.all_of(k, namespace)))
    of_cluster = [m for m in found if _annotations(m).get(LIVES_WITH) == _OF_CLUSTER.plural]
    if not of_cluster:
        return found
    with suppress(ForbiddenError, NotFoundError):
        return _unnamed(found, api.all_of(_OF_CLUSTER, ""))
    return [m for m in found if m not in of_cluster]


def _unnamed(config_maps: list[dict[str, Any]], users: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of the ConfigMaps whose name stands in none of the objects."""
    texts = [json.dumps([u.get("spec"), (u.get("status") or {}).get("storedTemplates")]) for u in users]
    return [m for m in config_maps if not any(f'"{m["metadata"]["name"]}"' in text for text in texts)]


def _owners(config_map: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(config_map["metadata"].get("ownerReferences") or ())


def _annotations(config_map: Mapping[str, Any]) -> dict[str, str]:
    return dict(config_map["metadata"].get("annotations") or {})


def delete_code(api: Api, namespace: str, name: str) -> None:
    """Delete a ConfigMap; that it is gone already is no error."""
    with suppress(NotFoundError):
        api.delete(CONFIG_MAP, namespace, name)


def _digest(config_map: Mapping[str, Any]) -> str | None:
    return _annotations(config_map).get(DIGEST)
