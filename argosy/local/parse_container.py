"""The program of a container or script template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from argosy.errors import ManifestError
from argosy.local.fields import FIELD_PATHS
from argosy.local.kept import CONFIG_MAP, SECRET, Source
from argosy.local.model import Container, EnvFrom, EnvVar
from argosy.local.mounts import parse_mounts
from argosy.local.shape import expect_list
from argosy.local.values import optional_text, text_of


def parse_container(
    body: Mapping[str, Any], raw: Mapping[str, Any], spec: Mapping[str, Any], where: str
) -> Container:
    """The program; its image is not used, so the command has to be written. Raises ManifestError."""
    command = _words(body, "command", where)
    if not command:
        raise ManifestError(f"{where}: no command; the image's own cannot be known here, so write it")
    source = body.get("source") if raw.get("script") is not None else None
    return Container(
        command=command,
        args=_words(body, "args", where),
        env=tuple(_env(item, where) for item in expect_list(body.get("env"), f"{where}.env")),
        env_from=tuple(
            _env_from(item, where) for item in expect_list(body.get("envFrom"), f"{where}.envFrom")
        ),
        working_dir=optional_text(body.get("workingDir"), f"{where}.workingDir"),
        source=None if source is None else text_of(source, f"{where}.source"),
        mounts=parse_mounts(body, raw, spec, where),
    )


def _words(body: Mapping[str, Any], field: str, where: str) -> tuple[str, ...]:
    return tuple(
        text_of(word, f"{where}.{field}") for word in expect_list(body.get(field), f"{where}.{field}")
    )


def _env(raw: Mapping[str, Any], where: str) -> EnvVar:
    name = text_of(raw.get("name"), f"{where}.env")
    source = raw.get("valueFrom") or {}
    if field := (source.get("fieldRef") or {}).get("fieldPath"):
        if field not in FIELD_PATHS:
            raise ManifestError(
                f"{where}: env '{name}' takes {field}, which is not known here: {', '.join(FIELD_PATHS)}"
            )
        return EnvVar(name, field_path=field)
    for kind, noun in (("secretKeyRef", SECRET), ("configMapKeyRef", CONFIG_MAP)):
        if reference := source.get(kind):
            outside = Source(noun, str(reference.get("name")), str(reference.get("key")))
            return EnvVar(name, source=outside, optional=bool(reference.get("optional")))
    return EnvVar(name, value=optional_text(raw.get("value"), f"{where}.env.{name}") or "")


def _env_from(raw: Mapping[str, Any], where: str) -> EnvFrom:
    prefix = optional_text(raw.get("prefix"), f"{where}.envFrom.prefix") or ""
    for kind, noun in (("secretRef", SECRET), ("configMapRef", CONFIG_MAP)):
        if reference := raw.get(kind):
            return EnvFrom(noun, str(reference.get("name")), prefix, bool(reference.get("optional")))
    raise ManifestError(f"{where}: envFrom needs a secretRef or a configMapRef")
