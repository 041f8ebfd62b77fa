"""Gate 3 as a whole: what is live, the candidate beside it, the same requests to both, the verdict, noted."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tritonclient.utils import np_to_triton_dtype

from argosy.components.deployment.aliases.history import now
from argosy.components.deployment.comparison.candidate import loaded_beside, still_served
from argosy.components.deployment.comparison.memory import footprint
from argosy.components.deployment.comparison.rules import (
    Finding,
    Limits,
    Measured,
    Result,
    Side,
    judge,
    verdict,
)
from argosy.components.deployment.comparison.traffic import (
    Inputs,
    Pair,
    Sent,
    Served,
    check_answers,
    gather,
    percentile,
    send_both,
)
from argosy.components.deployment.model.layout import METADATA_FILE
from argosy.components.deployment.repository.published_model import PublishedModel, download_published
from argosy.components.deployment.repository.versions import amend_record, folder_of
from argosy.components.deployment.swap.served_versions import Serving, registered, versions_beside
from argosy.components.deployment.swap.serving import bring_into_service, ready_versions
from argosy.components.deployment.swap.sole import Place, sole
from argosy.components.shared import registry
from argosy.components.shared.files import scratch
from argosy.components.shared.triton import ServedModel
from argosy.components.shared.triton_deadline import Deadline, patiently
from argosy.errors import StepError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

PREFIX = "comparison."
_LONGEST_REASON = 1000
_HEAD = ("rule", "live", "candidate", "value", "limit", "")
_GREEN, _RED, _GREY = "#d9f2d9", "#f7d4d4", "#eeeeee"


@dataclass(frozen=True)
class Comparison:
    """One comparison, and what it needs.

    Attributes:
        client: MLflow's own client.
        place: the model and its server.
        version: the candidate in Triton's repository.
        model_version: the candidate in MLflow.
        owner: who compares.
        images: how many validation images at most.
        recorded: s3://BUCKET/PREFIX of recorded requests, or "".
        concurrency: how many clients send at a time.
        limits: of the rules.
        load_seconds: within which a version must be in service.
    """

    client: MlflowClient
    place: Place
    version: int
    model_version: str
    owner: str
    images: int
    recorded: str
    concurrency: int
    limits: Limits
    load_seconds: float

    def run(self) -> Compared:
        """Compare the candidate with what is live; where nothing else is, it passes.

        Raises:
            StepError: Triton, MLflow or S3 failed, or what is live changed meanwhile: no verdict then.
        """
        live = self._live()
        if live is None or live == self.version:
            why = "nothing is live yet" if live is None else "it is live already"
            return Compared(self.version, live, "passed", f"nothing to compare with: {why}")
        self._serve(live)
        with scratch() as folder:
            compared = self._compare(live, folder)
            shutil.rmtree(folder)
        if self._live() != live:
            raise StepError(
                f"version {live} of {self.place.model!r} was live when the comparison began, and another is "
                "now: run the step again"
            )
        return compared

    def _live(self) -> int | None:
        """The live version; the highest that serves where the registry knows none, as after work by hand."""
        known = registered(self.client, self.place.model).live
        if known is not None:
            return known
        serving = Serving.look(self.place, Deadline.after(self.load_seconds))
        return max(serving.versions - {self.version}, default=None)

    def _serve(self, live: int) -> None:
        """Bring the live version back where Triton lost it, as the deployment's load would."""
        deadline = Deadline.after(self.load_seconds)
        place = self.place
        ready = patiently(deadline, lambda: ready_versions(place.triton.within(deadline.left), place.model))
        if live in ready:
            return
        log.warning("version %d of %s is live and not served: it is loaded again", live, place.model)
        with sole(place, f"{self.owner}-compare", deadline) as hold:
            bring_into_service(hold, live, versions_beside(place, live, self.client, deadline), deadline)

    def _compare(self, live: int, folder: Path) -> Compared:
        place, client = self.place, self.client
        version = registry.get_version(client, place.model, self.model_version)
        described = place.triton.describe(place.model, live)
        sent = gather(client, version, described, self.images, self.recorded, folder)
        # Recorded requests may be such as every version refuses.
        fitting = (request.inputs for request in sent.requests if _fits(request.inputs, described))
        files = _Files(place, folder, next(fitting, None))
        memory = (files.memory(live), files.memory(self.version))
        with loaded_beside(place, self.version, self.owner, Deadline.after(self.load_seconds)) as name:
            served, new = Served(place.model, live), Served(name, self.version)
            pairs = send_both(place.triton, served, new, sent.requests, self.concurrency)
            check_answers(
                pairs, lambda: all(still_served(place, one.model, one.version) for one in (served, new))
            )
        measured = measure(pairs, memory, files.same_network(live, self.version))
        findings = judge(measured, self.limits)
        result, why = verdict(findings)
        log.info("Gate 3 %s: %s", result, why)
        return Compared(
            self.version, live, result, why, tuple(findings), sent, self.concurrency, tuple(pairs)
        )


def measure(pairs: Sequence[Pair], memory: tuple[int | None, int | None], same_network: bool) -> Measured:
    """The numbers that the rules look at."""
    both = [pair for pair in pairs if pair.both_answered]
    alone = [pair for pair in pairs if pair.candidate_error and not pair.live_error]
    agreements = [pair.agreement for pair in both if pair.agreement is not None]
    return Measured(
        _side([(p.live_right, p.live_error, p.live_seconds, p.both_answered) for p in pairs], memory[0]),
        _side(
            [(p.candidate_right, p.candidate_error, p.candidate_seconds, p.both_answered) for p in pairs],
            memory[1],
        ),
        len(alone) / len(pairs),
        sum(agreements) / len(agreements) if agreements else None,
        max((pair.difference for pair in both if pair.difference is not None), default=None),
        same_network,
        alone[0].candidate_error if alone else "",
    )


def _side(seen: Sequence[tuple[bool | None, str, float, bool]], memory: int | None) -> Side:
    """From whether each answer is right, why it is none, how long it took, whether it counts."""
    rights = [right for right, *_ in seen if right is not None]
    seconds = [took for _, _, took, counts in seen if counts]
    return Side(
        sum(rights) / len(rights) if rights else None,
        sum(bool(error) for _, error, *_ in seen) / len(seen),
        percentile(seconds, 50),
        percentile(seconds, 95),
        memory,
    )


def _fits(inputs: Inputs, described: ServedModel) -> bool:
    """Whether a request has the inputs of the served model, in names, types and sizes."""
    takes = {tensor.name: tensor for tensor in described.inputs}
    return takes.keys() == inputs.keys() and all(
        np_to_triton_dtype(array.dtype) == takes[name].datatype
        and array.ndim == len(takes[name].shape)
        and all(size in (-1, has) for size, has in zip(takes[name].shape, array.shape, strict=True))
        for name, array in inputs.items()
    )


@dataclass(frozen=True)
class _Files:
    """The published files of both versions; those that somebody put there by hand are not described."""

    place: Place
    folder: Path
    inputs: Inputs | None

    def memory(self, version: int) -> int | None:
        """Bytes that a version takes; None where nobody can tell."""
        if self.inputs is None:
            log.warning("no request has the inputs that %s takes: no memory is measured", self.place.model)
            return None
        published = self._published(version)
        return None if published is None else footprint(published.path, self.inputs, self.folder)

    def same_network(self, live: int, candidate: int) -> bool:
        """Whether both were exported from one training, or are the same file."""
        one, two = self._published(live), self._published(candidate)
        if one is None or two is None:
            return False
        runs = {facts.metadata.mlflow.training_run_id for facts in (one, two)}
        return one.metadata.model.sha256 == two.metadata.model.sha256 or (len(runs) == 1 and "" not in runs)

    def _published(self, version: int) -> PublishedModel | None:
        keys, bucket = self.place.keys, self.place.bucket
        folder = folder_of(bucket, keys, version) or keys.version(version)
        if bucket.head(folder + METADATA_FILE) is None:
            log.warning("version %d of %s has no %s", version, keys.model, METADATA_FILE)
            return None
        where = self.folder / str(version)
        where.mkdir(exist_ok=True)
        return download_published(bucket, keys, version, where)


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
