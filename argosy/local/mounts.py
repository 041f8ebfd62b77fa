"""Volumes of a step: what is mounted, read from the manifest, and made in the step's folder.

An emptyDir is a new folder, a ConfigMap or Secret its keys as files, a claim a folder of the run that all
steps share. Files below a mount path lie where `paths` puts declared paths.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from argosy.errors import ManifestError
from argosy.local.errors import NodeError
from argosy.local.kept import CONFIG_MAP, SECRET, Kept
from argosy.local.paths import PathMap
from argosy.manifest.scalars import as_text, optional_text

SHARED_MEMORY = "/dev/shm"
"""A mount that every process already has: it is left where it is."""

_FROM_OUTSIDE = {"configMap": (CONFIG_MAP, "name"), "secret": (SECRET, "secretName")}
EMPTY, _CLAIM = "emptyDir", "persistentVolumeClaim"


@dataclass(frozen=True)
class Mount:
    """One volume at one path. `source` names the ConfigMap, Secret, claim or emptyDir."""

    path: str
    kind: str
    source: str = ""
    sub_path: str = ""
    items: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False
    read_only: bool = False


def parse_mounts(
    body: Mapping[str, Any], raw: Mapping[str, Any], spec: Mapping[str, Any], where: str
) -> tuple[Mount, ...]:
    """The mounts of a container. Raises ManifestError for a volume that cannot be made on one machine."""
    volumes = {**_volumes(spec), **_volumes(raw)}
    claims = {
        str((claim.get("metadata") or {}).get("name")) for claim in spec.get("volumeClaimTemplates") or ()
    }
    volumes = {**{name: {"name": name, _CLAIM: {"claimName": name}} for name in claims}, **volumes}
    return tuple(_mounts(body, volumes, where))


def _volumes(raw: Mapping[str, Any]) -> dict[str, Any]:
    return {volume.get("name"): volume for volume in raw.get("volumes") or ()}


def _mounts(body: Mapping[str, Any], volumes: Mapping[str, Any], where: str) -> Iterator[Mount]:
    for mount in body.get("volumeMounts") or ():
        name, path = mount.get("name"), as_text(mount.get("mountPath"))
        if name not in volumes:
            raise ManifestError(f"{where}: mounts the volume '{name}', which is not declared")
        if path.rstrip("/") == SHARED_MEMORY:
            continue
        sub_path = optional_text(mount.get("subPath")) or ""
        if ".." in Path(sub_path).parts or sub_path.startswith("/"):
            raise ManifestError(f"{where}: subPath {sub_path!r} leads out of the volume '{name}'")
        mounted = _mount(path, volumes[name], sub_path, where)
        yield replace(mounted, read_only=mount.get("readOnly") is True)


def _mount(path: str, volume: Mapping[str, Any], sub_path: str, where: str) -> Mount:
    kind = next((key for key in volume if key != "name"), "unknown")
    inside = volume.get(kind) or {}
    if kind == EMPTY:
        return Mount(path, kind, str(volume["name"]), sub_path)
    if kind == _CLAIM:
        return Mount(path, kind, as_text(inside.get("claimName")), sub_path)
    if kind not in _FROM_OUTSIDE:
        raise ManifestError(
            f"{where}: the volume '{volume['name']}' ({kind}) cannot be mounted on one machine: pass files "
            "as artifacts; emptyDir, configMap, secret and claims are made here"
        )
    noun, named = _FROM_OUTSIDE[kind]
    items = {str(item.get("key")): str(item.get("path")) for item in inside.get("items") or ()}
    source = as_text(inside.get(named))
    return Mount(path, noun, source, sub_path, items, bool(inside.get("optional")))


def make(mount: Mount, paths: PathMap, kept: Kept, run_dir: Path, pod_dir: Path) -> None:
    """Make a volume where `paths` has it: an emptyDir is of the pod, in `pod_dir`, a claim of the run.

    Raises NodeError for a ConfigMap or Secret that nobody gives.
    """
    if (shared := shared_folder(mount, run_dir, pod_dir)) is not None:
        shared.mkdir(parents=True, exist_ok=True)
        paths.mount(mount.path, shared)
    else:
        write_keys(mount, paths.place(mount.path), kept)


def shared_folder(mount: Mount, run_dir: Path, pod_dir: Path) -> Path | None:
    """The folder that an emptyDir or a claim is; None for keys: of them each container has its own files."""
    if mount.kind not in (EMPTY, _CLAIM):
        return None
    owner = pod_dir if mount.kind == EMPTY else run_dir
    return owner / "volumes" / mount.source / mount.sub_path


def write_keys(mount: Mount, target: Path, kept: Kept) -> None:
    """Write the keys of a ConfigMap or Secret as files below `target`, or the one of a `subPath` there.

    Raises NodeError where nobody gives it.
    """
    held = kept.held(mount.kind, mount.source)
    wanted = mount.items or {key: key for key in held}
    missing = [key for key in wanted if key not in held]
    if (missing or not held) and not mount.optional:
        what = f"key '{missing[0]}' of the {mount.kind}" if missing and held else f"{mount.kind}"
        raise NodeError(
            f"the volume at {mount.path} needs the {what} '{mount.source}': give its file with -f, "
            "or in the file that 'secrets' in argosy.yaml names"
        )
    for key, name in wanted.items():
        if key not in held or (mount.sub_path and name != mount.sub_path):
            continue
        file = target if mount.sub_path else target / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(held[key])
    if not mount.sub_path:
        target.mkdir(parents=True, exist_ok=True)
