"""A real S3 server that enforces IAM policies, and its users."""

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3

from argosy.stack import process, storage
from argosy.stack.process import identify
from argosy.stack.service import S3Endpoint
from argosy.stack.state import StateFolder


@dataclasses.dataclass(frozen=True)
class GuardedS3:
    """The server; its administrator may do everything."""

    where: S3Endpoint

    def user(self, name: str, *policies: Path) -> dict[str, str]:
        """A user with these policies only: the variables with which a step is that user."""
        iam = self._client("iam")
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        for policy in policies:
            # This server has no right of its own for listing uploads: it goes with listing the bucket.
            text = policy.read_text().replace(
                '"s3:ListBucket", "s3:ListBucketMultipartUploads"', '"s3:ListBucket"'
            )
            iam.put_user_policy(UserName=name, PolicyName=policy.stem, PolicyDocument=text)
        return {
            "AWS_ENDPOINT_URL_S3": self.where.endpoint,
            "AWS_DEFAULT_REGION": storage.REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }

    def put(self, key: str, body: bytes, bucket: str = "") -> None:
        """Write an object as the administrator."""
        self._client("s3").put_object(Bucket=bucket or self.where.bucket, Key=key, Body=body)

    def make_bucket(self, name: str) -> None:
        """Make a bucket as the administrator."""
        self._client("s3").create_bucket(Bucket=name)

    def _client(self, service: str) -> Any:
        return boto3.Session().client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.where.endpoint,
            aws_access_key_id=self.where.access_key,
            aws_secret_access_key=self.where.secret_key,
            region_name=storage.REGION,
        )


@contextmanager
def guarded_s3(place: Path) -> Iterator[GuardedS3]:
    """The server; whoever uses it becomes one of its users."""
    folder = StateFolder(place)
    credentials = folder.ensure_credentials()
    chosen = process.choose_ports(storage.PORTS, {}, paired=storage.PAIRED_PORTS)
    server = storage.service(folder, chosen, credentials)
    server = dataclasses.replace(server, command=(*server.command, "-s3.iam.readOnly=false"))
    folder.log(storage.NAME).parent.mkdir()
    child = server.start()
    try:
        server.wait_until_well(child, threading.Event())
        where = storage.endpoint(chosen, credentials)
        storage.prepare(where)
        yield GuardedS3(where)
    finally:
        process.stop(identify(child.pid), server.stop_within)
        server.sweep()
