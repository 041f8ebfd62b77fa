"""Steps that serve a model: fetch, version, prepare, publish, compare, load, aliases, verify; and others."""

from typing import TYPE_CHECKING

from argosy.declare.library import component_library

if TYPE_CHECKING:
    from argosy.components.deployment.archive_versions import archive_versions
    from argosy.components.deployment.compare_live import compare_live
    from argosy.components.deployment.determine_version import determine_version
    from argosy.components.deployment.fetch_model import fetch_model
    from argosy.components.deployment.prepare_artifacts import prepare_artifacts
    from argosy.components.deployment.prune_versions import prune_versions
    from argosy.components.deployment.reload_triton import reload_triton
    from argosy.components.deployment.rollback import rollback
    from argosy.components.deployment.sync_triton import sync_triton
    from argosy.components.deployment.update_aliases import update_aliases
    from argosy.components.deployment.upload_to_s3 import upload_to_s3
    from argosy.components.deployment.verify_deployment import verify_deployment
    from argosy.components.deployment.withdraw_version import withdraw_version

__all__ = [
    "archive_versions",
    "compare_live",
    "determine_version",
    "fetch_model",
    "prepare_artifacts",
    "prune_versions",
    "reload_triton",
    "rollback",
    "sync_triton",
    "update_aliases",
    "upload_to_s3",
    "verify_deployment",
    "withdraw_version",
]

component_library(__name__)
