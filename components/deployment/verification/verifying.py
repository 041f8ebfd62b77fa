"""The whole verification of a deployed version: load it again if need be, read it back, ask it, compare."""

from __future__ import annotations

import shutil

from argosy.components.deployment.aliases.moves import go_live
from argosy.components.deployment.aliases.table import held_aliases
from argosy.components.deployment.repository.published_model import download_published
from argosy.components.deployment.repository.records import was_rolled_back
from argosy.components.deployment.swap.retrying import Place, served_again
from argosy.components.deployment.verification.checks import Expectation, Report, Subject, verify
from argosy.components.deployment.verification.record import Noting
from argosy.components.deployment.verification.reference import Reference
from argosy.components.shared import registry
from argosy.components.shared.scratch import scratch
from argosy.components.shared.triton import Triton


def verify_published(noting: Noting, triton: Triton, expected: Expectation) -> Report:
    """Verify the version that `noting` is about, and note what is found.

    Raises:
        StepError: the published files are not those of the metadata, the server does not answer as it should
            (both are noted), or the result could not be noted.
    """

    def check() -> Report:
        _redeploy_if_rolled_back(noting, triton)
        with scratch() as folder:
            published = download_published(noting.bucket, noting.keys, noting.version, folder)
            subject = Subject(triton, noting.keys.model, noting.version)
            report = verify(subject, expected, Reference(published.path))
            shutil.rmtree(folder)
            return report

    return noting.run(check, endpoint=endpoint(noting, triton), tolerance=expected.tolerance)


def endpoint(noting: Noting, triton: Triton) -> str:
    """The address for inference requests to the version."""
    return f"{triton.url}/v2/models/{noting.keys.model}/versions/{noting.version}/infer"


def _redeploy_if_rolled_back(noting: Noting, triton: Triton) -> None:
    """Load the version and make it live again where a rollback of this very workflow took it back.

    Raises:
        StepError: Triton, S3 or MLflow failed.
    """
    place = Place(triton, noting.bucket, noting.keys)
    if not was_rolled_back(place.bucket, place.keys, noting.version, noting.owner):
        return
    client, step = registry.connect_lightly(noting.mlflow), f"{noting.owner}-verify"
    number = noting.model_version or noting.named_in_metadata()
    with (
        served_again(client, place, noting.version, step),
        held_aliases(client, place.bucket, place.keys, step) as table,
    ):
        go_live(table, number, noting.version, noting.owner)
