"""The whole verification of a deployed version: load it again if need be, read it back, ask it, compare."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from argosy.components.deployment.aliases.moves import go_live
from argosy.components.deployment.aliases.table import held_aliases
from argosy.components.deployment.repository.published_model import download_published
from argosy.components.deployment.repository.records import was_rolled_back
from argosy.components.deployment.swap.replicas import ready_each
from argosy.components.deployment.swap.retrying import Place, served_again
from argosy.components.deployment.swap.serving import Deadline, bring_into_service, config_names, sole
from argosy.components.deployment.verification.checks import Expectation, Report, Subject, verify
from argosy.components.deployment.verification.record import Noting
from argosy.components.deployment.verification.reference import Reference
from argosy.components.shared import registry
from argosy.components.shared.scratch import scratch
from argosy.components.shared.triton import Triton
from argosy.errors import ArgosyError, StepError

log = logging.getLogger(__name__)

_SECONDS = 300.0


@dataclass(frozen=True)
class Served:
    """Where the version is served: each replica, and the address that the user gave."""

    replicas: Sequence[Triton]
    given: str

    def endpoint(self, noting: Noting) -> str:
        """The address for inference requests to the version; of a list, the first one's."""
        url = self.given.split(",")[0].strip().rstrip("/")
        return f"{url}/v2/models/{noting.keys.model}/versions/{noting.version}/infer"

    def known(self) -> dict[str, Any]:
        """The replicas as the record has them: their addresses, where there are several."""
        urls = [triton.url for triton in self.replicas]
        return {"replicas": urls} if len(urls) > 1 else {}


def verify_published(noting: Noting, served: Served, expected: Expectation) -> Report:
    """Verify the version that `noting` is about, at each replica, and note what is found.

    Raises:
        StepError: the published files are not those of the metadata, the server does not answer as it should
            (both are noted), or the result could not be noted.
    """

    def check() -> Report:
        _redeploy_if_rolled_back(noting, served.replicas)
        with scratch() as folder:
            published = download_published(noting.bucket, noting.keys, noting.version, folder)
            reference = Reference(published.path)
            _complete(noting, served.replicas)
            reports = [_verify_one(noting, triton, expected, reference, served) for triton in served.replicas]
            shutil.rmtree(folder)
            return _worst(reports)

    return noting.run(check, endpoint=served.endpoint(noting), tolerance=expected.tolerance, **served.known())


def _complete(noting: Noting, replicas: Sequence[Triton]) -> None:
    """Bring the version to replicas that started after it was loaded: they are no reason to take it back.

    Raises:
        StepError: such a replica refused it, or S3 failed.
    """
    place = Place.of(replicas, noting.bucket, noting.keys)
    if not place.others or noting.version not in (named := config_names(place)):
        return
    deadline = Deadline.after(_SECONDS)
    ready = ready_each(place, deadline)
    without = [one for one, serving in zip(replicas, ready, strict=True) if noting.version not in serving]
    if without:
        log.warning("%d replicas do not serve version %d yet: loaded there", len(without), noting.version)
        with sole(place, f"{noting.owner}-verify", deadline) as hold:
            bring_into_service(hold.at(without), noting.version, named - {noting.version}, deadline)


def _verify_one(
    noting: Noting, triton: Triton, expected: Expectation, reference: Reference, served: Served
) -> Report:
    try:
        return verify(Subject(triton, noting.keys.model, noting.version), expected, reference)
    except ArgosyError as error:
        if len(served.replicas) == 1 or triton.url in str(error):
            raise
        raise StepError(f"{triton.url}: {error}") from error


def _worst(reports: Sequence[Report]) -> Report:
    """The slowest replica's latencies, the largest difference, and all requests."""
    slowest = max(reports, key=lambda report: report.p50_ms)
    difference = max(report.max_diff for report in reports)
    return replace(slowest, max_diff=difference, requests=sum(report.requests for report in reports))


def _redeploy_if_rolled_back(noting: Noting, replicas: Sequence[Triton]) -> None:
    """Load the version and make it live again where a rollback of this very workflow took it back.

    Raises:
        StepError: Triton, S3 or MLflow failed.
    """
    place = Place.of(replicas, noting.bucket, noting.keys)
    if not was_rolled_back(place.bucket, place.keys, noting.version, noting.owner):
        return
    client, step = registry.connect_lightly(noting.mlflow), f"{noting.owner}-verify"
    number = noting.model_version or noting.named_in_metadata()
    with (
        served_again(client, place, noting.version, step),
        held_aliases(client, place.bucket, place.keys, step) as table,
    ):
        go_live(table, number, noting.version, noting.owner)
