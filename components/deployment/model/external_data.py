"""The files beside model.onnx that hold its weights: which they are, and whether they may be.

A model names them itself, so a name is not trusted: it must be a plain relative path that stays inside of the
model's folder, on disk as in S3, and the bytes that a tensor wants must be in the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from argosy.components.deployment.model.layout import CONFIG_FILE, METADATA_FILE, MODEL_FILE
from argosy.errors import StepError

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9 ._:+=@,()-]{0,199}")
_MOST_PARTS, _LONGEST = 8, 512
_OURS = (MODEL_FILE, METADATA_FILE, CONFIG_FILE)


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


def span(tensor: onnx.TensorProto, folder: Path) -> tuple[Path, int, int]:
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
