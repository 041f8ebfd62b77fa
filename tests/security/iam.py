"""IAM policies: what a call to S3 needs, and whether a policy grants it."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient

_ARN = "arn:aws:s3:::"
# Calls whose right has another name than the call.
_ACTIONS = {
    "HeadBucket": ["s3:ListBucket"],
    "ListObjectsV2": ["s3:ListBucket"],
    "ListMultipartUploads": ["s3:ListBucketMultipartUploads"],
    "HeadObject": ["s3:GetObject"],
    "CreateMultipartUpload": ["s3:PutObject"],
    "UploadPart": ["s3:PutObject"],
    "UploadPartCopy": ["s3:PutObject"],
    "CompleteMultipartUpload": ["s3:PutObject"],
    "DeleteObjects": ["s3:DeleteObject"],
}


@dataclass(frozen=True, order=True)
class Use:
    """One right that was used: an action on a bucket (`bucket`) or on an object (`bucket/key`)."""

    action: str
    resource: str


@dataclass(frozen=True, order=True)
class Grant:
    """One right that a policy gives: an action on a pattern of resources."""

    action: str
    pattern: str

    def covers(self, use: Use) -> bool:
        """Whether the use falls under this right."""
        return self.action == use.action and fnmatchcase(use.resource, self.pattern)


def grants(policy: Path) -> list[Grant]:
    """Every single right of a policy file."""
    found = []
    for statement in json.loads(policy.read_text())["Statement"]:
        assert statement["Effect"] == "Allow" and not set(statement) - {"Sid", "Effect", "Action", "Resource"}
        for action in _list(statement["Action"]):
            for resource in _list(statement["Resource"]):
                assert resource.startswith(_ARN) and re.fullmatch(r"s3:[A-Za-z]+", action)
                found.append(Grant(action, resource.removeprefix(_ARN)))
    return found


@contextmanager
def recorded() -> Iterator[set[Use]]:
    """What every S3 client of this process uses meanwhile; the calls themselves go to the server."""
    uses: set[Use] = set()
    call = BaseClient._make_api_call

    def noted(client: Any, operation: str, parameters: dict[str, Any]) -> Any:
        if client.meta.service_model.service_name == "s3":
            uses.update(_uses(operation, parameters))
        return call(client, operation, parameters)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", noted)
        yield uses


def _uses(operation: str, parameters: dict[str, Any]) -> Iterator[Use]:
    bucket = parameters["Bucket"]
    keys = [entry["Key"] for entry in parameters.get("Delete", {}).get("Objects", ())]
    if "Key" in parameters:
        keys.append(parameters["Key"])
    resources = [f"{bucket}/{key}" for key in keys] or [bucket]
    for action in _ACTIONS.get(operation, [f"s3:{operation}"]):
        yield from (Use(action, resource) for resource in resources)
    if isinstance(source := parameters.get("CopySource"), dict):
        yield Use("s3:GetObject", f"{source['Bucket']}/{source['Key']}")


def _list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
