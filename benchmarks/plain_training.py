"""The plain recipe that many trainings are: Adam at 1e-3, fp32, images decoded and prepared every epoch."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from argosy.components.training.data.images import MEAN, STD
from argosy.components.training.network.model import import_torchvision


class PlainTraining:
    """torchvision's ResNet18 on torchvision's data sets and transforms; no schedule, no cache, no tricks."""

    def __init__(self, root: Path, side: int, *, batch_size: int, workers: int, seed: int) -> None:
        torchvision = import_torchvision()
        from torchvision import datasets, transforms

        torch.manual_seed(seed)
        finish = [transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
        if side < 64:  # the same kinds of random change as ours
            scale: list[Any] = [transforms.Resize((side, side))]
            change: list[Any] = [*scale, transforms.RandomCrop(side, padding=side // 16, padding_mode="edge")]
        else:
            scale = [transforms.Resize((side, side))]
            change = [transforms.RandomResizedCrop(side, (0.35, 1.0)), transforms.RandomHorizontalFlip()]
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        options = {"batch_size": batch_size, "num_workers": workers, "persistent_workers": workers > 0}
        folder, compose = datasets.ImageFolder, transforms.Compose
        self.train = DataLoader(folder(root / "train", compose([*change, *finish])), shuffle=True, **options)
        self.val = DataLoader(folder(root / "val", compose([*scale, *finish])), **options)
        classes = len(folder(root / "train").classes)
        self.model = torchvision.models.resnet18(num_classes=classes).to(self.device)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)

    def epochs(self) -> Iterator[float]:
        """Train, an epoch at a time; the validation accuracy after each."""
        while True:
            self.train_epoch()
            yield self.accuracy()

    def train_epoch(self, between: Callable[[], None] = lambda: None) -> int:
        """Train on every image once; how many there were. `between` is called after each step."""
        self.model.train()
        samples = 0
        for images, labels in self.train:
            images, labels = images.to(self.device), labels.to(self.device)
            loss = nn.functional.cross_entropy(self.model(images), labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            samples += len(labels)
            between()
        return samples

    @torch.no_grad()
    def accuracy(self) -> float:
        """The share of validation images that are recognised."""
        self.model.eval()
        right = samples = 0
        for images, labels in self.val:
            right += int((self.model(images.to(self.device)).argmax(1).cpu() == labels).sum())
            samples += len(labels)
        return right / samples
