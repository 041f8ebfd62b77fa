"""The code of a manifest's steps: which need it, how it reaches their pods, and the file beside it.

A step's code travels unless its image holds it: the image of Argosy's own components, one that `argosy build`
made, one that the settings list under `codeInImages`, or that of a component with `code="image"`.
"""

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from argosy.code.bundle.archive import DIGEST, Bundle, pack, stand_ins
from argosy.code.bundle.packages import locked_list, name_of, with_packages
from argosy.code.project import Found, find
from argosy.compose.loader import load_manifest
from argosy.compose.settings import IMAGES, Settings
from argosy.errors import ManifestError, UsageError
from argosy.manifest.code import (
    FILE,
    VOLUME,
    declared_code,
    declared_packages,
    in_images,
    is_in_every_image,
    module_of,
)
from argosy.manifest.parts import templates_in, title_of, with_templates
from argosy.step.runtime import files as runtime_files

FOLDER = "/argosy/code"
ZIP = f"{FOLDER}/{FILE}"
SUFFIX = ".code.yaml"


@dataclass(frozen=True)
class Attached:
    """A manifest whose steps find their code.

    Attributes:
        manifest: with the bundle mounted where it is needed.
        bundle: the code; None where no step needs any.
        notes: what a reader of the command's output should know, a line each.
    """

    manifest: dict[str, Any]
    bundle: Bundle | None = None
    notes: tuple[str, ...] = ()

    @property
    def config_map(self) -> dict[str, Any] | None:
        """The ConfigMap that must be in the namespace of the workflow."""
        if self.bundle is None:
            return None
        of_cluster = self.manifest["kind"] == "ClusterWorkflowTemplate"
        keeper = "clusterworkflowtemplates" if of_cluster else None
        return self.bundle.config_map(self.manifest["metadata"].get("namespace"), keeper)


def attach(
    manifest: dict[str, Any],
    settings: Settings,
    folders: Iterable[str] = (),
    *,
    packages: Literal["locked", "frozen", "as they are"] = "locked",
) -> Attached:
    """The manifest with the code of its steps.

    Args:
        manifest: compiled.
        settings: of the installation.
        folders: where modules are looked for before `sys.path`.
        packages: whether those of a step are installed as `argosy.lock` has them, which is written where it
            lacks some, or is frozen; or are left to whoever runs the step.

    Raises:
        UsageError: the code is too large, or a module that was declared to travel is nowhere.
        ManifestError: a step's PYTHONPATH cannot be added to.
    """
    images = images_with_code(settings)
    steps = {
        t["name"]: m
        for t in templates_in(manifest)
        if (m := module_of(t)) and not _image_has_code(t, m, images)
    }
    if not steps:
        return Attached(manifest)
    found = find(dict.fromkeys(steps.values()), folders)
    notes = [*_unknown(manifest, steps, found), *found.notes]
    steps = {name: module for name, module in steps.items() if module in found.modules}
    if not steps:
        return Attached(manifest, None, tuple(notes))
    if manifest["kind"] == "ClusterWorkflowTemplate":
        notes.append("the ConfigMap of its code must be in each namespace whose workflows use this template")
    lists = {
        t["name"]: locked_list(t, settings, frozen=packages == "frozen")
        for t in templates_in(manifest)
        if t["name"] in steps and declared_packages(t) and packages != "as they are"
    }
    bundle = _pack(found, title_of(manifest), {name_of(key): content for key, content in lists.values()})
    keys = {name: key for name, (key, _) in lists.items()}
    return Attached(_mounted(manifest, set(steps), bundle.name, keys), bundle, tuple(notes))


def _pack(found: Found, of: str, lists: Mapping[str, bytes]) -> Bundle:
    files = {**runtime_files(), **found.files}
    texts = {**stand_ins(found.absent), **lists}
    # Packages of Argosy whose `__init__` is no part of the runtime are there as folders.
    parents = {f"{p}/" for name in files for p in Path(name).parents if str(p) != "."}
    folders = {p: Path(p) for p in parents if f"{p}__init__.py" not in {**files, **texts}}
    return pack({**files, **folders}, texts, of)


def images_with_code(settings: Settings) -> tuple[str, ...]:
    """Beginnings of the names of images that hold their steps' code: listed, or made by `argosy build`."""
    file, listed = settings.folder / IMAGES, tuple(settings.code_in_images)
    if not file.is_file():
        return listed
    from argosy.code.images.recipe import read_pins

    return (*listed, *(pin.image for pin in read_pins(file)))


def _image_has_code(template: Mapping[str, Any], module: str, images: tuple[str, ...]) -> bool:
    declared = declared_code(template)
    if declared:
        return declared == "image"
    return in_images(module, str(template["container"].get("image", "")), images)


def _unknown(manifest: dict[str, Any], steps: Mapping[str, str], found: Found) -> list[str]:
    """A note for each step whose module neither the bundle nor a known image has."""
    notes = []
    templates = {t["name"]: t for t in templates_in(manifest)}
    for name, module in steps.items():
        if module in found.modules or is_in_every_image(module):
            continue
        where = "is nowhere here" if module in found.missing else "is installed here, and does not travel"
        if declared_code(templates[name]) == "bundle":
            raise UsageError(f"template '{name}': its code shall travel, and module '{module}' {where}")
        image = templates[name]["container"].get("image")
        notes.append(
            f"template '{name}': module '{module}' {where}; its image '{image}' must hold it (list it under "
            'codeInImages in argosy.yaml, or declare code="image")'
        )
    return notes


def _mounted(
    manifest: dict[str, Any], steps: set[str], config_map: str, lists: Mapping[str, str]
) -> dict[str, Any]:
    templates = []
    for template in templates_in(manifest):
        name = template["name"]
        mounted = _with_mount(template, config_map) if name in steps else template
        templates.append(with_packages(mounted, lists[name]) if name in lists else mounted)
    return with_templates(manifest, templates)


def _with_mount(template: dict[str, Any], config_map: str) -> dict[str, Any]:
    container = dict(template["container"])
    mount = {"name": VOLUME, "mountPath": FOLDER, "readOnly": True}
    container["env"] = _with_path(template["name"], container.get("env") or [])
    container["volumeMounts"] = [*(container.get("volumeMounts") or ()), mount]
    volume = {"name": VOLUME, "configMap": {"name": config_map}}
    rest = {k: v for k, v in template.items() if k not in ("container", "volumes")}
    return {**rest, "volumes": [*(template.get("volumes") or ()), volume], "container": container}


def _with_path(template: str, env: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The variables with the zip first on PYTHONPATH."""
    own = next((e for e in env if e.get("name") == "PYTHONPATH"), None)
    if own is None:
        return [*env, {"name": "PYTHONPATH", "value": ZIP}]
    if "value" not in own:
        raise ManifestError(
            f"template '{template}': its PYTHONPATH is known only in the pod, so no code can be put "
            'on it; write it out, or declare code="image"'
        )
    return [{**e, "value": f"{ZIP}:{e['value']}"} if e is own else e for e in env]


def described_code(config_map: Mapping[str, Any]) -> str:
    """A ConfigMap of code by its name and size, for messages."""
    size = len(base64.b64decode(config_map["binaryData"][FILE]))
    return f"the ConfigMap '{config_map['metadata']['name']}' ({size / 1024:.0f} KiB, the steps' code)"


def named_in(manifest: Mapping[str, Any]) -> str | None:
    """The ConfigMap of code that a manifest's steps mount, if they do."""
    for template in templates_in(manifest):
        for volume in template.get("volumes") or ():
            if isinstance(volume, Mapping) and volume.get("name") == VOLUME:
                return str((volume.get("configMap") or {}).get("name"))
    return None


def code_beside(path: Path, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """The ConfigMap that a compiled manifest names, from the files of code in its folder.

    None where the manifest names none, or it is in no file there: then it is in the cluster already.

    Raises:
        ManifestError: a file of code cannot be read.
    """
    name = named_in(manifest)
    if name is None:
        return None
    for file in sorted(path.resolve().parent.glob(f"*{SUFFIX}")):
        found = load_manifest(file)
        if (found.get("metadata") or {}).get("name") == name:
            if FILE not in (found.get("binaryData") or {}):
                raise ManifestError(f"{file}: the ConfigMap holds no {FILE}; compile again")
            return found
    return None


def holds_code(path: Path) -> bool:
    """Whether a file is one of code that was compiled, and nobody else's of that name."""
    if not path.is_file():
        return False
    try:
        found = load_manifest(path)
    except ManifestError:
        return False
    return found.get("kind") == "ConfigMap" and FILE in (found.get("binaryData") or {})


def same_code(text: str, other: str) -> bool:
    """Whether two files of code hold the same, whichever zlib made them."""
    digests = [re.findall(rf"^    {re.escape(DIGEST)}: (\S+)$", t, re.MULTILINE) for t in (text, other)]
    return digests[0] == digests[1] != []
