"""Faults that pass: a step waits them out, and nobody has to run it again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

import pytest
from mlflow.tracking import MlflowClient

from argosy.components.shared.triton import Triton
from tests.components.deployment.models import conv_net
from tests.faults.checks import aliases, answers
from tests.faults.conftest import World
from tests.faults.proxy import Fault
from tests.faults.workflow import ORDER, Workflow

NEW = conv_net(2)
PASSING = {
    "refused": Fault(refuse=True, times=2),
    "503": Fault(status=503, times=2),
    "reset": Fault(reset_after=200, times=1),
    "cut": Fault(cut_answer_after=100, times=1),
    "slow": Fault(bytes_per_second=100_000),
}


@pytest.mark.parametrize("fault", PASSING.values(), ids=PASSING.keys())
def test_a_fault_that_passes_costs_time_only(
    fault: Fault,
    deployed: Workflow,
    register: Callable[[bytes], str],
    workflow: Callable[[str], Workflow],
    world: World,
    name: str,
    client: MlflowClient,
    triton: Triton,
) -> None:
    register(NEW)
    second = workflow("second")
    met = 0
    for step in ORDER:
        with ExitStack() as faults:
            proxies = [faults.enter_context(p.fault(fault)) for p in (world.to_s3, world.to_mlflow)]
            ran = second.run(step)
            met += sum(proxy.met for proxy in proxies)
        assert ran.code == 0, f"{step}: {ran.log}"
    assert met >= 6, "the faults were met"
    assert aliases(client, name) == {"live": "2", "previous": "1"}
    answers(triton, name, 2, NEW)
