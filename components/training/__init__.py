"""Steps that make a model: train, Gate 1, export, Gate 2."""

from typing import TYPE_CHECKING

from argosy.declare.library import component_library

if TYPE_CHECKING:
    from argosy.components.training.export_to_onnx import export_to_onnx
    from argosy.components.training.promote import promote
    from argosy.components.training.quantize_onnx import quantize_onnx
    from argosy.components.training.train import train
    from argosy.components.training.validate_onnx import validate_onnx

__all__ = ["export_to_onnx", "promote", "quantize_onnx", "train", "validate_onnx"]

component_library(__name__)
