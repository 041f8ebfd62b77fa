"""Every step, killed at random moments again and again, then run once more."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from mlflow.tracking import MlflowClient

from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.repository.versions import claimed_versions, published_versions
from argosy.components.deployment.swap.serving import ready_versions
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton import Triton
from tests.components.deployment.models import SIZE, conv_net
from tests.faults.checks import aliases, answers, live_is_served, nothing_half_published
from tests.faults.workflow import ORDER, Workflow
from tests.kills import KILLS, moments

OLD, NEW = conv_net(1), conv_net(2)


def test_a_killed_comparison_disturbs_nobody_and_is_finished_by_its_next_run(
    deployed: Workflow,
    register: Callable[[bytes], str],
    workflow: Callable[[str], Workflow],
    bucket: Bucket,
    keys: ModelKeys,
    triton: Triton,
) -> None:
    register(OLD)
    second = workflow("second")
    second.run_all(last="upload_to_s3")
    tensor = {"name": "input", "shape": [1, 3, SIZE, SIZE], "datatype": "FP32", "data": [0.5] * 3 * SIZE**2}
    bucket.write_if_absent(f"requests/{keys.model}/1.json", json.dumps({"inputs": [tensor]}).encode())
    given = {
        "recorded_requests": f"s3://{bucket.name}/requests/{keys.model}",
        "limits": '{"max_p50_ratio": 1000, "max_p95_ratio": 1000}',
    }
    chances, longest = moments("compare_live"), second.run("compare_live", **given).seconds
    for _ in range(KILLS):
        ran = second.run("compare_live", kill_after=chances.uniform(0, longest), **given)
        assert ran.code in (0, -9), ran.log
        answers(triton, keys.model, 1, OLD)
        assert ready_versions(triton, keys.model) == {1}
    ran = second.run("compare_live", **given)
    assert (ran.code, second.values["result"]) == (0, "passed"), ran.log
    assert list(bucket.keys(f"models/{keys.model}.candidate-")) == []
    assert ready_versions(triton, f"{keys.model}.candidate-2") == frozenset()


def test_a_killed_sync_disturbs_nobody_and_is_finished_by_its_next_run(
    deployed: Workflow, bucket: Bucket, keys: ModelKeys, client: MlflowClient, triton: Triton
) -> None:
    chances, longest = moments("sync_triton"), 1.0
    for _ in range(KILLS):
        # As a replica that has just been started, and one that is right already.
        if chances.random() < 0.5:
            triton.unload(keys.model, 30)
        config = bucket.read(keys.config)
        ran = deployed.run("sync_triton", kill_after=chances.uniform(0, longest))
        assert ran.code in (0, -9), ran.log
        longest = min(longest, 1.1 * ran.seconds) if ran.code == 0 else longest * 1.05
        assert bucket.read(keys.config) == config
    ran = deployed.run("sync_triton")
    assert ran.code == 0, ran.log
    answers(triton, keys.model, 1, OLD)
    assert ready_versions(triton, keys.model) == {1}
    assert deployed.run("sync_triton").code == 0
    assert deployed.values["changed"] == "[]"
    assert aliases(client, keys.model) == {"live": "1"}


@pytest.mark.parametrize("step", ORDER)
def test_a_killed_step_loses_nothing_and_is_finished_by_its_next_run(
    step: str,
    deployed: Workflow,
    register: Callable[[bytes], str],
    workflow: Callable[[str], Workflow],
    bucket: Bucket,
    keys: ModelKeys,
    client: MlflowClient,
    triton: Triton,
) -> None:
    register(NEW)
    second = workflow("second")
    if step != ORDER[0]:
        second.run_all(last=ORDER[ORDER.index(step) - 1])
    chances = moments(step)
    longest, killed = 0.3, 0
    while killed < KILLS:
        ran = second.run(step, kill_after=chances.uniform(0, longest))
        assert ran.code in (0, -9), ran.log
        killed += ran.code == -9
        # The window follows what a run takes, so that the kills are spread over all of it.
        longest = longest * 1.1 if ran.code == -9 and killed % 10 == 0 else longest
        longest = min(longest, 1.1 * ran.seconds) if ran.code == 0 else longest
        answers(triton, keys.model, 1, OLD)
        live_is_served(client, triton, keys.model)
        nothing_half_published(bucket, keys)
    second.run_all(first=step)
    assert aliases(client, keys.model) == {"live": "2", "previous": "1"}
    assert published_versions(bucket, keys) == claimed_versions(bucket, keys) == {1, 2}
    assert list(bucket.keys(f"staging/{keys.model}/")) == []
    answers(triton, keys.model, 2, NEW)
