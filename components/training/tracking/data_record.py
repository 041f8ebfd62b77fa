"""A data set in words, for people and programs that compare runs."""

from __future__ import annotations

import json

from mlflow.entities import Dataset, DatasetInput, InputTag

from argosy.components.training.data.dataset import ImageFolder
from argosy.components.training.data.images import Size
from argosy.components.training.data.transforms import MEAN, STD

_DIGEST_LENGTH = 36  # the longest that MLflow takes


def data_params(dataset: str, data: ImageFolder, size: Size) -> dict[str, object]:
    """What two runs must agree in to be compared, as parameters of a run."""
    return {
        "dataset": dataset,
        "dataset_fingerprint": data.fingerprint(),
        "train_images": len(data.train),
        "val_images": len(data.val),
        "skipped_images": len(data.skipped),
        "classes": len(data.classes),
        "image_size": f"{size[0]}x{size[1]}",
    }


def preparation(size: Size) -> dict[str, object]:
    """How an image becomes the network's input: what a client of the model has to do too."""
    return {"size": list(size), "resize": "cover, then centre crop", "mean": MEAN, "std": STD}


def description(dataset: str, data: ImageFolder) -> dict[str, object]:
    """Source, fingerprint, images of each class, and what was left out and why."""
    return {
        "source": dataset,
        "fingerprint": data.fingerprint(),
        "classes": data.counts(),
        "ignored_files": data.ignored,
        "skipped_images": [
            {"file": one.file.relative_to(data.root).as_posix(), "reason": one.reason} for one in data.skipped
        ],
    }


def as_input(dataset: str, data: ImageFolder) -> DatasetInput:
    """The data set as MLflow lists it beside a run."""
    listed = Dataset(
        name=dataset.rstrip("/").rpartition("/")[2] or dataset,
        digest=data.fingerprint()[:_DIGEST_LENGTH],
        source_type="s3" if dataset.startswith("s3://") else "local",
        source=json.dumps({"uri": dataset}),
        profile=json.dumps(data.counts()),
    )
    return DatasetInput(listed, [InputTag("mlflow.data.context", "training")])
