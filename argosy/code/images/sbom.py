"""The content of an image, as a CycloneDX document that refers to it.

https://cyclonedx.org/docs/1.5/json/ and, for referrers,
https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-manifests-with-subject
"""

import json
from collections.abc import Sequence
from typing import Any

from argosy import __version__
from argosy.code.images import Missing
from argosy.code.images.image import INDEX, MANIFEST, Image
from argosy.code.images.layers import Blob
from argosy.code.images.reference import Reference
from argosy.code.images.registry import Registry

TYPE = "application/vnd.cyclonedx+json"
_EMPTY = Blob.of(b"{}")
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


def sbom(image: Image, name: str, locked: Sequence[str]) -> Blob:
    """The bill of materials of an image: its base, the SDK, and the locked packages.

    Which image it is of, the referrer says: so it stays the same, and is sent once, while only code changes.
    """
    base = image.base.image
    parts = [{"type": "container", "name": base.name, "version": base.digest}]
    parts += [_package("argosy", __version__)]
    for line in locked:
        package, _, version = line.partition(" ")[0].partition("==")
        parts.append(_package(package, version))
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": name}},
        "components": parts,
    }
    return Blob.of(json.dumps(document, indent=1, sort_keys=True).encode())


def _package(name: str, version: str) -> dict[str, str]:
    word = name.partition("[")[0].lower().replace("_", "-")
    return {"type": "library", "name": word, "version": version, "purl": f"pkg:pypi/{word}@{version}"}


def attach(registry: Registry, target: Reference, image: Image, content: Blob) -> str:
    """Store a document as a referrer of an image; returns the digest of its manifest."""
    subject = {key: value for key, value in image.descriptor().items() if key != "platform"}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": TYPE,
        "config": {"mediaType": _EMPTY_TYPE, "digest": _EMPTY.digest, "size": _EMPTY.size},
        "layers": [{"mediaType": TYPE, "digest": content.digest, "size": content.size}],
        "subject": subject,
    }
    stored = Blob.of(_json(manifest))
    if registry.digest(target.at(stored.digest)) is None:
        for blob in (_EMPTY, content):
            if not registry.has(target, blob.digest):
                registry.upload(target, blob)
        taken = registry.put_manifest(target.at(stored.digest), _json(manifest), MANIFEST)
        if taken is None:
            _list_by_tag(registry, target, subject["digest"], stored)
    return stored.digest


def _list_by_tag(registry: Registry, target: Reference, subject: str, stored: Blob) -> None:
    """Note the referrer under the tag where clients look in registries that keep no list themselves."""
    place = Reference(target.host, target.repository, subject.replace(":", "-"))
    try:
        known = json.loads(registry.manifest(place)[0]).get("manifests", [])
    except Missing:
        known = []
    entry = {"mediaType": MANIFEST, "digest": stored.digest, "size": stored.size, "artifactType": TYPE}
    others = [e for e in known if e["digest"] != stored.digest]
    index: dict[str, Any] = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*others, entry]}
    registry.put_manifest(place, _json(index), INDEX)


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), sort_keys=True).encode()
