"""The choice of device, number format and layout."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from argosy.components.training.network.engine import choose_algorithms, choose_precision
from argosy.errors import UsageError

needs_cpu = pytest.mark.skipif(torch.cuda.is_available(), reason="describes a machine without GPU")


@needs_cpu
@pytest.mark.parametrize(
    ("setting", "side", "dtype", "channels_last"),
    [
        ("auto", 16, torch.float32, False),
        ("fp32", 224, torch.float32, False),
        ("bf16", 32, torch.bfloat16, True),
        ("bf16", 64, torch.bfloat16, True),
    ],
)
def test_without_a_gpu(setting: str, side: int, dtype: torch.dtype, channels_last: bool) -> None:
    precision = choose_precision(setting, (side, side))
    assert (precision.device.type, precision.dtype, precision.channels_last) == ("cpu", dtype, channels_last)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets the number of threads, for the test alone."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@needs_cpu
@pytest.mark.parametrize(
    ("count", "side", "fast"), [(1, 32, True), (2, 32, False), (1, 224, True), (2, 64, True)]
)
def test_a_cpu_uses_bf16_where_it_is_faster(
    threads: Callable[[int], None], count: int, side: int, fast: bool
) -> None:
    threads(count)
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    able = "avx512_bf16" in flags or "amx_bf16" in flags
    assert (choose_precision("auto", (side, side)).dtype is torch.bfloat16) == (fast and able)


def test_exact_algorithms_are_for_gpus_and_can_be_taken_back() -> None:
    choose_algorithms(torch.device("cpu"), deterministic=True)
    assert not torch.are_deterministic_algorithms_enabled()
    try:
        choose_algorithms(torch.device("cuda"), deterministic=True)  # asks nothing of the GPU yet
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.benchmark
    finally:
        choose_algorithms(torch.device("cuda"), deterministic=False)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.benchmark


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
