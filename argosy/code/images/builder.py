"""From recipes to images, and from images to a registry or a file; or to a Dockerfile, for other builders."""

import json
import shutil
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from argosy.code.images import BuildError
from argosy.code.images.code import CODE, PACKAGES, PATH, SDK, Code, code_of
from argosy.code.images.image import (
    INDEX,
    MANIFEST,
    USER,
    Base,
    Image,
    Platform,
    attach_bill,
    bill_of_materials,
    make_image,
    make_index,
    read_base,
)
from argosy.code.images.layers import Blob, Layer
from argosy.code.images.packages import Lock, Target, machines, packages_layer
from argosy.code.images.recipe import Pin, Recipe, module_of_step, step_digest
from argosy.code.images.reference import DOCKER_HUB, Reference
from argosy.code.images.registry import Registry
from argosy.errors import UsageError
from argosy.step.files import published

_AT_ONCE = 4
_COPIED, _REQUIREMENTS = ("code", "sdk"), "requirements.txt"
_DOCKERFILE_MARK = "# Written by `argosy build --dockerfile`; it is written anew each time."


@dataclass(frozen=True)
class Built:
    """One recipe, made for every platform asked for."""

    recipe: Recipe
    images: Sequence[Image]
    locked: Mapping[str, Sequence[str]]

    @property
    def manifest(self) -> Blob:
        """The name that stands for it: the image, or an index of the images for several platforms."""
        return self.images[0].manifest if len(self.images) == 1 else make_index(self.images)

    @property
    def media_type(self) -> str:
        """Of the manifest."""
        return MANIFEST if len(self.images) == 1 else INDEX


@dataclass
class Builder:
    """Makes images.

    Attributes:
        platforms: what they are for.
        lock: the versions of packages.
        python: of the base image, where that does not say it.
        labels: of every image.
        registries: those that were talked to, by host.
        report: takes one line for the person at the terminal.
    """

    platforms: Sequence[Platform]
    lock: Lock
    python: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    registries: dict[str, Registry] = field(default_factory=dict)
    report: Callable[[str], None] = lambda line: None
    _said: set[str] = field(default_factory=set)

    def registry(self, host: str, plain: bool | None = None) -> Registry:
        """The registry of that host, one for all images."""
        return self.registries.setdefault(host, Registry(host, plain=plain))

    def build(self, recipe: Recipe) -> Built:
        """Make an image; nothing is sent.

        Raises:
            BuildError: its base, its packages or its code are not to be had.
        """
        code = self.code(recipe)
        own = code.layers()
        images, locked = [], {}
        for platform in self.platforms:
            code.refuse_other_machines(*machines(platform.architecture))
            image = Reference.parse(recipe.base)
            base = read_base(self.registry(image.host), image, platform)
            locked[str(platform)] = self._locked(recipe, base, platform)
            layers = [*self._packages(recipe, base, platform, locked[str(platform)]), *own]
            images.append(make_image(base, layers, platform, _variables(base), self._labels(recipe, base)))
        return Built(recipe, images, locked)

    def code(self, recipe: Recipe) -> Code:
        """The code of an image; what is to be said of it is said once, however many images have it.

        Raises:
            BuildError: it is not to be had.
        """
        code = code_of(recipe.modules)
        for note in code.notes:
            if note not in self._said:
                self._said.add(note)
                self.report(f"warning: {note}")
        return code

    def locked_for_dockerfile(self, recipe: Recipe) -> list[str]:
        """The packages that a Dockerfile installs: also those without a wheel, which it builds.

        The registry is asked only where nobody says which Python the base image has.
        """
        if not recipe.packages:
            return []
        platform = self.platforms[0]
        if self.python:
            target = Target(self.python, platform.architecture, wheels_only=False)
        else:
            image = Reference.parse(recipe.base)
            base = read_base(self.registry(image.host), image, platform)
            target = replace(self._target(recipe, base, platform), wheels_only=False)
        return self.lock.packages(recipe.packages, target)

    def _locked(self, recipe: Recipe, base: Base, platform: Platform) -> list[str]:
        if not recipe.packages:
            return []
        if "alpine" in recipe.base:
            raise BuildError(
                f"packages cannot be added to '{recipe.base}': their wheels want glibc, and Alpine has musl"
            )
        return self.lock.packages(recipe.packages, self._target(recipe, base, platform))

    def _packages(self, recipe: Recipe, base: Base, platform: Platform, locked: Sequence[str]) -> list[Layer]:
        return [packages_layer(locked, self._target(recipe, base, platform))] if locked else []

    def _target(self, recipe: Recipe, base: Base, platform: Platform) -> Target:
        version = self.python or ".".join(base.variables.get("PYTHON_VERSION", "").split(".")[:2])
        if not version:
            raise UsageError(f"'{recipe.base}' does not say which Python it has: --python 3.11 does")
        return Target(version, platform.architecture)

    def _labels(self, recipe: Recipe, base: Base) -> dict[str, str]:
        return {
            "org.opencontainers.image.title": recipe.name,
            "org.opencontainers.image.base.name": str(Reference.parse(recipe.base)),
            "org.opencontainers.image.base.digest": base.image.digest,
            **self.labels,
        }

    def push(self, built: Built, prefix: str, tags: Sequence[str]) -> Pin:
        """Send an image to `PREFIX/NAME`, what is there already excepted; returns where it is."""
        target, registry = self.target_of(prefix, built.recipe.name)
        manifest = built.manifest
        # By default a tag that never moves: what a workflow has pinned stays out of a registry's cleaning.
        named = [Reference(target.host, target.repository, t) for t in tags or (_short(manifest.digest),)]
        for image in built.images:
            # One image goes straight to its name; parts of an index have none.
            self._send(registry, target, image, named[0] if len(built.images) == 1 else None)
            content = bill_of_materials(image, target.name, built.locked[str(image.platform)])
            attach_bill(registry, target, image, content)
        for place in named:
            if registry.digest(place) != manifest.digest:
                registry.put_manifest(place, _bytes(manifest), built.media_type)
        digests = {reference: step_digest(module_of_step(reference)) for reference in built.recipe.steps}
        pinned = _image_name(target.at(manifest.digest))
        return Pin(pinned, built.recipe.replaces, built.recipe.packages, digests)

    def target_of(self, prefix: str, name: str) -> tuple[Reference, Registry]:
        """The place `PREFIX/NAME`, and its registry, which is spoken to as PREFIX says. Raises UsageError."""
        parts = urlsplit(prefix) if "://" in prefix else None
        if parts and (parts.scheme not in ("http", "https") or "@" in parts.netloc):
            raise UsageError(
                f"--push '{prefix}' is no registry: write HOST/PATH/, or http://HOST/PATH/ without TLS"
            )
        place = f"{parts.netloc}{parts.path}" if parts else prefix
        try:
            target = Reference.parse(f"{place.rstrip('/')}/{name}")
        except UsageError as error:
            raise UsageError(f"--push '{prefix}': {error}") from None
        return target, self.registry(
            target.host, {"http": True, "https": False}[parts.scheme] if parts else None
        )

    def _send(self, registry: Registry, target: Reference, image: Image, named: Reference | None) -> None:
        if registry.digest(target.at(image.manifest.digest)) == image.manifest.digest:
            return  # a registry takes a manifest only when it has all that is in it
        own = [*(layer.blob for layer in image.layers), image.config]
        jobs = [partial(self._send_from_base, registry, target, image.base, d) for d in image.base.layers]
        jobs += [partial(self._send_own, registry, target, blob) for blob in own]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for done in [pool.submit(job) for job in jobs]:
                done.result()
        place = named or target.at(image.manifest.digest)
        registry.put_manifest(place, _bytes(image.manifest), MANIFEST)

    def _send_own(self, registry: Registry, target: Reference, blob: Blob) -> None:
        if not registry.has(target, blob.digest):
            registry.upload(target, blob)

    def _send_from_base(
        self, registry: Registry, target: Reference, base: Base, layer: Mapping[str, Any]
    ) -> None:
        """A layer of the base: mounted where it is in the same registry, else handed through."""
        digest, location = layer["digest"], None
        if "nondistributable" in layer["mediaType"] or "foreign" in layer["mediaType"]:
            return
        if registry.has(target, digest):
            return
        if base.registry is registry:
            location = registry.mount(target, digest, base.image)
            if location is None:
                return
        registry.send(
            target, digest, layer["size"], lambda: base.registry.stream(base.image, digest), location
        )

    def save(self, made: Sequence[Built], file: Path, tags: Sequence[str]) -> None:
        """Write an OCI archive, which podman, docker, ctr and skopeo read."""
        try:
            with published(file) as beside, tarfile.open(beside, "w") as archive:
                _Archive(archive).write(made, tags)
        except OSError as error:
            raise BuildError(f"cannot write '{file}': {error.strerror}") from None


class _Archive:
    """An OCI image layout in a tar file, with the list that older versions of Docker look for."""

    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._there: set[str] = set()

    def write(self, made: Sequence[Built], tags: Sequence[str]) -> None:
        entries, docker = [], []
        for built in made:
            names = [f"{built.recipe.name}:{tag}" for tag in tags or ("latest",)]
            for image in built.images:
                self._image(image)
            self._blob(built.manifest)
            for name in names:
                annotations = {
                    "org.opencontainers.image.ref.name": name.partition(":")[2] if len(made) == 1 else name,
                    "io.containerd.image.name": f"{DOCKER_HUB}/library/{name}",
                }
                descriptor = {"mediaType": built.media_type, "digest": built.manifest.digest}
                entries.append({**descriptor, "size": built.manifest.size, "annotations": annotations})
            first = built.images[0]
            layers = [d["digest"] for d in json.loads(_bytes(first.manifest))["layers"]]
            paths = [_blob_path(digest) for digest in layers]
            docker.append({"Config": _blob_path(first.config.digest), "RepoTags": names, "Layers": paths})
        self._file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        self._file("index.json", _dump({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}))
        self._file("manifest.json", _dump(docker))

    def _image(self, image: Image) -> None:
        for layer in image.base.layers:
            base, digest = image.base, layer["digest"]
            if digest not in self._there:
                self._add(digest, layer["size"], _Stream(base.registry.stream(base.image, digest)))
        for blob in (*(layer.blob for layer in image.layers), image.config, image.manifest):
            self._blob(blob)

    def _blob(self, blob: Blob) -> None:
        if blob.digest not in self._there:
            self._add(blob.digest, blob.size, _Stream(blob.chunks()))

    def _add(self, digest: str, size: int, content: IO[bytes]) -> None:
        self._there.add(digest)
        entry = tarfile.TarInfo(_blob_path(digest))
        entry.size = size
        self._archive.addfile(entry, content)

    def _file(self, name: str, data: bytes) -> None:
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        self._archive.addfile(entry, BytesIO(data))


class _Stream(BytesIO):
    """Pieces, read as a file of any size would be."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        super().__init__()
        self._pieces, self._rest = iter(pieces), b""

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = size if size is not None and size >= 0 else 1 << 62
        while len(self._rest) < wanted and (piece := next(self._pieces, None)) is not None:
            self._rest += piece
        data, self._rest = self._rest[:wanted], self._rest[wanted:]
        return data


def _variables(base: Base) -> dict[str, str]:
    own = base.variables
    path = own.get("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    python_path = ":".join(filter(None, (PATH, own.get("PYTHONPATH", ""))))
    return {
        "PATH": f"{path}:/opt/argosy/packages/bin",
        "PYTHONPATH": python_path,
        "HOME": "/tmp",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONSAFEPATH": "1",
        "PYTHONUNBUFFERED": "1",
    }


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def _blob_path(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _dump(content: Any) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()


def _bytes(blob: Blob) -> bytes:
    return b"".join(blob.chunks())


def _image_name(image: Reference) -> str:
    """As Kubernetes' manifests have it: without Docker Hub's own names."""
    return str(image).removeprefix(f"{DOCKER_HUB}/library/").removeprefix(f"{DOCKER_HUB}/")


def write_dockerfile(
    recipe: Recipe, code: Code, folder: Path, locked: Sequence[str], labels: Mapping[str, str]
) -> Path:
    """Write a Dockerfile of the same image, the packages and the code into a folder; returns the Dockerfile.

    Raises:
        UsageError: the folder has files of somebody else's where these would be.
        BuildError: it cannot be written.
    """
    file = folder / "Dockerfile"
    _refuse_foreign(folder, [file.name, *_COPIED, *([_REQUIREMENTS] if locked else [])])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The first of all: what a build leaves that is killed in the middle is told by it from others' files.
        file.write_text(_dockerfile(recipe, bool(locked), labels), encoding="utf-8")
        _write_code(code, folder)
        if locked:
            (folder / _REQUIREMENTS).write_text("\n".join(locked) + "\n", encoding="utf-8")
    except OSError as error:
        raise BuildError(f"cannot write into '{folder}': {error.strerror}") from None
    return file


def _refuse_foreign(folder: Path, names: Iterable[str]) -> None:
    """Raise UsageError for a file or folder that the Dockerfile there, if it is ours, does not copy."""
    ours: set[str] = set()
    with suppress(OSError, UnicodeDecodeError):
        lines = (folder / "Dockerfile").read_text(encoding="utf-8").splitlines()
        if lines[:1] == [_DOCKERFILE_MARK]:
            ours = {"Dockerfile", *(line.split()[1] for line in lines if line.startswith("COPY "))}
    for name in names:
        place = folder / name
        if name not in ours and (place.exists() or place.is_symlink()):
            raise UsageError(
                f"'{place}' was not written by argosy, and stays as it is: name another folder, such as "
                "--dockerfile image"
            )


def _write_code(code: Code, folder: Path) -> None:
    for name in _COPIED:
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir(parents=True)
    for path, source in code.project.items():
        _put_file(folder / "code" / path, source.read_bytes())
    for path, file in code.sdk.items():
        _put_file(folder / "sdk" / Path(path).relative_to(SDK), file.read())


def _put_file(file: Path, data: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def _dockerfile(recipe: Recipe, packages: bool, labels: Mapping[str, str]) -> str:
    lines = [_DOCKERFILE_MARK, f"FROM {recipe.base}"]
    if packages:
        lines += [
            "COPY requirements.txt /opt/argosy/requirements.txt",
            "RUN pip install --no-cache-dir --require-hashes \\",
            f"    --target /{PACKAGES} -r /opt/argosy/requirements.txt",
        ]
    lines += [
        f"COPY sdk /{SDK}",
        f"COPY code /{CODE}",
        f"ENV PYTHONPATH={PATH} PATH=$PATH:/{PACKAGES}/bin HOME=/tmp PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 \\",
        "    PYTHONDONTWRITEBYTECODE=1",
        "ENTRYPOINT []",
        "CMD []",
        "WORKDIR /tmp",
        f"USER {USER}",
        *(f"LABEL {name}={json.dumps(value)}" for name, value in labels.items()),
    ]
    return "\n".join(lines) + "\n"
