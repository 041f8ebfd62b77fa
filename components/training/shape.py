"""The `input_shape` parameter: text such as "1,3,224,224"."""

from __future__ import annotations

from typing import NamedTuple

from argosy.errors import UsageError

# The architectures see 32 times smaller feature maps at their end; a limit above catches a mistyped size.
SMALLEST, LARGEST = 16, 4096


class InputShape(NamedTuple):
    """Shape of one request to the model, in the order that PyTorch, ONNX and Triton share."""

    batch: int
    channels: int
    height: int
    width: int


def parse_input_shape(text: str) -> InputShape:
    """Read "batch,3,height,width".

    The batch is only an example: the exported model takes any. Images are always RGB.

    Raises:
        UsageError: not four whole numbers, not 3 channels, or a size out of range.
    """
    try:
        shape = InputShape(*(int(part) for part in text.split(",")))
    except (ValueError, TypeError):
        raise UsageError(f"input_shape {text!r} is not four whole numbers such as 1,3,224,224") from None
    if shape.batch < 1:
        raise UsageError(f"input_shape {text!r}: the batch must be at least 1")
    if shape.channels != 3:
        raise UsageError(f"input_shape {text!r}: the models take RGB images, so the second number must be 3")
    if not all(SMALLEST <= side <= LARGEST for side in (shape.height, shape.width)):
        raise UsageError(f"input_shape {text!r}: height and width must be {SMALLEST} to {LARGEST} pixels")
    return shape
