"""Whether the images come as fast as the network learns from them."""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path

from argosy.stack import dataset
from benchmarks.harness import Result, compare, seconds

SIZE = (64, 64)
BATCH, IMAGES = 64, 512
LIMIT = 1 / 0.9  # the loop must reach 0.9 of the images a second


def train_loop_vs_memory() -> Result:
    """An epoch with its images mapped from the disk, against the same steps with batches that lie ready.

    Both sides augment, and train ResNet18; the baseline was given its batches before the clock starts.
    """
    import torch

    from argosy.components.training.data.batches import Batches
    from argosy.components.training.data.cache import VARIABLE
    from argosy.components.training.data.dataset import open_folder
    from argosy.components.training.data.images import CachedImages
    from argosy.components.training.data.preparation import load_images, stored_sizes
    from argosy.components.training.data.transforms import Augmentation
    from argosy.components.training.network.model import build_model
    from argosy.components.training.network.precision import choose_precision

    precision = choose_precision("auto", SIZE)
    model = precision.place(build_model("resnet18", 10)).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)
    augment = Augmentation(SIZE, 0.35, False, torch.Generator().manual_seed(0))

    def epoch(batches: "Iterable[tuple[torch.Tensor, torch.Tensor]]") -> None:
        for images, labels in batches:
            with precision.autocast():
                logits = model(precision.arrange(augment(images)))
                loss = torch.nn.functional.cross_entropy(logits, labels)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        loss.item()  # waits for the device

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
            lambda: seconds(lambda: epoch(batches.epoch(1))),
            lambda: seconds(lambda: epoch(ready)),
            LIMIT,
            f"an epoch of {IMAGES} images at {SIZE[0]} pixels, {precision}",
        )


def _write_digits(root: Path) -> None:
    for image in dataset.images():
        path = root / image.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image.png)
