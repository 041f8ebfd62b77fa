"""Several processes that train one network together, each on its share of every batch.

`together` lets torchrun's launcher start them, watch them and end all when one fails. In each of them `team`
says which one it is. Process 0 leads: it alone tracks and keeps checkpoints. On GPUs each has one of its own;
without GPUs they share the CPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from argosy.errors import UsageError

if TYPE_CHECKING:
    from argosy.components.training.checkpoints.checkpoint import TrainingState

T = TypeVar("T")
# The leader may download and decode for long while the others wait; the launcher notices when it ends.
_PATIENCE = timedelta(hours=24)


@dataclass(frozen=True)
class Team:
    """This process among those that train together; alone, nothing needs to be agreed on."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process tracks and keeps checkpoints."""
        return self.rank == 0

    @contextmanager
    def leader_first(self) -> Iterator[None]:
        """The block runs in the leader, and then in the others: they find what it has prepared."""
        if not self.leads:
            dist.barrier()
        yield
        if self.leads and self.size > 1:
            dist.barrier()

    def told(self, value: T) -> T:
        """The leader's value."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def total(self, *numbers: float) -> list[float]:
        """Each number, added up over all processes; float64."""
        if self.size == 1:
            return list(numbers)
        sums = torch.tensor(numbers, dtype=torch.float64, device=_device())
        dist.all_reduce(sums)
        return sums.tolist()

    def average(self, tensors: list[Tensor]) -> None:
        """Replace each tensor, in place, by its mean over all processes."""
        if self.size == 1:
            return
        for tensor in tensors:
            dist.all_reduce(tensor)
            tensor /= self.size

    def spread(self, model: nn.Module) -> nn.Module:
        """The model, with gradients that become their means over all processes.

        Batch norm looks at each process's share of a batch alone; `average` its statistics afterwards.
        """
        return model if self.size == 1 else DistributedDataParallel(model, forward_sync_buffers=False)

    def catch_up(self, state: TrainingState, seed: int) -> None:
        """Every process goes on from the leader's state, with random changes of images of its own."""
        if self.size == 1:
            return
        saved = self.told(state.snapshot() if self.leads else {})
        if not self.leads:
            state.restore(saved)
            state.augmentation.manual_seed(seed + self.rank * 1_000_003 + state.epoch)


ALONE = Team()


def how_many(setting: int | Literal["auto"], batch_size: int) -> int:
    """How many processes a recipe's `processes` means here: auto is one for each GPU, at least one.

    Raises:
        UsageError: there are fewer GPUs, or a batch cannot be shared evenly.
    """
    gpus = torch.cuda.device_count()
    count = max(1, gpus) if setting == "auto" else setting
    if gpus and count > gpus:
        raise UsageError(f"processes is {count}, and this machine has {gpus} GPUs, one for each at most")
    if batch_size % count or batch_size < 2 * count:
        raise UsageError(
            f"batch_size is {batch_size}; {count} processes share it evenly if it is a multiple of {count}, "
            f"from {2 * count} up"
        )
    return count


def team() -> Team:
    """This process's place among those that train together; `ALONE` outside of `together`."""
    return Team(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else ALONE


@contextmanager
def joined() -> Iterator[Team]:
    """Within the block this process belongs to the team that its launcher's environment names."""
    rank, local = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    on_gpus = torch.cuda.is_available()
    if on_gpus:
        torch.cuda.set_device(local)
    else:
        torch.set_num_threads(max(1, torch.get_num_threads() // int(os.environ["WORLD_SIZE"])))
    dist.init_process_group("nccl" if on_gpus else "gloo", rank=rank, timeout=_PATIENCE)
    try:
        yield team()
    finally:
        dist.destroy_process_group()


def _device() -> torch.device:
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")
