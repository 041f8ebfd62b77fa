"""Decide once where and in which number format a network computes, so that the loop has no branches."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from argosy.components.training.data.images import Size
from argosy.errors import UsageError

# Measured on a CPU: bf16 with channels_last is 1.6 times faster than fp32 at 64 pixels, 3 times at 224, and
# for a single thread 1.4 times already at 32. Several threads wait for each other in every layer, which costs
# more than such small images gain.
_LARGE, _LARGE_FOR_ONE_THREAD = 64, 32
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Precision:
    """Device, number format of the arithmetic, and memory layout of the images."""

    device: torch.device
    dtype: torch.dtype
    channels_last: bool

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which the network runs; it does nothing for fp32."""
        if self.dtype is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.dtype)

    def scaler(self) -> torch.amp.GradScaler:
        """Scales the loss so that small fp16 gradients survive; it does nothing for the other formats."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype is torch.float16)

    def place(self, model: nn.Module) -> nn.Module:
        """The model on the device, and on a GPU in the chosen layout.

        On a CPU convolutions take the layout of the images, and AdamW is slower on weights in another one.
        """
        layout = self._layout() if self.device.type == "cuda" else torch.contiguous_format
        return model.to(self.device, memory_format=layout)  # type: ignore[call-overload, no-any-return]

    def arrange(self, images: Tensor) -> Tensor:
        """A batch of images in the chosen layout."""
        return images.contiguous(memory_format=self._layout())

    def _layout(self) -> torch.memory_format:
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def __str__(self) -> str:
        name = next(name for name, dtype in _DTYPES.items() if dtype is self.dtype)
        return f"{self.device.type} {name}{' channels_last' if self.channels_last else ''}"


def choose_precision(setting: str, size: Size) -> Precision:
    """The device of this machine and the number format that `setting` means on it.

    Raises:
        UsageError: fp16 without a GPU: a CPU has no fast arithmetic for it.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if setting == "fp16" and device.type == "cpu":
        raise UsageError("precision is 'fp16', which needs a GPU; use auto, bf16 or fp32")
    dtype = _fastest(device, min(size)) if setting == "auto" else _DTYPES[setting]
    return Precision(device, dtype, channels_last=dtype is not torch.float32)


def choose_algorithms(device: torch.device, *, deterministic: bool) -> None:
    """Let a GPU take the fastest algorithms, tried out for each shape, or only those that repeat exactly.

    An operation without an exact algorithm is named in a warning and goes on. A CPU repeats exactly anyway.
    """
    deterministic = deterministic and device.type == "cuda"
    if deterministic:
        # cuBLAS wants to know before its first call (its documentation, "Results reproducibility").
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Not asked in vain: the call imports PyTorch's compiler, which takes seconds.
    if deterministic != torch.are_deterministic_algorithms_enabled():
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
    torch.backends.cudnn.benchmark = not deterministic


def _fastest(device: torch.device, side: int) -> torch.dtype:
    if device.type == "cuda":
        # bf16 came with compute capability 8 (Ampere); a T4 has 7.5 and computes fast in fp16.
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float16
    pays_from = _LARGE_FOR_ONE_THREAD if torch.get_num_threads() == 1 else _LARGE
    return torch.bfloat16 if side >= pays_from and _cpu_computes_in_bf16() else torch.float32


def _cpu_computes_in_bf16() -> bool:
    """Whether the CPU multiplies bf16 itself; where it only converts, fp32 is faster."""
    features: Mapping[str, object] = torch.cpu.get_capabilities()
    return bool(features.get("avx512_bf16") or features.get("amx_bf16"))
