"""The comparison as a picture, for people: the latencies of both versions, and the table of rules."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from argosy.components.deployment.comparison.rules import Finding

_HEAD = ("rule", "live", "candidate", "value", "limit", "")
_GREEN, _RED, _GREY = "#d9f2d9", "#f7d4d4", "#eeeeee"


def draw(
    title: str, latencies: tuple[Sequence[float], Sequence[float]], findings: Sequence[Finding], path: Path
) -> None:
    """Write a PNG.

    Args:
        title: one line: the model, both versions, the result.
        latencies: seconds of the live version and of the candidate; may be empty.
        findings: the rules; empty where there was nothing to compare with.
        path: where to.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    figure.suptitle(title.replace("$", r"\$"))
    for name, seconds in zip(("live", "candidate"), latencies, strict=True):
        if len(seconds):
            ordered = np.sort(np.asarray(seconds)) * 1000
            left.plot(ordered, np.arange(1, len(ordered) + 1) / len(ordered), label=name)
    left.set(xlabel="milliseconds", ylabel="share of requests answered", ylim=(0, 1.02))
    left.grid(alpha=0.3)
    if left.lines:
        left.legend()
    right.axis("off")
    if findings:
        colours = [[_colour(finding)] * len(_HEAD) for finding in findings]
        table = right.table([_row(f) for f in findings], colours, colLabels=_HEAD, loc="center")
        table.auto_set_font_size(False)
        table.set_fontsize(9)
        table.scale(1, 1.6)
    FigureCanvasAgg(figure).print_png(path)  # type: ignore[no-untyped-call]


def _row(finding: Finding) -> list[str]:
    numbers = (finding.live, finding.candidate, finding.value, finding.limit)
    texts = ["" if number is None else f"{number:.4g}" for number in numbers]
    state = "not applied" if finding.value is None else "holds" if finding.passed else "broken"
    return [finding.rule, *texts, state]


def _colour(finding: Finding) -> str:
    return _GREY if finding.value is None else _GREEN if finding.passed else _RED
