"""Which version a deployment gets, on the real S3 server."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.repository import versions
from argosy.components.deployment.repository.versions import (
    Claim,
    amend_record,
    claim_forced,
    claim_next,
    claimed_versions,
    published_versions,
    read_claim,
    take_claim,
)
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


CHILD = """
import sys
from argosy.components.deployment.determine_version import determine_version
bucket, name, owner = sys.argv[1:]
for _ in range(2):
    found = determine_version(
        model_version="1", model_sha256="ab", owner=owner, model_name=name, s3_bucket=bucket
    )
    print(found.triton_version, flush=True)
"""


def test_processes_at_once_get_different_versions_and_the_same_again(bucket: Bucket, keys: ModelKeys) -> None:
    words = [sys.executable, "-c", CHILD, bucket.name, keys.model]
    children = [
        subprocess.Popen([*words, f"workflow-{n}"], stdout=subprocess.PIPE, text=True) for n in range(4)
    ]
    answers = [child.communicate(timeout=120)[0].split() for child in children]
    assert all(first == second for first, second in answers)
    assert sorted(int(first) for first, _ in answers) == [1, 2, 3, 4]


def test_a_killed_workflow_leaves_no_gap_when_it_is_run_again(bucket: Bucket, keys: ModelKeys) -> None:
    for number in range(1, 4):
        for _ in range(3):  # killed after its claim, and run again
            assert claim_next(bucket, keys, claim_for(MODEL, f"workflow-{number}")) == number
        publish(bucket, keys, number)
    assert published_versions(bucket, keys) == claimed_versions(bucket, keys) == {1, 2, 3}


def test_a_claim_whose_answer_was_lost_is_ours(bucket: Bucket, keys: ModelKeys) -> None:
    """The client's second try of a writing that arrived is refused; what lies there says whose it is."""
    assert bucket.write_if_absent(keys.claim(1), claim_for(MODEL).encode())
    assert take_claim(bucket, keys, 1, claim_for(MODEL))


def test_a_forced_version_is_taken_over_once_its_deployment_is_over(
    bucket: Bucket, keys: ModelKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert claim_next(bucket, keys, claim_for(MODEL, "old")) == 1
    publish(bucket, keys, 1)
    assert claim_forced(bucket, keys, 1, claim_for(MODEL, "new")) == 1
    assert _owner(bucket, keys, 1) == "old"  # its deployment may still run
    monkeypatch.setattr(versions, "IN_FLIGHT_SECONDS", -1)
    assert claim_forced(bucket, keys, 1, claim_for(MODEL, "new")) == 1
    assert _owner(bucket, keys, 1) == "new"


@pytest.mark.parametrize("ends", [("aliases", "verification"), ("rollback",)])
def test_a_deployment_that_noted_its_end_is_over(
    bucket: Bucket, keys: ModelKeys, ends: tuple[str, ...]
) -> None:
    assert claim_next(bucket, keys, claim_for(MODEL, "old")) == 1
    publish(bucket, keys, 1)
    for number, end in enumerate(ends):
        assert claim_forced(bucket, keys, 1, claim_for(MODEL, "new")) == 1
        assert _owner(bucket, keys, 1) == "old", ends[:number]
        amend_record(bucket, keys, 1, **{end: {"workflow": "old"}})
    assert claim_forced(bucket, keys, 1, claim_for(MODEL, "new")) == 1
    assert _owner(bucket, keys, 1) == "new"
    # The record is still that of the old deployment: it says nothing of the new one.
    assert claim_forced(bucket, keys, 1, claim_for(MODEL, "third")) == 1
    assert _owner(bucket, keys, 1) == "new"


def _owner(bucket: Bucket, keys: ModelKeys, version: int) -> str:
    claim = read_claim(bucket, keys, version)
    assert claim is not None
    return claim.owner


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
