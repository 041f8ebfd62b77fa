"""The data and the network of `train_tabular`; only that step imports this module."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from torch import Tensor, nn

BATCH = 32
VALIDATION_SHARE = 0.25


@dataclass(frozen=True)
class Rows:
    """Standardised rows [n, 30] float32 and their classes [n], split into two parts."""

    train_inputs: Tensor
    train_labels: Tensor
    val_inputs: Tensor
    val_labels: Tensor
    classes: list[str]
    preparation: dict[str, list[float]]

    def fingerprint(self) -> str:
        """SHA-256 of all rows and of how they are split."""
        digest = hashlib.sha256()
        for tensor in (self.train_inputs, self.train_labels, self.val_inputs, self.val_labels):
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()


def load_rows(seed: int) -> Rows:
    """The data set, shuffled by `seed`, standardised by mean and deviation of the training part."""
    data = load_breast_cancer()
    order = np.random.default_rng(seed).permutation(len(data.target))
    cut = int(len(order) * (1 - VALIDATION_SHARE))
    mean = data.data[order[:cut]].mean(axis=0)
    std = data.data[order[:cut]].std(axis=0)
    inputs = torch.from_numpy(((data.data[order] - mean) / std).astype(np.float32))
    labels = torch.from_numpy(data.target[order].astype(np.int64))
    return Rows(
        *(inputs[:cut], labels[:cut], inputs[cut:], labels[cut:]),
        classes=[str(name) for name in data.target_names],
        preparation={"mean": mean.tolist(), "std": std.tolist()},
    )


def fit(
    rows: Rows, epochs: int, learning_rate: float, seed: int, report: Callable[..., object]
) -> tuple[nn.Module, float]:
    """Train, tell `report` the metrics of every epoch, and return the best epoch's network and accuracy."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(rows.train_inputs.shape[1], 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = torch.optim.Adam(network.parameters(), learning_rate)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    best, kept = 0.0, copy.deepcopy(network.state_dict())
    for epoch in range(1, epochs + 1):
        order = torch.randperm(len(rows.train_labels))
        for batch in order.split(BATCH):
            loss = criterion(network(rows.train_inputs[batch]), rows.train_labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.inference_mode():
            right = network(rows.val_inputs).argmax(1) == rows.val_labels
        accuracy = float(right.float().mean())
        if accuracy > best:
            best, kept = accuracy, copy.deepcopy(network.state_dict())
        report({"best_val_accuracy": best, "val_accuracy": accuracy, "train_loss": float(loss)}, step=epoch)
    network.load_state_dict(kept)
    return network.eval(), best
