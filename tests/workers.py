"""Which tests run on which of pytest-xdist's workers, and in which order."""

from __future__ import annotations

import pytest
from xdist.scheduler import LoadFileScheduling

# What takes minutes begins first, so that no worker is left alone with it in the end; then the rest by name.
LONGEST_FIRST = (
    "e2e",
    "faults",
    "test_packaging.py",
    "components",
    "security",
    "stack",
    "examples",
    "reuse",
)
_TRAINING = "tests/components/training"
# They share models that take a minute to train and export, once in a worker.
TOGETHER = frozenset(
    f"{_TRAINING}/test_{name}.py"
    for name in ("export_to_onnx", "families", "quantize_onnx", "train", "validate_onnx")
)


class ByFile(LoadFileScheduling):  # type: ignore[misc]
    """A file, or the files that belong together, on one worker."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return _TRAINING if file in TOGETHER else file


def in_order(items: list[pytest.Item], written: dict[str, int]) -> None:
    """Bring the long ones to the front, and stories that were shuffled back into their `written` order."""
    items.sort(key=_rank)
    for path in {item.path for item in items if item.get_closest_marker("story")}:
        places = [place for place, item in enumerate(items) if item.path == path]
        story = sorted((items[place] for place in places), key=lambda item: written[item.nodeid])
        for place, item in zip(places, story, strict=True):
            items[place] = item


def _rank(item: pytest.Item) -> int:
    first = item.nodeid.removeprefix("tests/").partition("::")[0].partition("/")[0]
    return LONGEST_FIRST.index(first) if first in LONGEST_FIRST else len(LONGEST_FIRST)
