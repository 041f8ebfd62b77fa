"""A manifest whose steps have their code in a bundle, on one machine."""

import base64
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from argosy.code.bundle.attach import ZIP, attach, code_beside, named_in
from argosy.code.bundle.packages import python_of
from argosy.code.project import SITES
from argosy.compose.settings import Settings
from argosy.errors import UsageError
from argosy.manifest.code import FILE, VOLUME, declared_packages
from argosy.manifest.emit import to_yaml
from argosy.manifest.parts import templates_in, with_templates
from argosy.step.files import published, write_text

_FOLDER = "code"
_START = (
    "import os, runpy, sys; code, installed, module = sys.argv[1:4]; del sys.argv[1:4]; "
    "sys.path.insert(0, code); sys.path += filter(None, installed.split(os.pathsep)); "
    "runpy.run_module(module, run_name='__main__', alter_sys=True)"
)


def isolated(
    manifest: dict[str, Any], settings: Settings, folders: Iterable[str], state_dir: Path
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The manifest with each step that has a bundle run from it alone, and notes, a line each.

    Such a step sees its bundle and the packages that it declares: no folder of the project, no project that
    is installed in place, no PYTHONPATH. Other content of its image is not known, unless it is an official
    one of Python, which has nothing: everything that is installed here stands in for it.

    Raises:
        UsageError, ManifestError: as `attach`; no step's code travels; or a package is not installed.
    """
    attached = attach(manifest, settings, folders, packages="as they are")
    if attached.bundle is None:
        raise UsageError("--isolated runs steps from their bundle, and no step here has one")
    path = _kept(state_dir, attached.bundle.name, attached.bundle.data)
    return _each(attached.manifest, lambda t: _from_bundle(t, path, state_dir)), attached.notes


def with_code_beside(manifest: dict[str, Any], file: Path, state_dir: Path) -> dict[str, Any]:
    """A compiled manifest with its steps' code from the file that was compiled beside it.

    Raises:
        UsageError: it is not there.
    """
    code = _beside(manifest, file)
    if code is None:
        return manifest
    path = _kept(state_dir, code["metadata"]["name"], base64.b64decode(code["binaryData"][FILE]))
    return _each(manifest, lambda t: _with_path(t, path))


def code_file_beside(manifest: Mapping[str, Any], file: Path, state_dir: Path) -> tuple[Path, ...]:
    """A file with the ConfigMap of the code that a compiled manifest's steps mount, where they mount any.

    Raises:
        UsageError: it is not beside the manifest.
    """
    code = _beside(manifest, file)
    return () if code is None else (_written(code, state_dir),)


def in_image(
    manifest: dict[str, Any], settings: Settings, folders: Iterable[str], state_dir: Path
) -> tuple[dict[str, Any], tuple[str, ...], tuple[Path, ...]]:
    """A compiled manifest as a cluster gets it, notes, and a file with the ConfigMap of its steps' code.

    Raises:
        UsageError, ManifestError: as `attach`.
    """
    attached = attach(manifest, settings, folders)
    code = attached.config_map
    return attached.manifest, attached.notes, () if code is None else (_written(code, state_dir),)


def _beside(manifest: Mapping[str, Any], file: Path) -> dict[str, Any] | None:
    name = named_in(manifest)
    code = code_beside(file, manifest)
    if name is not None and code is None:
        raise UsageError(
            f"{file}: the code of its steps, ConfigMap '{name}', is in no file beside it; make it again with "
            "'argosy compile FILE.py -o DIR', or 'argosy export library MODULE -o FILE'"
        )
    return code


def _written(code: Mapping[str, Any], state_dir: Path) -> Path:
    """The file in the state folder that holds a ConfigMap of code."""
    path = state_dir.resolve() / _FOLDER / f"{code['metadata']['name']}.yaml"
    text = to_yaml(dict(code))
    if not path.is_file() or path.read_text("utf-8") != text:
        write_text(path, text)
    return path


def _kept(state_dir: Path, name: str, data: bytes) -> Path:
    path = state_dir.resolve() / _FOLDER / f"{name}.zip"
    if not path.is_file() or path.read_bytes() != data:
        with published(path) as beside:
            beside.write_bytes(data)
    return path


def _each(manifest: dict[str, Any], change: Any) -> dict[str, Any]:
    return with_templates(manifest, [change(t) if _has_code(t) else t for t in templates_in(manifest)])


def _has_code(template: Mapping[str, Any]) -> bool:
    return any(v.get("name") == VOLUME for v in template.get("volumes") or ())


def _with_path(template: dict[str, Any], path: Path) -> dict[str, Any]:
    """The template with the zip where this machine has it, and without the volume."""
    container = dict(template["container"])
    container["volumeMounts"] = [m for m in container.get("volumeMounts") or () if m.get("name") != VOLUME]
    container["env"] = [
        {**e, "value": str(e["value"]).replace(ZIP, str(path), 1)} if e.get("name") == "PYTHONPATH" else e
        for e in container.get("env") or ()
    ]
    volumes = [v for v in template["volumes"] if v.get("name") != VOLUME]
    return {**template, "volumes": volumes, "container": container}


def _from_bundle(template: dict[str, Any], path: Path, state_dir: Path) -> dict[str, Any]:
    template = _with_path(template, path)
    container = template["container"]
    python, _, *words = container["command"]
    if python_of(str(container.get("image"))):
        installed = _installed(declared_packages(template), state_dir.resolve() / _FOLDER)
    else:
        installed = os.pathsep.join(dict.fromkeys(p for p in sys.path if Path(p).name in SITES))
    command = [python, "-I", "-S", "-c", _START, str(path), installed, *words]
    return {**template, "container": {**container, "command": command}}


def _installed(packages: Sequence[str], below: Path) -> str:
    """The folder of the packages that a step declares; empty where it declares none."""
    if not packages:
        return ""
    from argosy.code.bundle.declared import folder_of

    return str(folder_of(packages, below) or "")
