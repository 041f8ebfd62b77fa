"""The program of a container or script template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from argosy.errors import ManifestError
from argosy.runner.fields import FIELD_PATHS
from argosy.runner.model import Container, EnvVar
from argosy.runner.shape import expect_list
from argosy.runner.values import optional_text, text_of

SHARED_MEMORY = "/dev/shm"
"""A mount that every process already has: it is left where it is."""


def parse_container(
    body: Mapping[str, Any], raw: Mapping[str, Any], spec: Mapping[str, Any], where: str
) -> Container:
    """The program; its image is not used, so the command has to be written. Raises ManifestError."""
    command = _words(body, "command", where)
    if not command:
        raise ManifestError(f"{where}: no command; the image's own cannot be known here, so write it")
    volumes = {**_volumes(spec), **_volumes(raw)}
    source = body.get("source") if raw.get("script") is not None else None
    return Container(
        command=command,
        args=_words(body, "args", where),
        env=tuple(_env(item, where) for item in expect_list(body.get("env"), f"{where}.env")),
        working_dir=optional_text(body.get("workingDir"), f"{where}.workingDir"),
        source=None if source is None else text_of(source, f"{where}.source"),
        mounts=tuple(_mounts(body, volumes, where)),
    )


def _words(body: Mapping[str, Any], field: str, where: str) -> tuple[str, ...]:
    return tuple(
        text_of(word, f"{where}.{field}") for word in expect_list(body.get(field), f"{where}.{field}")
    )


def _volumes(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {volume.get("name"): volume for volume in expect_list(raw.get("volumes"), "volumes")}


def _mounts(body: Mapping[str, Any], volumes: Mapping[str, Any], where: str) -> list[str]:
    paths = []
    for mount in expect_list(body.get("volumeMounts"), f"{where}.volumeMounts"):
        name, path = mount.get("name"), text_of(mount.get("mountPath"), f"{where}.volumeMounts")
        if name not in volumes:
            raise ManifestError(f"{where}: mounts the volume '{name}', which is not declared")
        kind = next((key for key in volumes[name] if key != "name"), "unknown")
        if kind != "emptyDir":
            raise ManifestError(
                f"{where}: the volume '{name}' ({kind}) cannot be mounted on one machine: "
                "pass files as artifacts; only emptyDir is made here"
            )
        if path.rstrip("/") != SHARED_MEMORY:
            paths.append(path)
    return paths


def _env(raw: Mapping[str, Any], where: str) -> EnvVar:
    name = text_of(raw.get("name"), f"{where}.env")
    source = raw.get("valueFrom") or {}
    if field := (source.get("fieldRef") or {}).get("fieldPath"):
        if field not in FIELD_PATHS:
            raise ManifestError(
                f"{where}: env '{name}' takes {field}, which is not known here: {', '.join(FIELD_PATHS)}"
            )
        return EnvVar(name, field_path=field)
    for kind, noun in (("secretKeyRef", "secret"), ("configMapKeyRef", "config map")):
        if reference := source.get(kind):
            kept_in = f"key '{reference.get('key')}' of the {noun} '{reference.get('name')}'"
            return EnvVar(name, kept_in=kept_in, optional=bool(reference.get("optional")))
    return EnvVar(name, value=optional_text(raw.get("value"), f"{where}.env.{name}") or "")
