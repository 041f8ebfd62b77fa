"""Images as the OCI image format has them: a base, layers upon it, configuration, manifest, index, content.

https://github.com/opencontainers/image-spec/blob/v1.1.0/manifest.md

The content of an image is a CycloneDX document that refers to it:
https://cyclonedx.org/docs/1.5/json/ and, for referrers,
https://github.com/opencontainers/distribution-spec/blob/v1.1.0/spec.md#pushing-manifests-with-subject
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from argosy import __version__
from argosy.code.images import BuildError, Missing
from argosy.code.images.layers import Blob, Layer, digest_of
from argosy.code.images.reference import Reference
from argosy.code.images.registry import Registry
from argosy.errors import UsageError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYERS = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
}
_EPOCH = "1970-01-01T00:00:00Z"
# Steps run as this user where the base image names none, or names root.
USER = "10001:10001"
BILL = "application/vnd.cyclonedx+json"
_EMPTY = Blob.of(b"{}")
_EMPTY_TYPE = "application/vnd.oci.empty.v1+json"


@dataclass(frozen=True)
class Platform:
    """The platform of an image."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> "Platform":
        """The platform of a text such as `linux/arm64`; raises UsageError for another form."""
        parts = text.split("/")
        if len(parts) not in (2, 3) or not all(parts) or parts[0] != "linux":
            raise UsageError(f"{text!r} is not a platform such as linux/amd64 or linux/arm64")
        return cls(*parts)

    def __str__(self) -> str:
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))

    def to_dict(self) -> dict[str, str]:
        """As an index names it."""
        pairs = {"architecture": self.architecture, "os": self.os, "variant": self.variant}
        return {key: value for key, value in pairs.items() if value}


@dataclass(frozen=True)
class Base:
    """A base image for one platform.

    Attributes:
        image: its name, by digest.
        registry: where its layers are.
        layers: their descriptors, in OCI's words.
        config: its configuration.
    """

    image: Reference
    registry: Registry
    layers: Sequence[Mapping[str, Any]]
    config: Mapping[str, Any]

    @property
    def variables(self) -> dict[str, str]:
        """The environment that it sets."""
        entries = (self.config.get("config") or {}).get("Env") or ()
        return dict(entry.partition("=")[::2] for entry in entries)


def read_base(registry: Registry, image: Reference, platform: Platform) -> Base:
    """A base image, from its registry.

    Raises:
        BuildError: it is not there, not for this platform, or in no form that can be built upon.
    """
    named = image
    data, kind = registry.manifest(image)
    manifest = _json(data, image)
    if "manifests" in manifest:
        image = image.at(_chosen(manifest["manifests"], image, platform))
        data, kind = registry.manifest(image)
        manifest = _json(data, image)
    else:
        image = image.at(digest_of(data))
    if not isinstance(manifest.get("config"), dict):
        raise BuildError(f"'{image}' is in an old format ({kind}) that nothing can be built upon")
    config = _json(registry.blob(image, manifest["config"]["digest"]), image)
    own = (config.get("os", "linux"), config.get("architecture"))
    if own != (platform.os, platform.architecture):
        raise BuildError(f"'{named}' is not there for {platform}; it is for {'/'.join(map(str, own))}")
    layers = [{**d, "mediaType": _LAYERS.get(d["mediaType"], d["mediaType"])} for d in manifest["layers"]]
    return Base(image, registry, layers, config)


def _chosen(entries: Sequence[Mapping[str, Any]], image: Reference, platform: Platform) -> str:
    there = []
    for entry in entries:
        own = entry.get("platform") or {}
        words = (own.get("os", ""), own.get("architecture", ""), own.get("variant", ""))
        there.append("/".join(filter(None, words)))
        variant = not platform.variant or platform.variant == words[2]
        if words[:2] == (platform.os, platform.architecture) and variant:
            return str(entry["digest"])
    known = ", ".join(sorted(set(there) - {"unknown/unknown"}))
    raise BuildError(f"'{image}' is not there for {platform}; it is for {known}")


def _json(data: bytes, image: Reference) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise BuildError(f"{image.host} answers for '{image}' with what is no image")
    return content


@dataclass(frozen=True)
class Image:
    """One image for one platform, complete but for the layers of its base."""

    base: Base
    layers: Sequence[Layer]
    platform: Platform
    config: Blob
    manifest: Blob

    def descriptor(self) -> dict[str, Any]:
        """How an index or a referrer names it."""
        return {
            "mediaType": MANIFEST,
            "digest": self.manifest.digest,
            "size": self.manifest.size,
            "platform": self.platform.to_dict(),
        }


def make_image(
    base: Base,
    layers: Sequence[Layer],
    platform: Platform,
    variables: Mapping[str, str],
    labels: Mapping[str, str],
) -> Image:
    """The image of these layers upon a base: no entry point, and never root."""
    config = Blob.of(_canonical(_configuration(base, layers, platform, variables, labels)))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": config.digest, "size": config.size},
        "layers": [*base.layers, *(layer.descriptor() for layer in layers)],
        "annotations": dict(labels),
    }
    return Image(base, layers, platform, config, Blob.of(_canonical(manifest)))


def _configuration(
    base: Base,
    layers: Sequence[Layer],
    platform: Platform,
    variables: Mapping[str, str],
    labels: Mapping[str, str],
) -> dict[str, Any]:
    inherited = dict(base.config.get("config") or {})
    for key in ("Entrypoint", "Cmd", "Healthcheck", "OnBuild"):
        inherited.pop(key, None)
    user = str(inherited.get("User") or "")
    root = user.partition(":")[0] in ("", "0", "root")
    rootfs = base.config.get("rootfs") or {}
    history = [{"created": _EPOCH, "created_by": f"argosy build: {layer.purpose}"} for layer in layers]
    return {
        **platform.to_dict(),
        "created": _EPOCH,
        "config": {
            **inherited,
            "User": USER if root else user,
            "WorkingDir": "/tmp",
            "Env": [f"{name}={value}" for name, value in {**base.variables, **variables}.items()],
            "Labels": {**(inherited.get("Labels") or {}), **labels},
        },
        "rootfs": {
            "type": "layers",
            "diff_ids": [*(rootfs.get("diff_ids") or ()), *(layer.diff_id for layer in layers)],
        },
        "history": [*(base.config.get("history") or ()), *history],
    }


def make_index(images: Sequence[Image]) -> Blob:
    """The index of one image for several platforms."""
    content = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [i.descriptor() for i in images]}
    return Blob.of(_canonical(content))


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode()


def bill_of_materials(image: Image, name: str, locked: Sequence[str]) -> Blob:
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


def attach_bill(registry: Registry, target: Reference, image: Image, content: Blob) -> str:
    """Store a document as a referrer of an image; returns the digest of its manifest."""
    subject = {key: value for key, value in image.descriptor().items() if key != "platform"}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": BILL,
        "config": {"mediaType": _EMPTY_TYPE, "digest": _EMPTY.digest, "size": _EMPTY.size},
        "layers": [{"mediaType": BILL, "digest": content.digest, "size": content.size}],
        "subject": subject,
    }
    stored = Blob.of(_canonical(manifest))
    if registry.digest(target.at(stored.digest)) is None:
        for blob in (_EMPTY, content):
            if not registry.has(target, blob.digest):
                registry.upload(target, blob)
        taken = registry.put_manifest(target.at(stored.digest), _canonical(manifest), MANIFEST)
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
    entry = {"mediaType": MANIFEST, "digest": stored.digest, "size": stored.size, "artifactType": BILL}
    others = [e for e in known if e["digest"] != stored.digest]
    index: dict[str, Any] = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*others, entry]}
    registry.put_manifest(place, _canonical(index), INDEX)
