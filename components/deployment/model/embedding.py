"""A model with its weights in files beside it, written as one file.

A version's folder comes into being with its first object, so a model of one file appears whole or not at all;
that is why every model that fits into one file becomes one.  Protobuf ends at 2 GiB: a larger one stays as
it is.

The weights are copied from file to file, never into memory: what stands around them is encoded here, by
protobuf's own rule that a nested message is its tag, its length and its bytes, in any order of fields.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import onnx
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data

from argosy.components.deployment.model.external_data import external, span

_CHUNK = 4 << 20
_BYTES_FIELD = 2  # protobuf's wire type of everything that has a length
_GRAPH = onnx.ModelProto.DESCRIPTOR.fields_by_name["graph"].number
_INITIALIZER = onnx.GraphProto.DESCRIPTOR.fields_by_name["initializer"].number
_RAW_DATA = onnx.TensorProto.DESCRIPTOR.fields_by_name["raw_data"].number


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
    return path.stat().st_size + sum(span(tensor, folder)[2] + 16 for tensor in external(model))


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
        span(tensor, folder)
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
    path, offset, length = span(tensor, folder)
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
