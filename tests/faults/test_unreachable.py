"""A server that is down, answers with errors, or hangs: every step ends in bounded time, with one line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from mlflow.tracking import MlflowClient

from argosy.components.shared.triton import Triton
from tests.components.deployment.models import conv_net
from tests.faults.checks import aliases, answers, live_is_served
from tests.faults.conftest import World
from tests.faults.proxy import Fault, FaultProxy
from tests.faults.workflow import ORDER, Ran, Started, Workflow

OLD, NEW = conv_net(1), conv_net(2)
# Which servers a step needs; what its message must name, so that a user knows where to look.
USES = {
    "fetch_model": ("mlflow",),
    "determine_version": ("s3",),
    "upload_to_s3": ("s3",),
    "reload_triton": ("s3", "mlflow", "triton"),
    "update_aliases": ("s3", "mlflow"),
    "verify_deployment": ("s3", "mlflow", "triton"),
    "sync_triton": ("s3", "mlflow", "triton"),
}
NAMED = {"mlflow": "MLflow", "s3": "bucket '", "triton": "Triton"}
# Written down in s3_client, mlflow_server and triton: nobody waits longer for a server that is gone. The
# processes of a test share the machine, so they get as much again.
DOWN_SECONDS, HUNG_SECONDS = 120.0, 300.0


@dataclass(frozen=True)
class Broken:
    """A way to each server that has one and the same fault for ever."""

    addresses: dict[str, str]

    def start(self, workflow: Workflow, step: str, server: str) -> Started:
        """Start a step with the way to one of its servers broken."""
        inputs = {"mlflow": {"mlflow_tracking_uri": self.addresses["mlflow"]}, "s3": {}}
        inputs["triton"] = {
            "triton_url": self.addresses["triton"],
            "triton_grpc_url": self.addresses["triton_grpc"],
            "load_timeout": 20,
        }
        healthy = workflow.environment
        if server == "s3":
            workflow.environment = {**healthy, "AWS_ENDPOINT_URL_S3": self.addresses["s3"]}
        started = workflow.start(step, **inputs[server])
        workflow.environment = healthy
        return started


@pytest.fixture
def breaking(world: World) -> Iterator[Callable[[Fault], Broken]]:
    """Makes the four ways for a fault."""
    targets = {
        "mlflow": world.mlflow,
        "s3": world.stack.environment()["AWS_ENDPOINT_URL_S3"],
        "triton": world.triton,
        "triton_grpc": world.triton_grpc,
    }
    proxies: list[FaultProxy] = []

    def make(fault: Fault) -> Broken:
        made = {server: FaultProxy(target, fault) for server, target in targets.items()}
        proxies.extend(made.values())
        return Broken({server: proxy.url for server, proxy in made.items()})

    yield make
    for proxy in proxies:
        proxy.close()


@pytest.mark.parametrize("fault", [Fault(refuse=True), Fault(status=503)], ids=["down", "503"])
def test_a_server_that_is_down_is_named_and_the_next_run_goes_on(
    fault: Fault,
    breaking: Callable[[Fault], Broken],
    deployed: Workflow,
    register: Callable[[bytes], str],
    workflow: Callable[[str], Workflow],
    name: str,
    client: MlflowClient,
    triton: Triton,
) -> None:
    register(NEW)
    second, broken = workflow("second"), breaking(fault)
    for step in ORDER:
        running = {server: broken.start(second, step, server) for server in USES.get(step, ())}
        for server, ran in _ended(running, DOWN_SECONDS).items():
            _told_in_one_line(ran, server)
        answers(triton, name, 1, OLD)
        live_is_served(client, triton, name)
        if step not in ("update_aliases", "verify_deployment"):
            assert aliases(client, name) == {"live": "1"}
        assert second.run(step).code == 0
    assert aliases(client, name) == {"live": "2", "previous": "1"}
    answers(triton, name, 2, NEW)


def test_a_server_that_hangs_is_given_up(
    breaking: Callable[[Fault], Broken],
    deployed: Workflow,
    name: str,
    client: MlflowClient,
    triton: Triton,
) -> None:
    broken = breaking(Fault(hang=True))
    # The same bound as in production, with shorter waits for an answer.
    deployed.environment["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "8"
    running = {
        f"{server} {step}": broken.start(deployed, step, server)
        for step, servers in USES.items()
        for server in servers
    }
    for key, ran in _ended(running, HUNG_SECONDS).items():
        _told_in_one_line(ran, key.partition(" ")[0])
    assert aliases(client, name) == {"live": "1"}
    answers(triton, name, 1, OLD)
    deployed.run_all()
    assert aliases(client, name) == {"live": "1"}


def _ended(running: dict[str, Started], seconds: float) -> dict[str, Ran]:
    """Wait for all; none may take longer than `seconds`."""
    begun = time.monotonic()
    late = []
    for key, started in running.items():
        started.process.join(max(begun + seconds - time.monotonic(), 0.1))
        if started.process.is_alive():
            late.append(key)
            started.process.kill()
            started.process.join()
    assert not late, f"{late} ran for {seconds} s"
    return {key: started.ended(time.monotonic() - begun) for key, started in running.items()}


def _told_in_one_line(ran: Ran, server: str) -> None:
    assert ran.code == 1, ran.log
    assert "Traceback" not in ran.log, ran.log
    assert NAMED[server] in ran.message, ran.message
