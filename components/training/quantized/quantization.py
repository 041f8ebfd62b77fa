"""Smaller variants of an ONNX model: 8-bit integers or 16-bit floats; inputs and outputs stay float32."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from argosy.components.training.export.onnx_check import check_onnx
from argosy.components.training.numerical.predictors import Array
from argosy.errors import StepError

log = logging.getLogger(__name__)

Variant = Literal["int8", "fp16"]


def quantize_int8(
    source: Path, target: Path, batches: Iterator[Array], metadata: Mapping[str, object]
) -> None:
    """Write `source` with weights and activations of 8 bits (QDQ) to `target`; same inputs, same bytes.

    The ranges of the activations are those that they take on the calibration inputs. Weights have a scale for
    each channel and use 7 of their 8 bits: with 8, processors without VNNI instructions overflow.

    Args:
        source: a float32 model with one input.
        target: the file to write.
        batches: calibration inputs, which must be like those of production.
        metadata: kept in the file as JSON texts, beside that of `source`.

    Raises:
        StepError: the model cannot be quantized.
    """
    prepared = target.with_suffix(".prepared")
    name = onnx.load(source).graph.input[0].name
    try:
        quant_pre_process(source, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            target,
            _Reader(name, batches),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
    except Exception as error:  # the quantizer's errors have no common base
        raise StepError(f"{source.name} cannot be quantized to int8: {_first_line(error)}") from error
    finally:
        prepared.unlink(missing_ok=True)
    _finish(onnx.load(target), source, target, metadata)


def convert_fp16(source: Path, target: Path, metadata: Mapping[str, object]) -> None:
    """Write `source` with weights and arithmetic of 16-bit floats to `target`; meant for GPUs.

    Raises:
        StepError: the model cannot be converted.
    """
    try:
        model = convert_float_to_float16(onnx.load(source), keep_io_types=True)
        OnnxModel(model).topological_sort(is_deterministic=True)  # the converter appends its casts at the end
    except Exception as error:  # the converter's errors have no common base
        raise StepError(f"{source.name} cannot be converted to fp16: {_first_line(error)}") from error
    _finish(model, source, target, metadata)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Calibration inputs as ONNX Runtime wants them."""

    def __init__(self, name: str, batches: Iterator[Array]) -> None:
        self._name, self._batches = name, batches

    def get_next(self) -> dict[str, Array] | None:
        """The next batch; None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {self._name: batch}


def _finish(model: onnx.ModelProto, source: Path, target: Path, metadata: Mapping[str, object]) -> None:
    """Keep the source's own metadata and only the operator sets in use, and check the file.

    The quantizer declares every operator set that it knows; an older server refuses those it does not.
    """
    original = onnx.load(source)
    told = {entry.key: entry.value for entry in original.metadata_props}
    onnx.helper.set_model_props(
        model, {**told, **{key: json.dumps(value) for key, value in metadata.items()}}
    )
    used = {node.domain for node in model.graph.node} | {""}
    kept = [entry for entry in model.opset_import if entry.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    onnx.save(model, target)
    check_onnx(target)
    log.info("%s: %.1f MB, was %.1f MB", target.name, _megabytes(target), _megabytes(source))


def _megabytes(path: Path) -> float:
    return path.stat().st_size / 1e6


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
