"""Running out of memory ends in one line, and other errors stay what they are."""

import pytest
import torch

from argosy.components.training.fitting import memory_errors
from argosy.errors import StepError

TERA = 1 << 40


def test_more_than_there_is() -> None:
    words = "the memory is too small for a test: ask for less"
    with pytest.raises(StepError, match=words), memory_errors("a test", "ask for less"):
        torch.empty(1000 * TERA)
    with pytest.raises(StepError, match=words), memory_errors("a test", "ask for less"):
        bytearray(1000 * TERA)


def test_the_gpus_memory() -> None:
    words = "the GPU's memory is too small for a test: ask for less"
    with pytest.raises(StepError, match=words), memory_errors("a test", "ask for less"):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def test_another_error_passes() -> None:
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), memory_errors("a test", ""):
        torch.ones(2, 3) @ torch.ones(2, 3)
