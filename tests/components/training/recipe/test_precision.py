"""The choice of device, number format and layout."""

import pytest
import torch
from torch import nn

from argosy.components.training.recipe.precision import choose_precision
from argosy.errors import UsageError

needs_cpu = pytest.mark.skipif(torch.cuda.is_available(), reason="describes a machine without GPU")


@needs_cpu
@pytest.mark.parametrize(
    ("setting", "side", "dtype", "channels_last"),
    [
        ("auto", 32, torch.float32, False),
        ("fp32", 224, torch.float32, False),
        ("bf16", 32, torch.bfloat16, False),
        ("bf16", 64, torch.bfloat16, True),
    ],
)
def test_without_a_gpu(setting: str, side: int, dtype: torch.dtype, channels_last: bool) -> None:
    precision = choose_precision(setting, (side, side))
    assert (precision.device.type, precision.dtype, precision.channels_last) == ("cpu", dtype, channels_last)


@needs_cpu
def test_large_images_on_a_cpu_use_bf16_where_it_is_fast() -> None:
    fast = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    assert (choose_precision("auto", (224, 224)).dtype is torch.bfloat16) == fast


@needs_cpu
def test_fp16_needs_a_gpu() -> None:
    with pytest.raises(UsageError, match="'fp16', which needs a GPU"):
        choose_precision("fp16", (224, 224))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("side", [32, 224])
def test_a_gpu_computes_in_16_bits(side: int) -> None:
    precision = choose_precision("auto", (side, side))
    assert precision.device.type == "cuda"
    assert precision.dtype in (torch.bfloat16, torch.float16)


def test_model_and_images_share_device_and_layout() -> None:
    precision = choose_precision("bf16", (64, 64))
    model = precision.place(nn.Conv2d(3, 4, 3))
    images = precision.arrange(torch.zeros(2, 3, 64, 64, device=precision.device))
    assert images.is_contiguous(memory_format=torch.channels_last)
    with precision.autocast():
        assert model(images).dtype is torch.bfloat16


def test_it_says_what_it_is() -> None:
    assert str(choose_precision("bf16", (64, 64))).endswith("bf16 channels_last")
