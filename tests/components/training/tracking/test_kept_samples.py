"""The validation images that a run keeps for the gates."""

from pathlib import Path

import numpy as np
import pytest

from argosy.components.training.data.images import CachedImages, ImageFolder, StreamedImages, normalise
from argosy.components.training.tracking.report import MOST_SAMPLES, write_samples

SIZE = (16, 16)


@pytest.mark.parametrize("streamed", [False, True])
def test_they_are_what_the_network_gets(digits: ImageFolder, tmp_path: Path, streamed: bool) -> None:
    cached = CachedImages.decode(digits.val, SIZE, 1)
    images = StreamedImages(digits.val, SIZE) if streamed else cached
    labels = np.array(digits.val.labels)
    inputs, kept = (np.load(path) for path in write_samples(tmp_path, images, labels))
    assert inputs.dtype == np.float32 and len(inputs) == len(kept) == min(len(labels), MOST_SAMPLES)
    assert set(kept) == set(labels), "every class is there"
    np.testing.assert_array_equal(inputs[-1], normalise(cached.images[[len(labels) - 1]]).numpy()[0])
