"""Logs that the controller kept as artifacts (`archiveLogs`)."""

from collections.abc import Mapping
from typing import Any

from argosy.cluster.failures import SubmitError
from argosy.cluster.nodes import Node

_STORES = ("s3", "gcs", "oss", "azure", "hdfs", "artifactory")
_SCHEMES = {"gcs": "gs"}


def place_of(workflow: Mapping[str, Any], node: Node) -> str:
    """Where a node's archived log is, as an address to read; empty if it was not archived."""
    return address_of(workflow, node.log_artifact or {})


def address_of(workflow: Mapping[str, Any], artifact: Mapping[str, Any]) -> str:
    """Where an artifact is, as an address to read; empty if that is not told."""
    kind, location = _location(workflow, artifact)
    if not kind:
        return ""
    root = location.get("bucket") or location.get("container") or ""
    key = location.get("key") or location.get("blob") or location.get("path") or location.get("url") or ""
    return f"{_SCHEMES.get(kind, kind)}://{root}/{key}" if root else str(key)


def read_archived(workflow: Mapping[str, Any], node: Node) -> list[str]:
    """The lines of an archived log, read from S3 with the caller's own credentials.

    Raises:
        SubmitError: it is not in S3, or cannot be read; the message says where it is.
    """
    kind, location = _location(workflow, node.log_artifact or {})
    place = place_of(workflow, node)
    elsewhere = f"the archived log is {place}; read it there, or through Argo Server with --server URL"
    if kind != "s3":
        raise SubmitError(elsewhere)
    try:
        import boto3
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise SubmitError(f"{elsewhere} (boto3 is not installed here)") from None
    try:
        client = boto3.client(
            "s3", region_name=location.get("region") or None, endpoint_url=_endpoint(location)
        )
        content = client.get_object(Bucket=location["bucket"], Key=location["key"])["Body"].read()
    except (BotoCoreError, ClientError) as error:
        raise SubmitError(f"{elsewhere} ({' '.join(str(error).split())})") from None
    return list(content.decode("utf-8", "replace").splitlines())


def _location(workflow: Mapping[str, Any], artifact: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The kind of store, and the artifact's place laid over what holds for the whole repository."""
    kind = next((k for k in _STORES if k in artifact), "")
    reference = (workflow.get("status") or {}).get("artifactRepositoryRef") or {}
    common = (reference.get("artifactRepository") or {}).get(kind) or {}
    return kind, {**common, **artifact[kind]} if kind else {}


def _endpoint(location: Mapping[str, Any]) -> str | None:
    endpoint = location.get("endpoint")
    if not endpoint or str(endpoint).endswith("amazonaws.com"):
        return None
    return f"{'http' if location.get('insecure') else 'https'}://{endpoint}"
