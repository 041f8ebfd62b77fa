"""How a benchmark is measured and written down.

Every figure is a median; a comparison times both sides in turn, in the same run, so that a slow spell of
the machine hits both.
"""

import json
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RESULTS = Path("build/bench.json")
REPEATS = 5


@dataclass(frozen=True)
class Result:
    """One figure; `ratio` is value / baseline, both None where there is nothing to compare with."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    limit: float | None = None
    note: str = ""

    def line(self) -> str:
        """The figure as one line for people."""
        against = (
            f", baseline {self.baseline:.3f} {self.unit}, ratio {self.ratio:.2f}" if self.baseline else ""
        )
        limit = f" (limit {self.limit:g})" if self.limit is not None else ""
        return f"{self.name:28} {self.value:.3f} {self.unit}{against}{limit} {self.note}".rstrip()


def seconds(action: Callable[[], Any]) -> float:
    """How long `action` takes, in seconds."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def processor_seconds() -> float:
    """The processor time of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def median(action: Callable[[], float], repeats: int = REPEATS) -> float:
    """The median of what `action` returns, after one run that does not count."""
    action()
    return statistics.median(action() for _ in range(repeats))


def compare(
    name: str,
    ours: Callable[[], float],
    theirs: Callable[[], float],
    limit: float | None = None,
    note: str = "",
) -> Result:
    """Medians of both sides, measured in turn; both return seconds; `limit` is of the ratio."""
    ours(), theirs()
    pairs = [(ours(), theirs()) for _ in range(REPEATS)]
    value, baseline = (statistics.median(side) for side in zip(*pairs, strict=True))
    return Result(name, value, "s", baseline, value / baseline, limit, note)


def write(results: list[Result]) -> None:
    """Put the results into `build/bench.json`, beside those of other names that are there."""
    known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
    names = {r.name for r in results}
    merged = [r for r in known if r["name"] not in names] + [asdict(r) for r in results]
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(merged, indent=2) + "\n")
