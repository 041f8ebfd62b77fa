"""Is a file valid ONNX, with shapes that agree from its input to its output?"""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx.shape_inference import InferenceError

from argosy.errors import StepError


def check_onnx(path: Path) -> None:
    """Run ONNX's full checker and its strict shape inference.

    Raises:
        StepError: the file is no ONNX model, breaks ONNX's rules, or its shapes contradict each other.
    """
    try:
        # By path, because a model in memory is limited to 2 GiB. The full check infers shapes in strict mode.
        onnx.checker.check_model(str(path), full_check=True)
    except (onnx.checker.ValidationError, InferenceError, DecodeError, OSError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise StepError(f"{path.name} is not a valid ONNX model: {reason[0]}") from error
