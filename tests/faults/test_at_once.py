"""Deployments of one model that run at the same time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from mlflow.tracking import MlflowClient

from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.repository.versions import claimed_versions, published_versions
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton import Triton
from tests.components.deployment.models import conv_net
from tests.faults.checks import TRITON_VERSION, aliases, answers, nothing_half_published
from tests.faults.workflow import Workflow

AT_ONCE = 4


def test_deployments_at_once_share_nothing_and_all_arrive(
    deployed: Workflow,
    register: Callable[[bytes], str],
    workflow: Callable[[str], Workflow],
    bucket: Bucket,
    keys: ModelKeys,
    client: MlflowClient,
    triton: Triton,
) -> None:
    models = {register(conv_net(seed)): conv_net(seed) for seed in range(2, 2 + AT_ONCE)}
    deployments = []
    for version in models:
        deployments.append(workflow(f"workflow-{version}"))
        deployments[-1].values["source"] = f"version:{version}"
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for done in [pool.submit(one.run_all) for one in deployments]:
            done.result()

    versions = {int(one.values["triton_version"]) for one in deployments}
    assert versions == set(range(2, 2 + AT_ONCE))
    assert published_versions(bucket, keys) == claimed_versions(bucket, keys) == {1, *versions}
    nothing_half_published(bucket, keys)
    where = aliases(client, keys.model)
    assert where["live"] != where["previous"]
    for alias in ("live", "previous"):
        served = client.get_model_version(keys.model, where[alias])
        answers(triton, keys.model, int(served.tags[TRITON_VERSION]), models[where[alias]])
