"""A model as one file between the steps, however many files it has.

| the model | the file |
| --- | --- |
| fits into 2 GiB, as nearly all do | model.onnx itself, its weights inside |
| larger, with its weights in files beside it | an uncompressed tar: model.onnx first, then its data files |

An unpacked file is checked by name and by the model's own list of data files; a link, a second model or any
other file is refused, and nothing is written outside of the folder.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from argosy.components.deployment.model.external_data import check_location, data_files
from argosy.components.deployment.model.layout import MODEL_FILE
from argosy.components.deployment.model.onnx_model import load_graph
from argosy.errors import StepError

_CHUNK = 4 << 20


def pack(model: Path, names: list[str], target: Path) -> None:
    """Pack model.onnx and its data files; each is deleted once it is packed, for the disk's sake."""
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as tar:
        for name in (MODEL_FILE, *names):
            path = model.parent / name
            entry = tarfile.TarInfo(name)
            entry.size = path.stat().st_size
            with path.open("rb") as file:
                tar.addfile(entry, file)
            path.unlink()


def is_bundle(path: Path) -> bool:
    """Whether the file is a tar; an ONNX file never is."""
    with path.open("rb") as file:
        return file.read(512)[257:262] == b"ustar"


def unpack(bundle: Path, folder: Path) -> Path:
    """Unpack into `folder`, and return the path of model.onnx; a plain model is linked or copied.

    Raises:
        StepError: the file is truncated, or holds anything but model.onnx and exactly its data files.
    """
    if not is_bundle(bundle):
        return _link(bundle.resolve(), folder / MODEL_FILE)
    try:
        with tarfile.open(bundle, "r:") as tar:
            found = [_extract(tar, entry, folder) for entry in tar]
    except (tarfile.TarError, EOFError) as error:
        raise StepError(f"{bundle.name} is a damaged bundle of a model's files: {error}") from error
    model = folder / MODEL_FILE
    wanted = [MODEL_FILE, *data_files(load_graph(model))] if MODEL_FILE in found else [MODEL_FILE]
    if sorted(found) != sorted(wanted):
        raise StepError(f"{bundle.name} holds {sorted(found)}, and the model needs {sorted(wanted)}")
    return model


def _extract(tar: tarfile.TarFile, entry: tarfile.TarInfo, folder: Path) -> str:
    name = entry.name if entry.name == MODEL_FILE else check_location(entry.name)
    source = tar.extractfile(entry) if entry.isreg() else None
    if source is None:
        raise StepError(f"the bundle of the model's files holds {name!r}, which is no plain file")
    target = folder / name
    if target.exists():
        raise StepError(f"the bundle of the model's files holds {name!r} twice")
    target.parent.mkdir(parents=True, exist_ok=True)
    with source, target.open("xb") as out:
        shutil.copyfileobj(source, out, _CHUNK)
    if target.stat().st_size != entry.size:
        raise StepError(f"the bundle of the model's files ends in the middle of {name!r}")
    return name


def _link(source: Path, target: Path) -> Path:
    """A second name for the same bytes; a copy where the file system has none."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
    return target
