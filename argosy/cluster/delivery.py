"""A manifest becomes an object on a server: once, whatever happens to the connection.

The server would make a name from `generateName`, but then an answer that is lost on its way leaves open
whether there is a workflow now.  So the name is chosen here, and the object is marked: a second attempt
that meets its own mark has arrived already.
"""

import logging
import random
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from argosy.cluster.api import Api, Kind, encoded, kind_of
from argosy.cluster.code import code_there, deliver_code, keep_code
from argosy.cluster.failures import ConflictError, ForbiddenError, NotFoundError, Patience
from argosy.declare.names import is_object
from argosy.errors import ManifestError
from argosy.lint.engine import refuse_invalid, refuse_too_large

MARK = "argosy.dev/submission"
PATIENCE = Patience()
# As Kubernetes: without vowels no words come about, without 0, 1 and 3 no look-alikes.
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_LONGEST_BASE = 58
_NAMES = 5
_UPDATES = 5
_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Delivered:
    """The outcome: `verb` is "created" or "updated"; `answer` is the object as the server gave it."""

    verb: str
    kind: str
    name: str
    namespace: str
    answer: dict[str, Any]

    def __str__(self) -> str:
        place = f" in namespace '{self.namespace}'" if self.namespace else ""
        return f"{self.kind} '{self.name}' {self.verb}{place}"


def deliver(
    api: Api,
    namespace: str,
    manifest: Mapping[str, Any],
    secrets: Iterable[Mapping[str, Any]] = (),
    patience: Patience | None = None,
    code: Mapping[str, Any] | None = None,
) -> Delivered:
    """Submit a manifest: a Workflow is created, the other kinds are created or updated.

    Args:
        api: the server.
        namespace: where to.
        manifest: of one of Argo's kinds.
        secrets: Secrets that must be there first.
        patience: how transient failures are met.
        code: the ConfigMap with the code of its steps, which must be there first, too. Without it, one that
            the manifest names must be there already.

    Raises:
        UsageError: the code is not there, or the server does not take it.
        ManifestError: `check_manifest` refuses it; nothing was sent.
        SubmitError: the server, or the way to it, failed.
    """
    patience = patience or PATIENCE
    check_manifest(manifest)
    kind = kind_of(manifest["kind"])
    place = namespace if kind.namespaced else ""
    body = _placed(manifest, place)
    check_manifest(body)
    deliver_secrets(api, namespace, secrets, patience)
    if code:
        deliver_code(api, namespace, code, kind, patience)
    elif api.holds_code:
        code = code_there(api, namespace, body, patience)
    if kind.updated and body["metadata"].get("name"):
        verb, answer = _apply(api, kind, place, body, patience)
    else:
        verb, answer = "created", _create(api, kind, place, body, patience)
    name = answer.get("metadata", {}).get("name", "")
    if code:
        keep_code(api, namespace, code, kind, answer, patience)
    return Delivered(verb, kind.name, name, place, answer)


def check_manifest(manifest: Mapping[str, Any]) -> None:
    """Refuse what no cluster would take.

    Raises:
        ManifestError: it is not one of Argo's kinds, has no name or spec, is too large, or is invalid.
    """
    kind = kind_of(manifest.get("kind"))
    metadata, spec = manifest.get("metadata"), manifest.get("spec")
    if not isinstance(spec, Mapping) or not spec:
        raise ManifestError(f"the {kind.name} has no 'spec'")
    metadata = metadata if isinstance(metadata, Mapping) else {}
    if not (metadata.get("name") or (metadata.get("generateName") and not kind.updated)):
        wanted = "metadata.name" if kind.updated else "metadata.name or metadata.generateName"
        raise ManifestError(f"the {kind.name} has no {wanted}")
    if (name := metadata.get("name")) and not is_object(str(name)):
        raise ManifestError(
            f"the {kind.name}'s name {name!r} is not one of lowercase letters, digits, '-' and '.'"
        )
    refuse_too_large(len(encoded(manifest)), f"the {kind.name}")
    refuse_invalid(manifest, str(metadata.get("name") or metadata.get("generateName")))


def _placed(manifest: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    metadata = {k: v for k, v in manifest["metadata"].items() if k != "namespace"}
    annotations = {**(metadata.get("annotations") or {}), MARK: uuid.uuid4().hex}
    if namespace:
        metadata["namespace"] = namespace
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _create(
    api: Api, kind: Kind, namespace: str, manifest: dict[str, Any], patience: Patience
) -> dict[str, Any]:
    metadata = manifest["metadata"]
    fixed = bool(metadata.get("name"))
    for left in reversed(range(_NAMES)):
        body = {**manifest, "metadata": metadata if fixed else _named(metadata)}
        try:
            return patience.call(lambda body=body: api.create(kind, namespace, body))  # type: ignore[misc]
        except ConflictError:
            known = _own(api, kind, namespace, body, patience)
            if known:
                return known
            if fixed or not left:
                raise
    raise AssertionError("unreachable")


def _named(metadata: dict[str, Any]) -> dict[str, Any]:
    suffix = "".join(random.choices(_ALPHABET, k=5))
    return {**metadata, "name": metadata["generateName"][:_LONGEST_BASE] + suffix}


def _own(
    api: Api, kind: Kind, namespace: str, body: dict[str, Any], patience: Patience
) -> dict[str, Any] | None:
    """The object of this name, if an earlier attempt of this very submission made it."""
    metadata = body["metadata"]
    try:
        known = patience.call(lambda: api.get(kind, namespace, metadata["name"]))
    except (NotFoundError, ForbiddenError):
        return None
    mark = (known.get("metadata", {}).get("annotations") or {}).get(MARK)
    return known if mark == metadata["annotations"][MARK] else None


def _apply(
    api: Api, kind: Kind, namespace: str, manifest: dict[str, Any], patience: Patience
) -> tuple[str, dict[str, Any]]:
    """Create or update; someone else may do so at the same time."""
    name = manifest["metadata"]["name"]
    for left in reversed(range(_UPDATES)):
        try:
            known = patience.call(lambda: api.get(kind, namespace, name))
        except NotFoundError:
            known = None
        try:
            if known is None:
                return "created", patience.call(lambda: api.create(kind, namespace, manifest))
            body = _over(known, manifest)
            return "updated", patience.call(lambda body=body: api.replace(kind, namespace, body))  # type: ignore[misc]
        except ConflictError:
            if not left:
                raise
    raise AssertionError("unreachable")


def _over(known: dict[str, Any], manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest as the next version of `known`; what the controller noted there stays."""
    version = known.get("metadata", {}).get("resourceVersion")
    metadata = {**manifest["metadata"], **({"resourceVersion": version} if version else {})}
    body = {**manifest, "metadata": metadata}
    return {**body, "status": known["status"]} if "status" in known else body


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
