"""The files beside model.onnx that hold its weights: which may be there, and how they travel with it.

A model names them itself, so a name is not trusted: it must be a plain relative path that stays inside of the
model's folder, on disk as in S3, and the bytes that a tensor wants must be in the file.

Between the steps a model is one file, however many files it has:

| the model | the file |
| --- | --- |
| fits into 2 GiB, as nearly all do | model.onnx itself, its weights inside |
| larger, with its weights in files beside it | an uncompressed tar: model.onnx first, then its data files |

A version's folder comes into being with its first object, so a model of one file appears whole or not at all;
that is why every model that fits into one file becomes one.  Protobuf ends at 2 GiB: a larger one stays as
it is.  The weights are copied from file to file, never into memory: what stands around them is encoded here,
by protobuf's own rule that a nested message is its tag, its length and its bytes, in any order of fields.

An unpacked tar is checked by name and by the model's own list of data files; a link, a second model or any
other file is refused, and nothing is written outside of the folder.
"""

from __future__ import annotations

import re
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import onnx
from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_tensor, uses_external_data

from argosy.components.deployment.model.layout import CONFIG_FILE, METADATA_FILE, MODEL_FILE
from argosy.components.deployment.model.onnx_model import load_graph
from argosy.errors import StepError

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._:+=@,()-]{0,199}")
_MOST_PARTS, _LONGEST = 8, 512
_OURS = (MODEL_FILE, METADATA_FILE, CONFIG_FILE)
_CHUNK = 4 << 20
_BYTES_FIELD = 2  # protobuf's wire type of everything that has a length
_GRAPH = onnx.ModelProto.DESCRIPTOR.fields_by_name["graph"].number
_INITIALIZER = onnx.GraphProto.DESCRIPTOR.fields_by_name["initializer"].number
_RAW_DATA = onnx.TensorProto.DESCRIPTOR.fields_by_name["raw_data"].number


def check_location(name: str) -> str:
    """`name`, when it can be the path of a data file below the model's folder.

    Raises:
        StepError: it is absolute, leaves the folder, has unusual characters, or is a name of our own.
    """
    parts = name.split("/")
    plain = all(_PART.fullmatch(part) and ".." not in part for part in parts)
    if not plain or len(parts) > _MOST_PARTS or len(name) > _LONGEST or name in _OURS:
        raise StepError(
            f"the model keeps weights in {name[:200]!r}, which is no plain file name inside of its own "
            "folder: export it again, with its data files beside it"
        )
    return name


def data_files(model: onnx.ModelProto) -> list[str]:
    """The data files that a model names, sorted.

    Raises:
        StepError: a name that `check_location` refuses.
    """
    return sorted({check_location(ExternalDataInfo(tensor).location) for tensor in external(model)})


def external(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor of a model whose bytes are in another file."""
    yield from (tensor for tensor in tensors(model) if uses_external_data(tensor))


def tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor that a model stores, those of nested graphs and of functions included."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from _of_nodes(function.node)


def _span(tensor: onnx.TensorProto, folder: Path) -> tuple[Path, int, int]:
    """The file, offset and length in bytes of an external tensor.

    Raises:
        StepError: the file is missing, or too short.
    """
    info = ExternalDataInfo(tensor)
    path = folder / check_location(info.location)
    if not path.is_file() or path.is_symlink():
        raise StepError(f"the model keeps weights in {info.location!r}, which is missing beside it")
    size, offset = path.stat().st_size, int(info.offset or 0)
    length = size - offset if info.length is None else int(info.length)
    if offset < 0 or length < 0 or offset + length > size:
        raise StepError(
            f"{info.location} has {size} bytes, and tensor {tensor.name!r} is to end at {offset + length}: "
            "the file is truncated, or another model's"
        )
    return path, offset, length


def _of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: list[onnx.NodeProto]) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for nested in (attribute.g, *attribute.graphs):
                yield from _of_graph(nested)


@dataclass(frozen=True)
class _Weights:
    """An encoded tensor: everything but its bytes, and where those are."""

    head: bytes
    path: Path
    offset: int
    length: int

    @property
    def size(self) -> int:
        return len(self.head) + self.length

    def write(self, out: BinaryIO) -> None:
        out.write(self.head)
        with self.path.open("rb") as source:
            source.seek(self.offset)
            left = self.length
            while left and (chunk := source.read(min(left, _CHUNK))):
                out.write(chunk)
                left -= len(chunk)


def embedded_size(path: Path, model: onnx.ModelProto) -> int:
    """About how many bytes the one file would have: never less than it will."""
    folder = path.parent
    return path.stat().st_size + sum(_span(tensor, folder)[2] + 16 for tensor in external(model))


def embed(model: onnx.ModelProto, folder: Path, target: Path) -> None:
    """Write `model`, whose data files are in `folder`, as one file; `model` is used up by it.

    Raises:
        StepError: a data file is missing or too short.
    """
    weights = [_encoded(tensor, folder) for tensor in _large(model)]
    keep = [tensor for tensor in model.graph.initializer if not uses_external_data(tensor)]
    del model.graph.initializer[:]
    model.graph.initializer.extend(keep)
    for tensor in external(model):  # in nested graphs, functions and attributes: small
        _span(tensor, folder)
        load_external_data_for_tensor(tensor, str(folder))
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
    graph = model.graph.SerializeToString()
    model.ClearField("graph")
    inside = sum(len(_header(_INITIALIZER, one.size)) + one.size for one in weights)
    with target.open("wb") as out:
        out.write(model.SerializeToString())
        out.write(_header(_GRAPH, len(graph) + inside))
        out.write(graph)
        for one in weights:
            out.write(_header(_INITIALIZER, one.size))
            one.write(out)


def _large(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    return (tensor for tensor in model.graph.initializer if uses_external_data(tensor))


def _encoded(tensor: onnx.TensorProto, folder: Path) -> _Weights:
    path, offset, length = _span(tensor, folder)
    bare = onnx.TensorProto()
    bare.CopyFrom(tensor)
    bare.ClearField("data_location")
    del bare.external_data[:]
    return _Weights(bare.SerializeToString() + _header(_RAW_DATA, length), path, offset, length)


def _header(field: int, length: int) -> bytes:
    """The tag and the length that come before the bytes of a field."""
    return _varint(field << 3 | _BYTES_FIELD) + _varint(length)


def _varint(number: int) -> bytes:
    """A number as protobuf writes it: seven bits a byte, lowest first, a high bit where more follow."""
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


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
