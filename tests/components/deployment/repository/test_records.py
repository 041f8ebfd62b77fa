"""The record of a deployment, on the real S3 server."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.repository.versions import amend_record, read_record, was_rolled_back
from argosy.components.shared.s3 import Bucket
from argosy.errors import StepError


def test_it_begins_with_the_metadata_and_keeps_what_others_wrote(bucket: Bucket, keys: ModelKeys) -> None:
    assert read_record(bucket, keys, 1) == {}
    bucket.write_if_absent(keys.version(1) + "metadata.json", b'{"mlflow": {"version": "4"}}')
    assert read_record(bucket, keys, 1) == {"mlflow": {"version": "4"}}
    amend_record(bucket, keys, 1, verification={"result": "failed"})
    amend_record(bucket, keys, 1, rollback={"workflow": "w"})
    amend_record(bucket, keys, 1, verification={"result": "passed"})
    expected = {
        "mlflow": {"version": "4"},
        "verification": {"result": "passed"},
        "rollback": {"workflow": "w"},
    }
    assert read_record(bucket, keys, 1) == expected
    found = bucket.read(keys.record(1))
    assert found
    assert json.loads(found[0]) == expected
    assert was_rolled_back(bucket, keys, 1, "w")
    assert not was_rolled_back(bucket, keys, 1, "another")
    assert not was_rolled_back(bucket, keys, 2, "w")


def test_many_write_at_once(bucket: Bucket, keys: ModelKeys) -> None:
    blocks = [f"block{number}" for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda block: amend_record(bucket, keys, 1, **{block: {"by": block}}), blocks))
    assert read_record(bucket, keys, 1) == {block: {"by": block} for block in blocks}


@pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff"])
def test_something_else_in_its_place(bucket: Bucket, keys: ModelKeys, body: bytes) -> None:
    bucket.write_if_absent(keys.record(1), body)
    for call in (read_record, amend_record):
        with pytest.raises(StepError, match=r"deployments/.*/1\.json is not"):
            call(bucket, keys, 1)
