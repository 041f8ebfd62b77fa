"""Random and real inputs of the gates."""

import itertools
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from argosy.components.shared.run_files import read_real_samples
from argosy.components.training.validation import (
    BATCHES,
    MOST_BYTES,
    batch_sizes,
    random_batches,
    real_batches,
)
from argosy.errors import StepError


@pytest.mark.parametrize("count", [1, 2, 3, 5, 41, 42, 43, 100, 1000])
def test_batches_of_all_sizes_hold_exactly_the_samples(count: int) -> None:
    sizes = list(batch_sizes(count, (3, 8, 8)))
    assert sum(sizes) == count
    assert min(sizes) > 0
    if count >= sum(BATCHES):
        assert set(sizes) >= set(BATCHES)


def test_a_batch_of_large_samples_stays_within_the_bound() -> None:
    sample = (3, 512, 512)
    sizes = list(batch_sizes(100, sample))
    assert max(sizes) * 3 * 512 * 512 * 4 <= MOST_BYTES
    assert max(sizes) > 1
    assert list(batch_sizes(3, (10**8,))) == [1, 1, 1]


def test_random_inputs_are_seeded_and_never_all_in_memory() -> None:
    def batches(seed: int) -> list[np.ndarray]:
        return list(random_batches(25, (3, 4, 4), seed))

    assert [batch.shape[0] for batch in batches(0)] == [1, 2, 7, 15]
    assert all(np.array_equal(a, b) for a, b in zip(batches(1), batches(1), strict=True))
    assert not np.array_equal(batches(1)[0], batches(2)[0])
    assert len(list(itertools.islice(random_batches(10**9, (2,), 0), 3))) == 3


def test_real_inputs_come_in_their_order() -> None:
    inputs = np.arange(50, dtype=np.float32).reshape(50, 1)
    batches = list(real_batches(inputs))
    assert np.array_equal(np.concatenate(batches), inputs)
    assert len(batches) > 3


def _run(name: str, folder: Path, **arrays: np.ndarray) -> str:
    mlflow.set_experiment(name)
    with mlflow.start_run() as run:
        for file, array in arrays.items():
            np.save(folder / f"{file}.npy", array)
            mlflow.log_artifact(str(folder / f"{file}.npy"))
    return str(run.info.run_id)


def test_what_a_training_run_left(client: MlflowClient, name: str, tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).standard_normal((6, 4), dtype=np.float32)
    labels = np.arange(6, dtype=np.int32)
    run_id = _run(name, tmp_path, validation_inputs=inputs, validation_labels=labels)
    real = read_real_samples(client, run_id, (4,), tmp_path)
    assert real is not None
    assert real.labels is not None
    assert np.array_equal(real.inputs, inputs)
    assert (len(real), real.labels.tolist(), real.labels.dtype) == (6, [0, 1, 2, 3, 4, 5], np.int64)
    second = real.part(slice(1, None, 2))
    assert second.labels is not None
    assert second.labels.tolist() == [1, 3, 5]


def test_without_labels(client: MlflowClient, name: str, tmp_path: Path) -> None:
    run_id = _run(name, tmp_path, validation_inputs=np.zeros((6, 4), np.float32))
    real = read_real_samples(client, run_id, (4,), tmp_path)
    assert real is not None
    assert real.labels is None


def test_a_run_without_samples(client: MlflowClient, name: str, tmp_path: Path) -> None:
    assert read_real_samples(client, _run(name, tmp_path), (4,), tmp_path) is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"validation_inputs": np.zeros((6, 5), np.float32)}, r"holds float32 \(6, 5\); the model takes"),
        ({"validation_inputs": np.zeros((6, 4), np.float64)}, r"holds float64"),
        ({"validation_inputs": np.zeros((0, 4), np.float32)}, r"holds float32 \(0, 4\)"),
        ({"validation_inputs": np.array([{"a": 1}], dtype=object)}, "is no NumPy array"),
        (
            {"validation_inputs": np.zeros((6, 4), np.float32), "validation_labels": np.zeros(5, np.int64)},
            r"validation_labels.npy .* holds int64 \(5,\); 6 whole numbers",
        ),
        (
            {"validation_inputs": np.zeros((6, 4), np.float32), "validation_labels": np.zeros(6)},
            r"holds float64 \(6,\)",
        ),
    ],
)
def test_samples_that_are_not_the_model_s_are_an_error(
    client: MlflowClient, name: str, tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(StepError, match=message):
        read_real_samples(client, _run(name, tmp_path, **arrays), (4,), tmp_path)
