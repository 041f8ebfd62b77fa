"""The real S3 server alone, for what needs no other."""

import itertools
import threading
from collections.abc import Iterator

import pytest

from argosy.components.shared import s3
from argosy.components.shared.s3 import Bucket
from argosy.stack import process, storage
from argosy.stack.process import identify
from argosy.stack.state import StateFolder

NUMBERS = itertools.count(1)


@pytest.fixture(scope="package")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An S3 server with an empty bucket, and this process's environment pointing at it; the bucket's name."""
    folder = StateFolder(tmp_path_factory.mktemp("s3"))
    credentials = folder.ensure_credentials()
    chosen = process.choose_ports(storage.PORTS, {}, paired=storage.PAIRED_PORTS)
    server = storage.service(folder, chosen, credentials)
    folder.log(storage.NAME).parent.mkdir()
    child = server.start()
    try:
        server.wait_until_well(child, threading.Event())
        where = storage.endpoint(chosen, credentials)
        storage.prepare(where)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ENDPOINT_URL_S3", where.endpoint)
            patch.setenv("AWS_ACCESS_KEY_ID", where.access_key)
            patch.setenv("AWS_SECRET_ACCESS_KEY", where.secret_key)
            patch.setenv("AWS_DEFAULT_REGION", storage.REGION)
            patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
            yield where.bucket
    finally:
        process.stop(identify(child.pid), server.stop_within)
        server.sweep()


@pytest.fixture
def bucket(s3_server: str) -> Bucket:
    """The bucket."""
    return s3.connect(s3_server)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name of the test's own."""
    return f"{request.function.__name__.removeprefix('test_')[:60]}-{next(NUMBERS)}"
