"""The files of an ONNX model: are they whole, what goes in and out, how the weights beside them travel.

A model names its data files itself, so a name is not trusted: it must be a plain relative path that stays
inside of the model's folder, on disk as in S3, and the bytes that a tensor wants must be in the file.

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

import json
import logging
import re
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_tensor, uses_external_data

from argosy.components.deployment.model.layout import CONFIG_FILE, METADATA_FILE, MODEL_FILE
from argosy.errors import StepError

log = logging.getLogger(__name__)

MAX_PROTOBUF_BYTES = 2**31 - 1
_PART_OF_LOCATION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._:+=@,()-]{0,199}")
_MOST_PARTS, _LONGEST = 8, 512
_OURS = (MODEL_FILE, METADATA_FILE, CONFIG_FILE)
_CHUNK = 4 << 20
_BYTES_FIELD = 2  # protobuf's wire type of everything that has a length
_GRAPH = onnx.ModelProto.DESCRIPTOR.fields_by_name["graph"].number
_INITIALIZER = onnx.GraphProto.DESCRIPTOR.fields_by_name["initializer"].number
_RAW_DATA = onnx.TensorProto.DESCRIPTOR.fields_by_name["raw_data"].number


@dataclass(frozen=True)
class TensorSpec:
    """A model's input or output.

    Attributes:
        name: as in the graph.
        dtype: a `TensorProto.DataType`.
        shape: sizes; a name such as "batch_size" where the caller chooses, -1 where that has no name.
    """

    name: str
    dtype: int
    shape: tuple[int | str, ...]

    @property
    def batched(self) -> bool:
        """Whether the caller chooses the first dimension."""
        return bool(self.shape) and not _fixed(self.shape[0])

    @property
    def dims(self) -> list[int]:
        """The shape with -1 wherever the caller chooses."""
        return [int(size) if _fixed(size) else -1 for size in self.shape]

    def to_dict(self) -> dict[str, object]:
        """As metadata.json shows it."""
        return {"name": self.name, "shape": list(self.shape)}


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a model."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    @property
    def batched(self) -> bool:
        """Whether every input and output has a first dimension that the caller chooses: a batch."""
        return all(tensor.batched for tensor in (*self.inputs, *self.outputs))


def check_model(path: Path) -> None:
    """Check that a model is whole, its data files beside it included, and that ONNX Runtime opens it.

    Args:
        path: a file that `load_graph` has read.

    Raises:
        StepError: it breaks ONNX's rules, or ONNX Runtime refuses it.
    """
    try:
        # By path, because a model in memory is limited to 2 GiB.
        onnx.checker.check_model(str(path))
    except onnx.checker.ValidationError as error:
        raise StepError(f"{path.name} is not a valid ONNX model: {_first_line(error)}") from error
    _open(path)


def read_signature(path: Path) -> Signature:
    """The model's inputs and outputs, in the graph's order; weights are no inputs.

    Raises:
        StepError: it is no ONNX model, or an input or output is no tensor.
    """
    return signature_of(load_graph(path))


def signature_of(model: onnx.ModelProto) -> Signature:
    """The same of a model that is loaded.

    Raises:
        StepError: an input or output is no tensor.
    """
    graph = model.graph
    weights = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_spec(value) for value in graph.input if value.name not in weights)
    return Signature(inputs, tuple(_spec(value) for value in graph.output))


def training_run_of(model: onnx.ModelProto) -> str:
    """The run that trained the model, as export-onnx wrote it into the file; "" where nothing is written."""
    told = {entry.key: entry.value for entry in model.metadata_props}
    try:
        run_id = json.loads(told.get("run_id", '""'))
    except ValueError:
        return ""
    return run_id if isinstance(run_id, str) else ""


def load_graph(path: Path) -> onnx.ModelProto:
    """The model without what is in its data files.  It is read as protobuf: nothing in it is ever run.

    Raises:
        StepError: it is no ONNX model, or larger than a protobuf can be.
    """
    size = path.stat().st_size
    if size > MAX_PROTOBUF_BYTES:
        raise StepError(
            f"{path.name} has {size} bytes, and an ONNX file at most {MAX_PROTOBUF_BYTES}: "
            "keep its weights in a file beside it (save_as_external_data=True)"
        )
    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, OSError) as error:
        raise StepError(f"{path.name} is not an ONNX model: {_first_line(error)}") from error
    if not model.HasField("graph"):
        raise StepError(f"{path.name} is not a valid ONNX model: it has no graph")
    return model


def _open(path: Path) -> None:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # Whether it opens is the question, not how fast it would run.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's errors share no base class but Exception
        raise StepError(f"ONNX Runtime does not open {path.name}: {_first_line(error)}") from error


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    if not value.type.HasField("tensor_type"):
        kind = value.type.WhichOneof("value") or "nothing"
        raise StepError(
            f"{value.name!r} is a {kind}: Triton serves models whose inputs and outputs are tensors"
        )
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        raise StepError(
            f"{value.name!r} has no shape: export the model with the shapes of its inputs and outputs"
        )
    return TensorSpec(value.name, tensor.elem_type, tuple(_size(dim) for dim in tensor.shape.dim))


def _size(dim: onnx.TensorShapeProto.Dimension) -> int | str:
    if dim.HasField("dim_value"):
        return int(dim.dim_value)
    return dim.dim_param or -1


def _fixed(size: int | str) -> bool:
    return isinstance(size, int) and size >= 0


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def check_location(name: str) -> str:
    """`name`, when it can be the path of a data file below the model's folder.

    Raises:
        StepError: it is absolute, leaves the folder, has unusual characters, or is a name of our own.
    """
    parts = name.split("/")
    plain = all(_PART_OF_LOCATION.fullmatch(part) and ".." not in part for part in parts)
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
