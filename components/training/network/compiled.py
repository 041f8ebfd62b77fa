"""torch.compile, where it is wanted and where there is a compiler for it."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable

import torch
from torch import Tensor, nn

log = logging.getLogger(__name__)

_COMPILERS = ("g++", "clang++", "c++")


def compiled(model: nn.Module, *, wanted: bool) -> Callable[[Tensor], Tensor]:
    """The function that computes the model's answers: machine code for it, or the model itself.

    The code is made at the first call, once for each shape of images, and uses the model's own weights. A
    model that cannot be compiled then is computed as ever, with a warning.
    """
    if not wanted:
        return model
    if not any(shutil.which(name) for name in (os.environ.get("CXX", ""), *_COMPILERS)):
        log.info(
            "compile is left out: there is no C++ compiler (%s, or what CXX names)", ", ".join(_COMPILERS)
        )
        return model
    torch._dynamo.config.suppress_errors = True
    faster: Callable[[Tensor], Tensor] = torch.compile(model)
    return faster
