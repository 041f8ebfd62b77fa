"""The findings of a comparison, noted where people look: the deployment's record, MLflow, and a picture."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from argosy.components.deployment.aliases.history import now
from argosy.components.deployment.comparison.rules import Finding, Result
from argosy.components.deployment.comparison.traffic import Pair, Sent
from argosy.components.deployment.repository.records import amend_record
from argosy.components.deployment.swap.sole import Place
from argosy.components.shared import registry
from argosy.components.shared.files import scratch

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

PREFIX = "comparison."
_LONGEST_REASON = 1000
_HEAD = ("rule", "live", "candidate", "value", "limit", "")
_GREEN, _RED, _GREY = "#d9f2d9", "#f7d4d4", "#eeeeee"


@dataclass(frozen=True)
class Compared:
    """A comparison that came to a verdict.

    Attributes:
        version, live: in Triton's repository; live is None where nothing is.
        result, reason: the verdict, and why in one line.
        findings, sent, concurrency, pairs: the rules and what they stand on; empty without a live version.
    """

    version: int
    live: int | None
    result: Result
    reason: str
    findings: tuple[Finding, ...] = ()
    sent: Sent = field(default_factory=lambda: Sent((), 0, 0, 0))
    concurrency: int = 0
    pairs: tuple[Pair, ...] = ()

    def picture(self, model: str, path: Path) -> None:
        """Draw it as a PNG."""
        both = [pair for pair in self.pairs if pair.both_answered]
        latencies = ([p.live_seconds for p in both], [p.candidate_seconds for p in both])
        against = f"beside live {self.live}" if self.findings else self.reason
        title = f"{model}: version {self.version} {against}: {self.result}"
        _draw(title, latencies, self.findings, path)

    def note(self, client: MlflowClient, place: Place, model_version: str, owner: str) -> None:
        """Note it in the record, on the MLflow version, and with the picture in the run that made it.

        Raises:
            StepError: S3 or MLflow did not take it: then nobody may act on it.
        """
        stamp = {"at": now(), "workflow": owner}
        amend_record(place.bucket, place.keys, self.version, comparison={**self._block(), **stamp})
        version = registry.get_version(client, place.model, model_version)
        tags = {PREFIX + key: value for key, value in {**self._facts(), **self._numbers(), **stamp}.items()}
        stale = [tag for tag in version.tags if tag.startswith(PREFIX) and tag not in tags]
        registry.delete_version_tags(client, version, stale)
        registry.set_version_tags(client, place.model, model_version, tags)
        if version.run_id:
            self._in_run(client, str(version.run_id), place.model)
        else:
            log.warning("version %s of %s has no run that could keep the picture", model_version, place.model)

    def _in_run(self, client: MlflowClient, run_id: str, model: str) -> None:
        with scratch() as folder, registry.mlflow_errors(f"note the comparison in run {run_id}"):
            picture = folder / f"comparison-{self.version}.png"
            self.picture(model, picture)
            for key, value in self._numbers().items():
                client.log_metric(run_id, f"comparison_{key}", value)
            client.log_artifact(run_id, str(picture), "comparison")
            shutil.rmtree(folder)

    def _facts(self) -> dict[str, Any]:
        return {
            "result": self.result,
            "reason": self.reason[:_LONGEST_REASON],
            "live_triton_version": "" if self.live is None else self.live,
            "images": self.sent.images,
            "recorded_requests": self.sent.recorded,
            "left_out": self.sent.left_out,
            "concurrency": self.concurrency,
        }

    def _numbers(self) -> dict[str, float]:
        """Every number that was measured, under names as live_accuracy, candidate_p50_latency, agreement."""
        found: dict[str, float] = {}
        for finding in self.findings:
            name = finding.rule.replace("-", "_")
            kinds = {"live_": finding.live, "candidate_": finding.candidate, "": finding.value}
            found |= {kind + name: float(value) for kind, value in kinds.items() if value is not None}
        return found

    def _block(self) -> dict[str, Any]:
        return {**self._facts(), "rules": [finding.to_dict() for finding in self.findings]}


def _draw(
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
