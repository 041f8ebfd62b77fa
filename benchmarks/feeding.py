"""Whether the images come as fast as the network learns from them."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch

from argosy.components.training.data.batches import Batches
from argosy.components.training.data.decoded import load_images, stored_sizes
from argosy.components.training.data.images import Augmentation, CachedImages, open_folder
from argosy.components.training.data.many_files import VARIABLE
from argosy.components.training.network.engine import Precision, choose_precision
from argosy.components.training.network.model import build_model
from argosy.stack import dataset
from benchmarks.harness import Result, compare, seconds

SIZE = (64, 64)
BATCH, IMAGES = 64, 512
LIMIT = 1 / 0.9  # the loop must reach 0.9 of the images a second


class Loop:
    """The steps of a training of ResNet18, wherever its batches come from."""

    def __init__(self, precision: Precision, augment: Augmentation) -> None:
        self.precision, self.augment = precision, augment
        self.model = precision.place(build_model("resnet18", 10)).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 1e-3, fused=True)

    def epoch(self, batches: Iterable[tuple[torch.Tensor, torch.Tensor]]) -> None:
        """Learn from each batch, and wait for the device at the end."""
        for images, labels in batches:
            changed = self.precision.arrange(self.augment(images))
            with self.precision.autocast():
                logits = self.model(changed)
                loss = torch.nn.functional.cross_entropy(logits, labels)
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
        loss.item()


def train_loop_vs_memory() -> Result:
    """An epoch with its images mapped from the disk, against the same steps with batches that lie ready.

    Both sides augment, and train ResNet18; the baseline was given its batches before the clock starts.
    """
    precision = choose_precision("auto", SIZE)
    loop = Loop(precision, Augmentation(SIZE, 0.35, False, torch.Generator().manual_seed(0)))
    with tempfile.TemporaryDirectory(prefix="argosy-bench-") as folder:
        os.environ[VARIABLE] = folder
        root = Path(folder) / "digits"
        _write_digits(root)
        size = stored_sizes(SIZE)["train"]
        mapped = load_images(open_folder(root), "train", size, workers=2, in_memory=False)
        assert isinstance(mapped, CachedImages)
        some = CachedImages(mapped.images[:IMAGES], mapped.labels[:IMAGES], mapped=mapped.mapped)
        batches = Batches(some, batch_size=BATCH, device=precision.device, shuffle_seed=0)
        ready = list(batches.epoch(1))
        return compare(
            "train_loop_vs_memory",
            lambda: seconds(lambda: loop.epoch(batches.epoch(1))),
            lambda: seconds(lambda: loop.epoch(ready)),
            LIMIT,
            f"an epoch of {IMAGES} images at {SIZE[0]} pixels, {precision}",
        )


def _write_digits(root: Path) -> None:
    for image in dataset.images():
        path = root / image.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image.png)
