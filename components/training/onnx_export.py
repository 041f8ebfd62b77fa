"""Turn a registered PyTorch model into one self-contained ONNX file."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path

import onnx
import torch
from torch import nn

from argosy.components.training.shape import InputShape
from argosy.errors import StepError

log = logging.getLogger(__name__)

INPUT, OUTPUT, BATCH = "input", "output", "batch_size"
# The newest operator set that ONNX Runtime and the exporter both treat as settled.
OPSET = 18


def export_onnx(model: nn.Module, shape: InputShape, path: Path, metadata: Mapping[str, object]) -> None:
    """Write `model` to `path` as ONNX: "input" (batch_size, 3, H, W) to "output" (batch_size, classes).

    The batch stays free: the trace uses two images, since a trace of one would freeze it.

    Args:
        model: on the CPU, traced as it is.
        shape: height and width of the input; its batch is ignored.
        path: the file to write; all weights are inside.
        metadata: kept in the file as JSON texts under these names.

    Raises:
        StepError: the model cannot be exported, or the file is no valid ONNX.
    """
    for chatty in ("onnx_ir", "onnxscript"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    example = torch.zeros(2, *shape[1:])
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
    except (torch.onnx.errors.OnnxExporterError, onnx.checker.ValidationError) as error:
        raise StepError(
            f"the model cannot be exported to ONNX: {str(error).strip().splitlines()[0]}"
        ) from error


def _finish(path: Path, metadata: Mapping[str, object]) -> None:
    """Add the metadata and check the file as a whole, inferred shapes included."""
    model = onnx.load(path)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    properties.update({key: json.dumps(value) for key, value in metadata.items()})
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, path)
    onnx.checker.check_model(str(path), full_check=True)
    log.info("%s: %.1f MB, opset %d", path.name, path.stat().st_size / 1e6, model.opset_import[0].version)
