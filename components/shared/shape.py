"""The `input_shape` parameter: text such as "1,3,224,224" or "1,16"."""

from __future__ import annotations

import math
from dataclasses import dataclass

from argosy.errors import UsageError

# The image networks see 32 times smaller feature maps at their end; a limit above catches a mistyped size.
SMALLEST_IMAGE, LARGEST_IMAGE = 16, 4096
LARGEST_RANK = 8
LARGEST_SAMPLE = 100_000_000  # values of one sample: 400 MB


@dataclass(frozen=True)
class InputShape:
    """Shape of one request to the model, in the order that PyTorch, ONNX and Triton share.

    The first size is the batch. It is only an example: the exported model takes any.

    Attributes:
        sizes: two or more sizes, the batch first.

    Raises:
        UsageError: fewer than two sizes or more than `LARGEST_RANK`, a size below 1, or a sample too large.
    """

    sizes: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.sizes) <= LARGEST_RANK:
            raise UsageError(
                f"input_shape '{self}' has {len(self.sizes)} sizes; it must have 2 to {LARGEST_RANK}, "
                "the batch first, such as 1,3,224,224 or 1,16"
            )
        if min(self.sizes) < 1:
            raise UsageError(f"input_shape '{self}': every size must be at least 1")
        if math.prod(self.sample) > LARGEST_SAMPLE:
            raise UsageError(f"input_shape '{self}': a sample must have at most {LARGEST_SAMPLE} values")

    @property
    def sample(self) -> tuple[int, ...]:
        """The shape of one sample, without the batch."""
        return self.sizes[1:]

    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels, for a model that takes RGB images.

        Raises:
            UsageError: the shape is not that of RGB images of a usable size.
        """
        if len(self.sizes) != 4:
            raise UsageError(f"input_shape '{self}' is not batch,3,height,width: the model takes RGB images")
        channels, height, width = self.sample
        if channels != 3:
            raise UsageError(
                f"input_shape '{self}': the model takes RGB images, so the second size must be 3"
            )
        if not all(SMALLEST_IMAGE <= side <= LARGEST_IMAGE for side in (height, width)):
            raise UsageError(
                f"input_shape '{self}': height and width must be {SMALLEST_IMAGE} to {LARGEST_IMAGE} pixels"
            )
        return height, width

    def __str__(self) -> str:
        return ",".join(map(str, self.sizes))


def parse_input_shape(text: str) -> InputShape:
    """Read "batch,size,...": any kind of input whose first size is the batch.

    Raises:
        UsageError: not whole numbers separated by commas, or `InputShape` refuses them.
    """
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise UsageError(
            f"input_shape {text!r} is not whole numbers with commas between them, such as 1,3,224,224"
        ) from None
    return InputShape(sizes)
