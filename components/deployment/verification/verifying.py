"""The whole verification of a deployed version: loaded again if need be, asked, compared, and noted.

Its result is noted where people look: in tags in MLflow, and in the deployment's record in S3.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from argosy.components.deployment.aliases.history import now
from argosy.components.deployment.aliases.moves import go_live, held_aliases
from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.repository.published_model import download_published
from argosy.components.deployment.repository.versions import amend_record, read_record, was_rolled_back
from argosy.components.deployment.swap.served_versions import Place, served_again
from argosy.components.deployment.swap.serving import bring_into_service, config_names, ready_each
from argosy.components.deployment.swap.sole import sole
from argosy.components.deployment.verification.checks import Expectation, Reference, Report, Subject, verify
from argosy.components.shared import registry
from argosy.components.shared.files import scratch
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton import Triton
from argosy.components.shared.triton_deadline import Deadline
from argosy.errors import ArgosyError, StepError

log = logging.getLogger(__name__)

_SECONDS = 300.0
PREFIX = "verification."
_LONGEST_REASON = 1000


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


@dataclass(frozen=True)
class Noting:
    """Where a verification of one version is noted.

    Attributes:
        bucket, keys, version: its record in S3.
        mlflow: the server's address.
        model_version: the version in MLflow; "": the one that metadata.json names.
        owner: who verifies.
    """

    bucket: Bucket
    keys: ModelKeys
    version: int
    mlflow: str
    model_version: str
    owner: str

    def run(self, check: Callable[[], Report], **known: Any) -> Report:
        """Run the check, and note what it found, with what is `known` besides.

        Raises:
            StepError: the check failed, which is noted as far as possible; or it passed, and S3 or MLflow
                did not take the result.
        """
        try:
            report = check()
        except ArgosyError as error:
            self._note_failure({"reason": str(error)[:_LONGEST_REASON], **known})
            raise
        self._in_record({"result": "passed", **known, **asdict(report)})
        self._in_mlflow({"result": "passed", **known, **asdict(report)})
        return report

    def _note_failure(self, found: dict[str, Any]) -> None:
        """A result that cannot be noted must not hide why the verification failed."""
        for note in (self._in_record, self._in_mlflow):
            try:
                note({"result": "failed", **found})
            except ArgosyError as error:
                log.warning("the failed verification is not noted: %s", error)

    def _in_record(self, found: dict[str, Any]) -> None:
        block = {**found, "at": now(), "workflow": self.owner}
        amend_record(self.bucket, self.keys, self.version, verification=block)

    def _in_mlflow(self, found: dict[str, Any]) -> None:
        number = self.model_version or self.named_in_metadata()
        client = registry.connect_lightly(self.mlflow)
        version = registry.get_version(client, self.keys.model, number)
        block = {**found, "at": now(), "workflow": self.owner, "triton_version": self.version}
        listed = {k: ", ".join(value) if isinstance(value, list) else value for k, value in block.items()}
        tags = {f"{PREFIX}{key}": value for key, value in listed.items()}
        stale = [tag for tag in version.tags if tag.startswith(PREFIX) and tag not in tags]
        registry.delete_version_tags(client, version, stale)
        registry.set_version_tags(client, self.keys.model, number, tags)

    def named_in_metadata(self) -> str:
        """The MLflow version that the record names.

        Raises:
            StepError: it names none, or S3 failed.
        """
        origin = read_record(self.bucket, self.keys, self.version).get("mlflow")
        number = origin.get("version") if isinstance(origin, dict) else None
        if not number:
            raise StepError(
                f"{self.keys.record(self.version)} does not name the MLflow version: give model_version"
            )
        return str(number)
