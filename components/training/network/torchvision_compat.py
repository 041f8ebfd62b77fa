"""Import torchvision also where its compiled half does not fit the installed PyTorch.

torchvision's wheel from a package index is compiled for CUDA. Beside a CPU build of PyTorch its shared
library cannot be loaded, and `import torchvision` then stops because two operators that it wants to describe
were never declared. Declaring them is enough: models and transforms are pure Python. Only
`torchvision.ops.nms` and torchvision's own image decoders stay out of reach, and this package uses neither.
"""

from __future__ import annotations

import importlib
import logging
from types import ModuleType

import torch

log = logging.getLogger(__name__)

_MISSING = "operator torchvision::nms does not exist"
_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
# The declarations live as long as the library object, so it is kept for the life of the process.
_declared: list[torch.library.Library] = []


def import_torchvision() -> ModuleType:
    """The torchvision package; the two operators are declared only after the plain import failed for them.

    Raises:
        ImportError, RuntimeError: torchvision is missing, or broken in another way.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as error:
        if _MISSING not in str(error) or _declared:
            raise
    log.info("torchvision is compiled for another PyTorch; its compiled operators are left out")
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for operator in _OPERATORS:
        library.define(operator)  # type: ignore[no-untyped-call]
    _declared.append(library)
    return importlib.import_module("torchvision")
