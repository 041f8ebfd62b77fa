"""How much memory the training took at most."""

from __future__ import annotations

import resource

import torch

_MIB = 1 << 20


def peak_memory_mib() -> float:
    """MiB: of the GPU's memory what tensors took at most, or without a GPU this process's largest size."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / _MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # Linux counts in KiB
