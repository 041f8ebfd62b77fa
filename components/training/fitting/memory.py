"""Running out of memory, told in words that help."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from argosy.errors import StepError

# PyTorch's allocator for the CPU raises a plain RuntimeError; these are the words of its platforms.
_CPU_WORDS = ("can't allocate memory", "not enough memory", "Cannot allocate memory", "std::bad_alloc")


@contextmanager
def memory_errors(work: str, remedy: str) -> Iterator[None]:
    """Turn every way to run out of memory within the block into a `StepError`.

    Args:
        work: what needed the memory, as "training resnet18 with batch_size 64".
        remedy: what the user may do, as "lower batch_size".
    """
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise StepError(f"the GPU's memory is too small for {work}: {remedy}") from error
    except MemoryError as error:
        raise StepError(f"the memory is too small for {work}: {remedy}") from error
    except RuntimeError as error:
        if not any(words in str(error) for words in _CPU_WORDS):
            raise
        raise StepError(f"the memory is too small for {work}: {remedy}") from error
