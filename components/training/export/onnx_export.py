"""Turn a registered PyTorch model into one self-contained ONNX file."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import nn

from argosy.components.training.export.onnx_check import check_onnx
from argosy.errors import StepError

log = logging.getLogger(__name__)

INPUT, OUTPUT, BATCH = "input", "output", "batch_size"
# The newest operator set that ONNX Runtime and the exporter both treat as settled.
OPSET = 18


def export_onnx(
    model: nn.Module, sample: tuple[int, ...], path: Path, metadata: Mapping[str, object]
) -> None:
    """Write `model` to `path` as ONNX: "input" (batch_size, *sample) to "output" (batch_size, ...).

    The batch stays free: the trace uses two samples, since a trace of one would freeze it.

    Args:
        model: on the CPU, traced as it is; it turns one float32 tensor into one tensor.
        sample: the shape of one sample, without the batch.
        path: the file to write; all weights are inside.
        metadata: kept in the file as JSON texts under these names.

    The same model gives the same bytes, with the same versions of PyTorch and the exporter.

    Raises:
        StepError: the model does not accept such samples, cannot be exported, or the file is no valid ONNX.
    """
    for chatty in ("onnx_ir", "onnxscript"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    example = torch.zeros(2, *sample)
    _try(model, example)
    try:
        with warnings.catch_warnings():
            # The exporter deprecates its own parts; whoever runs the step can do nothing about it.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model,
                (example,),
                str(path),
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamo=True,
                external_data=False,
                opset_version=OPSET,
                dynamic_shapes=({0: BATCH},),
                verbose=False,
            )
        _finish(path, metadata)
    except torch.onnx.errors.OnnxExporterError as error:
        raise StepError(
            f"the model cannot be exported to ONNX: {str(error).strip().splitlines()[0]}"
        ) from error


def _try(model: nn.Module, example: torch.Tensor) -> None:
    """Run the model once: what it refuses here the exporter would refuse with pages of its own workings."""
    shape = "x".join(map(str, example.shape[1:]))
    try:
        with torch.inference_mode():
            answer = model(example)
    except Exception as error:  # whatever a network raises on input that it was not made for
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise StepError(
            f"the model does not accept a batch of {len(example)} samples of shape {shape}: {reason[0]}"
        ) from error
    if not isinstance(answer, torch.Tensor):
        raise StepError(f"the model answers with a {type(answer).__name__}; it must answer with one tensor")
    if answer.ndim < 1 or len(answer) != len(example):
        raise StepError(
            f"the model answers {len(example)} samples with shape {tuple(answer.shape)}; "
            "the first dimension must be the batch"
        )


def _finish(path: Path, metadata: Mapping[str, object]) -> None:
    """Replace what the exporter noted by `metadata`, and check the file as a whole, inferred shapes included.

    The exporter's notes hold stack traces with paths of this machine: the same model exported elsewhere would
    be another file.
    """
    model = onnx.load(path)
    for graph in [*_graphs(model.graph), *model.functions]:
        _forget(graph, *graph.node)
    for graph in _graphs(model.graph):
        _forget(*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    onnx.helper.set_model_props(model, {key: json.dumps(value) for key, value in metadata.items()})
    onnx.save(model, path)
    check_onnx(path)
    log.info("%s: %.1f MB, opset %d", path.name, path.stat().st_size / 1e6, model.opset_import[0].version)


def _forget(*parts: Any) -> None:
    for part in parts:
        del part.metadata_props[:]


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and those nested in its nodes."""
    yield graph
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        for nested in (attribute.g, *attribute.graphs):
            if nested.node:
                yield from _graphs(nested)
