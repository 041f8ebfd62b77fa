"""Which version a deployment gets, on the real S3 server."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from argosy.components.deployment.claims import (
    Claim,
    claim_forced,
    claim_next,
    claimed_versions,
    published_versions,
    read_claim,
)
from argosy.components.deployment.layout import ModelKeys
from argosy.components.shared.s3 import Bucket
from argosy.errors import StepError
from tests.components.deployment.conftest import claim_for

MODEL, OTHER = b"a model", b"another model"


def publish(bucket: Bucket, keys: ModelKeys, version: int, model: bytes = MODEL) -> None:
    assert bucket.write_if_absent(keys.version(version) + "model.onnx", model)


@pytest.mark.parametrize(
    ("folders", "claims", "expected"),
    [
        ([], [], 1),
        (["1"], [], 2),
        (["1", "3"], [], 4),
        (["9", "10"], [], 11),
        ([], [2], 3),
        (["1"], [7], 8),
        (["1", "v9", "009", "backup", "2.5"], [], 2),
        (["20260219173350"], [], 20260219173351),
    ],
)
def test_the_next_version_is_above_all(
    bucket: Bucket, keys: ModelKeys, folders: list[str], claims: list[int], expected: int
) -> None:
    for folder in folders:
        bucket.write_if_absent(f"{keys.root}{folder}/model.onnx", b"")
    for version in claims:
        bucket.write_if_absent(keys.claim(version), claim_for(OTHER, "other").encode())
    assert claim_next(bucket, keys, claim_for(MODEL)) == expected
    claim = read_claim(bucket, keys, expected)
    assert claim is not None
    assert (claim.owner, claim.model_sha256) == ("workflow-1", claim_for(MODEL).model_sha256)
    assert claim.claimed_at.endswith("+00:00")


def test_a_config_alone_is_no_version(bucket: Bucket, keys: ModelKeys) -> None:
    bucket.write_if_absent(keys.config, b"")
    assert published_versions(bucket, keys) == set()


def test_deployments_at_once_get_different_versions(bucket: Bucket, keys: ModelKeys) -> None:
    def claim(number: int) -> int:
        return claim_next(bucket, keys, claim_for(MODEL, f"workflow-{number}"))

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(claim, range(8))) == list(range(1, 9))


def test_a_repeated_step_gets_its_own_version_again(bucket: Bucket, keys: ModelKeys) -> None:
    assert claim_next(bucket, keys, claim_for(MODEL, "mine")) == 1
    assert claim_next(bucket, keys, claim_for(MODEL, "other")) == 2
    assert claim_next(bucket, keys, claim_for(MODEL, "mine")) == 1
    publish(bucket, keys, 1)
    assert claim_next(bucket, keys, claim_for(MODEL, "mine")) == 1
    assert claimed_versions(bucket, keys) == {1, 2}


def test_an_owner_with_another_model_keeps_its_unpublished_version(bucket: Bucket, keys: ModelKeys) -> None:
    assert claim_next(bucket, keys, claim_for(MODEL)) == 1
    assert claim_next(bucket, keys, claim_for(OTHER)) == 1
    held = read_claim(bucket, keys, 1)
    assert held is not None
    assert held.model_sha256 == claim_for(OTHER).model_sha256


def test_an_owner_with_another_model_leaves_its_published_version(bucket: Bucket, keys: ModelKeys) -> None:
    assert claim_next(bucket, keys, claim_for(MODEL)) == 1
    publish(bucket, keys, 1)
    assert claim_next(bucket, keys, claim_for(OTHER)) == 2


def test_forced_versions(bucket: Bucket, keys: ModelKeys) -> None:
    assert claim_forced(bucket, keys, 7, claim_for(MODEL)) == 7
    assert claim_forced(bucket, keys, 7, claim_for(MODEL)) == 7
    with pytest.raises(StepError, match=r"version 7 .* is claimed by workflow-1, which has not published it"):
        claim_forced(bucket, keys, 7, claim_for(MODEL, "other"))
    publish(bucket, keys, 7)
    assert claim_forced(bucket, keys, 7, claim_for(MODEL, "other")) == 7
    with pytest.raises(StepError, match=r"version 7 .* is published with other bytes.*immutable"):
        claim_forced(bucket, keys, 7, claim_for(OTHER))
    assert claim_next(bucket, keys, claim_for(OTHER, "third")) == 8


@pytest.mark.parametrize("content", [b"", b"[]", b'{"owner": "x"}', b'"text"'])
def test_an_object_that_is_no_claim(bucket: Bucket, keys: ModelKeys, content: bytes) -> None:
    bucket.write_if_absent(keys.claim(1), content)
    with pytest.raises(StepError, match=r"claims/.*/1\.json is not a claim"):
        claim_next(bucket, keys, Claim("o", "1", "ab"))
