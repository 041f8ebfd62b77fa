"""The code that an image holds: the project's modules that its steps need, and the SDK.

Steps find it by PYTHONPATH: the project first, then the packages, then the SDK. Which files those are,
`argosy.code.project` finds, for an image as for a bundle.
"""

import hashlib
import importlib.util
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from argosy.code.bundle.archive import stand_ins
from argosy.code.images import BuildError
from argosy.code.images.layers import File, Layer, make_layer
from argosy.code.project import COULER, OURS, files_below, find, printable
from argosy.step import runtime

ROOT = "opt/argosy"
CODE, PACKAGES, SDK = f"{ROOT}/code", f"{ROOT}/packages", f"{ROOT}/sdk"
PATH = f"/{CODE}:/{PACKAGES}:/{SDK}"
_COULER = (COULER, f"{COULER}.argo")
_WHOLE_SDK = (OURS, f"{OURS}.components", f"{OURS}.pipelines")
_LARGE = 64 * 1024 * 1024
# A file of this size has a layer of its own: the smaller ones beside it would take it along when they change.
_ALONE = 32 * 1024
# So many layers of large files at most, and twice as many of small ones: a container's file system allows
# 127, of which the base has some, and each costs some 300 bytes in the manifest and the configuration.
_PARTS = 16
_MANY = 16 * _PARTS


@dataclass(frozen=True)
class Code:
    """The files that some steps need in their image.

    Attributes:
        project: files of the user's project, by their paths below `CODE`.
        sdk: files of Argosy, by their paths in the image.
        whole: whether that is all of Argosy.
        notes: what a reader of the command's output should know, a line each.
    """

    project: Mapping[str, Path]
    sdk: Mapping[str, File]
    whole: bool = False
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """One digest for the project's code: another one, as soon as a file has other bytes."""
        return _digest(self.project)

    def layers(self) -> list[Layer]:
        """Layers of the SDK, and then of the project, each file always in the same: a change sends its part.

        The part of the SDK that a step needs never changes with the project, and is one layer.
        """
        project = {f"{CODE}/{path}": File(file) for path, file in self.project.items()}
        sdk = _parts(self.sdk) if self.whole else [self.sdk]
        return [
            *(make_layer(files, "the SDK") for files in sdk),
            *(make_layer(files, "code of the project") for files in _parts(project)),
        ]

    def refuse_other_machines(self, machine: str, others: Iterable[str]) -> None:
        """Raise BuildError for a compiled module of another sort of machine, such as `aarch64`."""
        for path, file in self.project.items():
            strange = next((o for o in others if path.endswith(".so") and f"-{o}-" in file.name), None)
            if strange is not None:
                raise BuildError(f"'{file}' is compiled for {strange}, and the image is for {machine}")


def code_of(modules: Iterable[str], folders: Iterable[str] = ()) -> Code:
    """The code that the steps of some modules need: these, what they import of the project, packages whole.

    Args:
        modules: by their importable names.
        folders: where they are looked for before `sys.path`.

    Raises:
        BuildError: a module comes from an installed package, or there is very much.
    """
    wanted = list(dict.fromkeys(modules))
    own = [m for m in wanted if m.partition(".")[0] != OURS]
    found = find(own, folders, whole=True)
    if foreign := next((m for m in own if m not in found.modules), None):
        package = foreign.partition(".")[0]
        raise BuildError(
            f"the steps of '{foreign}' come from the package '{package}': put that into packages"
        )
    files = {p: f for p, f in sorted(found.files.items()) if not p.endswith("/")}
    project = {p: f for p, f in files.items() if p.partition("/")[0] != OURS}
    _refuse_much(project)
    if len(own) < len(wanted):
        return Code(project, _whole_sdk(), True, tuple(found.notes))
    parts = runtime.files() | {p: f for p, f in files.items() if p not in project}
    sdk = {f"{SDK}/{p}": File(f) for p, f in parts.items()}
    absent = stand_ins({*found.absent, *_COULER})
    sdk |= {f"{SDK}/{p}": File(t) for p, t in absent.items()}
    return Code(project, sdk, notes=tuple(found.notes))


def _parts(files: Mapping[str, File]) -> list[dict[str, File]]:
    """Files spread over layers by their sizes and the hashes of their paths; up to sixteen have one each."""
    parts: dict[tuple[bool, int], dict[str, File]] = {}
    for large in (False, True):
        group = sorted(path for path, file in files.items() if (file.size >= _ALONE) is large)
        layers = 2 * _PARTS if len(group) > _MANY and not large else _PARTS
        for number, path in enumerate(group):
            spread = int.from_bytes(hashlib.sha256(path.encode()).digest()[:4], "big") % layers
            part = number if len(group) <= _PARTS else spread
            parts.setdefault((large, part), {})[path] = files[path]
    return [part for _, part in sorted(parts.items())]


def _refuse_much(files: Mapping[str, Path]) -> None:
    sizes = {name: File(file).size for name, file in files.items()}
    if (size := sum(sizes.values())) > _LARGE:
        largest = [n for n in sorted(sizes, key=lambda n: -sizes[n])[:3] if sizes[n] > 2**20]
        names = ", ".join(f"{printable(name)} ({sizes[name] / 2**20:.0f} MiB)" for name in largest)
        raise BuildError(
            f"the project's code has {size / 2**20:.0f} MiB, of which most is data: {names}; keep data out "
            "of packages, and give it to steps as an input or by an address"
        )


def _whole_sdk() -> dict[str, File]:
    """All of Argosy, for its own components."""
    found = {f"{SDK}/{p}": File(t) for p, t in stand_ins(_COULER).items()}
    for name in _WHOLE_SDK:
        spec = importlib.util.find_spec(name)
        for folder in map(Path, (spec.submodule_search_locations if spec else None) or ()):
            for path, file in files_below(folder, []):
                found[f"{SDK}/{name.replace('.', '/')}/{path}"] = File(file)
    return found


def _digest(files: Mapping[str, Path]) -> str:
    digests = {path: hashlib.sha256(File(file).read()).hexdigest() for path, file in files.items()}
    return hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()


@cache
def sdk_digest() -> str:
    """One digest for all of Argosy's code."""
    return _digest({p: f.content for p, f in _whole_sdk().items() if isinstance(f.content, Path)})
