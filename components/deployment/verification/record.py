"""Notes of a verification where people look: tags in MLflow, and the deployment's record in S3."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from argosy.components.deployment.aliases.history import now
from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.repository.records import amend_record, read_record
from argosy.components.deployment.verification.checks import Report
from argosy.components.shared import registry
from argosy.components.shared.s3 import Bucket
from argosy.errors import ArgosyError, StepError

log = logging.getLogger(__name__)

PREFIX = "verification."
_LONGEST_REASON = 1000


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
