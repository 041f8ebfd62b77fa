"""Archiving as the end of a deployment that succeeded: it may fail, and takes nothing with it."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Literal

from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.repository.archive import Archiving
from argosy.components.deployment.repository.claims import read_claim
from argosy.components.deployment.repository.published import published_versions
from argosy.components.deployment.repository.records import amend_record
from argosy.components.deployment.repository.standing import standing
from argosy.components.shared import registry, s3
from argosy.components.shared.s3 import Bucket
from argosy.errors import ArgosyError

log = logging.getLogger(__name__)

_LONGEST_REASON = 1000


@dataclass(frozen=True)
class Done:
    """The versions that went, or would; and how it ended."""

    versions: list[int]
    result: Literal["archived", "nothing-to-do", "not-archived"]


@dataclass(frozen=True)
class Ending:
    """The end of a deployment of a model.

    Attributes:
        keys: the model's keys.
        bucket: the bucket's name.
        mlflow: the MLflow server.
        owner: whose deployment; "" where somebody archives by hand, and wants to hear of a failure.
    """

    keys: ModelKeys
    bucket: str
    mlflow: str
    owner: str

    def archive(self, keep: int, dry_run: bool) -> Done:
        """Archive what may go; what happened is noted in the deployment's record, unless that is nothing.

        Raises:
            ArgosyError: something failed, and no deployment stands behind it.
        """
        try:
            bucket = s3.connect(self.bucket)
            archiving = Archiving(bucket, self.keys, keep, lambda: self._standing(bucket))
            owner = self.owner or f"archive-{uuid.uuid4().hex}"
            versions = archiving.plan() if dry_run else archiving.run(owner)
        except ArgosyError as error:
            if not self.owner:
                raise
            log.warning("the deployment stands, and old versions are not archived: %s", error)
            self._note(result="not-archived", reason=str(error)[:_LONGEST_REASON])
            return Done([], "not-archived")
        if versions and self.owner and not dry_run:
            self._note(result="archived", versions=versions)
        return Done(versions, "archived" if versions else "nothing-to-do")

    def _standing(self, bucket: Bucket) -> Mapping[int, str]:
        return standing(registry.connect_lightly(self.mlflow), bucket, self.keys)

    def _note(self, **block: Any) -> None:
        """Put it into the record of the version that this deployment published, if that can be done."""
        try:
            bucket = s3.connect(self.bucket)
            version = self._own_version(bucket)
            if version is not None:
                at = datetime.now(timezone.utc).isoformat()
                amend_record(bucket, self.keys, version, archive={**block, "at": at, "workflow": self.owner})
        except ArgosyError as error:
            log.warning("the deployment's record does not tell of it: %s", error)

    def _own_version(self, bucket: Bucket) -> int | None:
        for version in sorted(published_versions(bucket, self.keys), reverse=True):
            claim = read_claim(bucket, self.keys, version)
            if claim is not None and claim.owner == self.owner:
                return version
        return None
