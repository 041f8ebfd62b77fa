"""One epoch of training, and an evaluation, on a device and in a number format that were decided on before.

Nothing here waits for the device more than once an epoch, and the decision keeps branches out of the loop.

While it learns, a network normalises by each batch. An evaluation needs fixed means and variances instead,
and the running averages that are kept for it lag behind weights that change fast: in the first epochs of a
training that costs most of the accuracy. Measuring them on some images with the weights at rest does not
(Wu and Johnson 2021, arXiv:2105.07576, section 3), so batch-norm statistics are measured anew before each
evaluation.
"""

from __future__ import annotations

import logging
import math
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from argosy.components.training.data.images import Size
from argosy.components.training.network.model import train_mode
from argosy.errors import StepError, UsageError

log = logging.getLogger(__name__)

Batch = tuple[Tensor, Tensor]
Transform = Callable[[Tensor], Tensor]
Total = Callable[..., list[float]]  # adds up each of its numbers over all processes that train together
_COMPILERS = ("g++", "clang++", "c++")
# Measured on a CPU: bf16 with channels_last is 1.6 times faster than fp32 at 64 pixels, 3 times at 224, and
# for a single thread 1.4 times already at 32. Several threads wait for each other in every layer, which costs
# more than such small images gain.
_LARGE, _LARGE_FOR_ONE_THREAD = 64, 32
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def _as_they_are(*numbers: float) -> list[float]:
    """The totals of a process that trains alone."""
    return list(numbers)


@dataclass
class Running:
    """The sums of an epoch so far. An epoch that was cut off goes on from here.

    `loss` is the sum over the samples, on the training device once there is any; `seconds` is the time that
    training took, also before the epoch was cut off.
    """

    batches: int = 0
    samples: int = 0
    seconds: float = 0.0
    loss: Tensor | float = 0.0

    def add(self, loss: Tensor, samples: int) -> None:
        """Count one batch with this mean loss, without waiting for the device."""
        self.loss = self.loss + loss.float() * samples
        self.samples += samples
        self.batches += 1

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Add the time that the block takes, however it ends."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start

    def mean_loss(self, what: str = "training", total: Total = _as_they_are) -> float:
        """The mean loss over the samples, here or, with a `total`, wherever others were seen.

        Raises:
            StepError: it is not finite, or there was no sample.
        """
        loss, samples = total(float(self.loss), self.samples)
        return _finite(loss / max(samples, 1), samples, what)


@dataclass(frozen=True)
class Evaluation:
    """Means over samples, not over batches: a short last batch weighs as much as it is long."""

    loss: float
    accuracy: float
    samples: int


def _carry_on() -> None:
    """Nothing to do between two batches."""


@dataclass(frozen=True)
class Engine:
    """Everything that one optimiser step needs.

    `forward` computes the logits: the model itself, or the model compiled or spread over processes. The model
    holds the weights either way. `total` adds up over those processes.
    """

    model: nn.Module
    forward: Callable[[Tensor], Tensor]
    criterion: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    scaler: torch.amp.GradScaler
    precision: Precision
    total: Total = _as_they_are

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self.schedule.get_last_lr()[0])

    @property
    def steps(self) -> int:
        """How many steps were made so far."""
        return int(self.schedule.last_epoch)

    def train_epoch(
        self,
        batches: Iterable[Batch],
        transform: Transform,
        running: Running | None = None,
        between: Callable[[], None] = _carry_on,
    ) -> float:
        """Train on every batch once; return the mean loss over the samples.

        Args:
            batches: what is left of the epoch.
            transform: prepares the images of a batch.
            running: what the epoch added up before; it is kept up to date.
            between: called after each step; what it raises ends the epoch there, and `running` tells where.

        Raises:
            StepError: the loss is not finite, or there was no batch.
        """
        running = Running() if running is None else running
        train_mode(self.model)
        for images, labels in batches:
            running.add(self._step(transform(images), labels), len(labels))
            between()
        return running.mean_loss(total=self.total)

    def _step(self, images: Tensor, labels: Tensor) -> Tensor:
        """Forward, backward, update; returns the detached loss."""
        with self.precision.autocast():
            loss: Tensor = self.criterion(self.forward(self.precision.arrange(images)), labels)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        return loss.detach()

    @torch.inference_mode()
    def evaluate(
        self, batches: Iterable[Batch], transform: Transform, between: Callable[[], None] = _carry_on
    ) -> Evaluation:
        """Mean loss and accuracy over every sample; `between` is called after each batch.

        Raises:
            StepError: the loss is not finite, or there was no batch.
        """
        self.model.eval()
        running = Running()
        correct: Tensor | int = 0
        for images, labels in batches:
            with self.precision.autocast():
                logits = self.forward(self.precision.arrange(transform(images)))
                loss = self.criterion(logits, labels)
            running.add(loss, len(labels))
            correct = correct + (logits.argmax(1) == labels).sum()
            between()
        mean = running.mean_loss("validation", self.total)
        right, samples = self.total(int(correct), running.samples)
        return Evaluation(mean, right / samples, int(samples))


def _finite(loss: float, samples: float, what: str) -> float:
    if samples == 0:
        raise StepError(f"there was no {what} image to learn from")
    if not math.isfinite(loss):
        raise StepError(f"the {what} loss became {loss}: lower learning_rate, or set precision to fp32")
    return loss


@torch.no_grad()
def settle(
    engine: Engine, batches: Iterable[Batch], transform: Transform, between: Callable[[], None] = _carry_on
) -> None:
    """Replace the statistics of every batch norm that learns by their means over `batches`.

    The weights stay as they are, and later training goes on from the new statistics. It is the plain model
    that computes, not a compiled one, which would have to be compiled for this once more.

    Args:
        engine: the model, and how it computes.
        batches: images to measure on; a few hundred are enough.
        transform: prepares the images of a batch as they are for an evaluation.
        between: called after each batch.
    """
    train_mode(engine.model)
    norms = [m for m in engine.model.modules() if isinstance(m, nn.BatchNorm2d) and m.training]
    if not norms:
        return  # no network of ours, or a frozen one
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
    device = engine.precision.device
    try:
        # What the network draws here leaves no trace: an evaluation that is cut off is begun anew.
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            for images, _ in batches:
                with engine.precision.autocast():
                    engine.model(engine.precision.arrange(transform(images)))
                between()
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum


def statistics(model: nn.Module) -> list[Tensor]:
    """The means and variances of every batch norm that learns: the tensors themselves."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d) and m.weight.requires_grad]
    return [value for norm in norms for value in (norm.running_mean, norm.running_var) if value is not None]


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
