"""A model that three real Tritons serve: every replica, or none, and none that lives fails a request."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from argosy.components.deployment import compare_live, reload_triton, sync_triton
from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.swap import serving
from argosy.components.deployment.swap.serving import ready_versions
from argosy.components.deployment.swap.sole import Place
from argosy.components.shared import registry
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton import Triton, connect_all
from argosy.errors import StepError, UsageError
from argosy.stack import Stack, process
from argosy.stack import serving as triton_service
from tests.components.deployment import models
from tests.components.deployment.conftest import Servers
from tests.components.deployment.fleet import IMAGE, Fleet
from tests.components.deployment.replicas import Clients, Replica, replica, running
from tests.faults.proxy import Fault, FaultProxy

NAME = "triton.replicas.test"


@pytest.fixture(scope="module")
def started(shared_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Replica]]:
    """Three servers."""
    made = [replica(shared_stack, tmp_path_factory.mktemp("replica")) for _ in range(3)]
    with running(made):
        yield made


@pytest.fixture
def trio(started: list[Replica]) -> list[Replica]:
    """The three, all running; those that a test killed serve nothing."""
    for one in started:
        if one.running is None:
            one.start()
    return started


def fleet_at(
    replicas: list[Replica], servers: Servers, client: MlflowClient, bucket: Bucket, keys: ModelKeys, to: Path
) -> Fleet:
    urls, grpcs = (
        ",".join(getattr(one.triton, name) for one in replicas) for name in ("url", "grpc_address")
    )
    place = Place.of([one.triton for one in replicas], bucket, keys)
    return Fleet(replace(servers, triton=urls, triton_grpc=grpcs), client, place, to)


@pytest.fixture
def fleet(
    trio: list[Replica],
    servers: Servers,
    client: MlflowClient,
    bucket: Bucket,
    keys: ModelKeys,
    tmp_path: Path,
) -> Fleet:
    return fleet_at(trio, servers, client, bucket, keys, tmp_path)


def serves(replicas: list[Replica], model: str) -> list[set[int]]:
    return [set(ready_versions(one.triton, model)) for one in replicas]


def sync(fleet: Fleet, **given: Any) -> Any:
    where = {**fleet.where(), "triton_grpc_url": fleet.servers.triton_grpc, "load_timeout": 60}
    return sync_triton(**{**where, **given})


def unchanged(fleet: Fleet) -> tuple[object, ...]:
    """The tags of all that a sync could write."""
    keys = (fleet.keys.config, fleet.keys.lock("serving"))
    return tuple(info and info.etag for info in (fleet.bucket.head(key) for key in keys))


def fails_nowhere(clients: Clients, *replicas: Replica) -> bool:
    """Whether the clients of these replicas were answered, every time."""
    assert [clients.failures[one.url] for one in replicas] == [[]] * len(replicas)
    return all(clients.answered[one.url] for one in replicas)


def test_a_deployment_reaches_every_replica_and_its_rollback_too(fleet: Fleet, trio: list[Replica]) -> None:
    fleet.deploy("good")
    with Clients(fleet.name).at(*(one.triton for one in trio), version=1) as clients:
        fleet.deploy("second")
        fleet.verify("second", 2)
        assert serves(trio, fleet.name) == [{1, 2}] * 3
        assert fleet.rollback(owner="second") == ("1", 1, "rolled-back")
    assert serves(trio, fleet.name) == [{1}] * 3
    assert fails_nowhere(clients, *trio)
    found, urls = fleet.record(2)["verification"], [one.url for one in trio]
    assert (found["result"], found["replicas"]) == ("passed", urls)
    assert found["endpoint"].startswith(f"{urls[0]}/v2/models/")
    assert fleet.tags(2)["verification.replicas"] == ", ".join(urls)


def test_by_hand_to_the_version_before(fleet: Fleet, trio: list[Replica]) -> None:
    fleet.deploy("first")
    fleet.deploy("second")
    assert fleet.rollback(request="r1") == ("1", 1, "rolled-back")
    assert serves(trio, fleet.name) == [{1}] * 3


def test_one_replica_is_dead_and_the_others_stay_as_they_are(fleet: Fleet, trio: list[Replica]) -> None:
    fleet.deploy("good")
    new, (*alive, dead) = fleet.publish("second"), trio
    dead.kill()
    where = {**fleet.where(), "triton_grpc_url": fleet.servers.triton_grpc}
    with (
        Clients(fleet.name).at(*(one.triton for one in alive), version=1) as clients,
        pytest.raises(StepError, match=rf"{dead.url} does not answer.*; nothing was changed"),
    ):
        serving_step(where, new)
    assert serves(alive, fleet.name) == [{1}] * 2
    assert fleet.named() == {1}
    assert fails_nowhere(clients, *alive)


def serving_step(where: dict[str, Any], version: int, seconds: int = 15) -> None:
    reload_triton(triton_version=version, owner="second", load_timeout=seconds, **where)


@pytest.mark.parametrize("moment", ["wait_settled", "smoke_test"])
def test_one_dies_in_the_middle_and_the_others_go_back(
    fleet: Fleet, trio: list[Replica], moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.deploy("good")
    new, (*alive, dies) = fleet.publish("second"), trio
    real: Callable[..., None] = getattr(serving, moment)

    def and_dies(triton: Any, *given: Any) -> None:
        if triton.url == dies.url:
            dies.kill()
        real(triton, *given)

    monkeypatch.setattr(serving, moment, and_dies)
    where = {**fleet.where(), "triton_grpc_url": fleet.servers.triton_grpc}
    with Clients(fleet.name).at(*(one.triton for one in alive), version=1) as clients:
        with pytest.raises(StepError, match=rf"version 2 .*still serving: .*version 1; {dies.url}: does not"):
            serving_step(where, new)
        assert serves(alive, fleet.name) == [{1}] * 2
        assert fleet.named() == {1}
        monkeypatch.undo()
        dies.start()
        assert sync(fleet) == ([1], [dies.url])
        serving_step(where, new, seconds=60)
    assert serves(trio, fleet.name) == [{1, 2}] * 3
    assert fails_nowhere(clients, *alive)


def test_replicas_go_back_and_are_asked_of_the_model_alone(
    fleet: Fleet, trio: list[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of its index each would make a request to S3 for each model in the bucket."""
    fleet.deploy("good")
    new = fleet.publish("second")

    def broken(*_: object) -> None:
        raise StepError("no inference")

    monkeypatch.setattr(serving, "smoke_test", broken)
    monkeypatch.setattr(Triton, "index", lambda *_: pytest.fail("nothing is unclear"))
    with pytest.raises(StepError, match=r"version 2 .*still serving: .*version 1; .*no inference"):
        serving_step({**fleet.where(), "triton_grpc_url": fleet.servers.triton_grpc}, new, seconds=60)
    assert serves(trio, fleet.name) == [{1}] * 3


def test_a_rollback_reaches_those_that_live_and_sync_the_one_that_was_dead(
    fleet: Fleet, trio: list[Replica]
) -> None:
    fleet.deploy("good")
    fleet.deploy("failing")
    *alive, dead = trio
    dead.kill()
    with Clients(fleet.name).at(*(one.triton for one in alive), version=1) as clients:
        with pytest.raises(StepError, match=rf"aliases .* are back .*{dead.url}"):
            fleet.rollback(owner="failing", load_timeout=20)
        assert serves(alive, fleet.name) == [{1}] * 2
        assert (fleet.aliases(), fleet.named()) == (("1", ""), {1})
        dead.start()
        assert sync(fleet) == ([1], [dead.url])
    assert serves(trio, fleet.name) == [{1}] * 3
    assert fails_nowhere(clients, *alive)


def test_one_that_is_slow_is_waited_for(fleet: Fleet, trio: list[Replica]) -> None:
    fleet.deploy("good")
    proxy = FaultProxy(trio[2].url, Fault(bytes_per_second=30_000))
    try:
        where = {**fleet.where(), "triton_url": f"{trio[0].url}, {trio[1].url}, {proxy.url}"}
        with Clients(fleet.name).at(*(one.triton for one in trio), version=1) as clients:
            serving_step(where, fleet.publish("second"), seconds=100)
    finally:
        proxy.close()
    assert serves(trio, fleet.name) == [{1, 2}] * 3
    assert fails_nowhere(clients, *trio)


def test_one_that_hangs_in_the_middle_is_given_up_and_synced_later(
    fleet: Fleet, trio: list[Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.deploy("good")
    proxy, real, hang = FaultProxy(trio[2].url), serving.wait_settled, contextlib.ExitStack()

    def and_hangs(triton: Any, *given: Any) -> None:
        if triton.url == proxy.url:
            hang.enter_context(proxy.fault(Fault(hang=True)))
        real(triton, *given)

    monkeypatch.setattr(serving, "wait_settled", and_hangs)
    monkeypatch.setattr(serving, "_BACK_SECONDS", 10.0)
    where = {**fleet.where(), "triton_url": f"{trio[0].url},{trio[1].url},{proxy.url}"}
    try:
        with Clients(fleet.name).at(*(one.triton for one in trio), version=1) as clients:
            with hang, pytest.raises(StepError, match=rf"{proxy.url}: does not tell"):
                serving_step(where, fleet.publish("second"), seconds=12)
            assert serves(trio, fleet.name) == [{1}, {1}, {1, 2}]
            monkeypatch.undo()
            assert sync(fleet) == ([1], [trio[2].url])
    finally:
        proxy.close()
    assert serves(trio, fleet.name) == [{1}] * 3
    assert fails_nowhere(clients, *trio)


def test_one_that_is_added_later_is_synced_and_nothing_else_changes(
    fleet: Fleet, trio: list[Replica]
) -> None:
    *first, added = trio
    added.kill()
    urls = ",".join(one.url for one in first)
    two = replace(fleet, servers=replace(fleet.servers, triton=urls, triton_grpc=""))
    assert (sync(two).versions, fleet.named()) == ([], set())  # nothing is live yet
    for owner in ("first", "second", "third"):
        two.deploy(owner)
        two.verify(owner, int(two.aliases()[0]))
    before = serves(first, fleet.name)
    added.start()
    with Clients(fleet.name).at(*(one.triton for one in first), version=3) as clients:
        assert sync(fleet) == (sorted(before[0]), [added.url])
        assert serves(trio, fleet.name) == [before[0]] * 3
        tags = unchanged(fleet)
        assert sync(fleet) == (sorted(before[0]), [])
        assert unchanged(fleet) == tags
    assert fails_nowhere(clients, *first)


def test_one_that_is_added_during_a_deployment_gets_the_version_before_it_is_verified(
    fleet: Fleet, trio: list[Replica]
) -> None:
    urls = ",".join(one.url for one in trio[:2])
    two = replace(fleet, servers=replace(fleet.servers, triton=urls, triton_grpc=""))
    two.deploy("good")
    assert serves(trio, fleet.name) == [{1}, {1}, set()]
    fleet.verify("good", 1)
    assert serves(trio, fleet.name) == [{1}] * 3


def test_sync_brings_the_others_there_and_names_the_dead_one(fleet: Fleet, trio: list[Replica]) -> None:
    fleet.deploy("good")
    *alive, dead = trio
    dead.kill()
    alive[0].triton.unload(fleet.name, 30)
    with pytest.raises(StepError, match=f"{dead.url} does not answer"):
        sync(fleet, load_timeout=12)
    assert serves(alive, fleet.name) == [{1}] * 2
    alive[0].triton.unload(fleet.name, 30)
    with pytest.raises(StepError, match=f"{dead.url} does not answer"):
        sync(fleet, load_timeout=5, triton_url=dead.url, triton_grpc_url="")


def test_sync_of_a_model_that_nobody_registered_says_so(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be the first pod before the first deployment, or a wrong name on a schedule."""
    assert sync(fleet, model_name="no-such-model") == ([], [])
    assert "MLflow has no registered model 'no-such-model': nothing is changed" in caplog.text


def test_sync_takes_away_what_is_above_the_live_version(fleet: Fleet, trio: list[Replica]) -> None:
    fleet.deploy("first")
    fleet.deploy("second")
    newest = fleet.publish("newest")
    fleet.serve("newest", newest)  # under way: it stays
    fleet.verify("second", 2)
    registry.set_alias(fleet.client, fleet.name, "live", "1")
    assert sync(fleet) == ([1, 3], [one.url for one in trio])
    assert serves(trio, fleet.name) == [{1, 3}] * 3
    assert fleet.named() == {1, 3}


def test_the_live_version_is_no_longer_there(fleet: Fleet) -> None:
    fleet.deploy("first")
    fleet.bucket.delete(fleet.keys.version(1) + "model.onnx")
    with pytest.raises(StepError, match=r"version 1 of .* is live and not in bucket .*: deploy it again"):
        sync(fleet)


def test_beside_triton_it_waits_for_it_and_looks_again(
    fleet: Fleet, trio: list[Replica], shared_stack: Stack, tmp_path: Path
) -> None:
    """As the command of a container in Triton's own pod, which starts before Triton does."""
    fleet.deploy("good")
    one = trio[0]
    one.kill()
    values = {"model-name": fleet.name, "mlflow-tracking-uri": fleet.servers.mlflow, "every": "1",
              "s3-bucket": fleet.servers.bucket, "triton-url": one.url, "load-timeout": "30"}  # fmt: skip
    command = [sys.executable, "-m", "argosy.components.deployment.sync_triton"]
    command += [f"--{name}={value}" for name, value in values.items()]
    command += ["--output-versions=/dev/null", "--output-changed=/dev/null"]
    environment = {**os.environ, **shared_stack.environment()}
    log = tmp_path / "log"
    with log.open("w") as written, subprocess.Popen(command, env=environment, stderr=written) as beside:
        try:
            while "does not answer" not in log.read_text():
                still_running(beside)
            one.start()
            for _ in range(2):  # once after its start, once after it lost the model
                while serves([one], fleet.name) != [{1}]:
                    still_running(beside)
                one.triton.unload(fleet.name, 30)
            beside.terminate()  # by a handler: the kernel keeps it from a pod's first process that has none
            assert beside.wait(60) == 128 + signal.SIGTERM
        finally:
            beside.kill()


def still_running(process: subprocess.Popen[bytes]) -> None:
    """Give a process a moment for its work; it shall not end."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        pytest.fail(f"it ended with {process.wait(0.1)}")


def test_a_name_with_several_addresses(
    shared_stack: Stack, servers: Servers, client: MlflowClient, bucket: Bucket, keys: ModelKeys,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """As a headless service's: the same port at 127.0.0.2, .3 and .4."""
    chosen, hosts = process.choose_ports(triton_service.PORTS, {}), [f"127.0.0.{n}" for n in (2, 3, 4)]
    three = [replica(shared_stack, tmp_path / host, host, chosen) for host in hosts]
    real = socket.getaddrinfo

    def resolve(host: Any, *given: Any, **options: Any) -> Any:
        where = reversed(hosts) if host == NAME else [host]
        return [found for one in where for found in real(one, *given, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    http, grpc = f"http://{NAME}:{chosen['triton']}", f"{NAME}:{chosen['triton.grpc']}"
    with running(three):
        replicas = connect_all(http, grpc)
        assert [one.url for one in replicas] == [one.url for one in three]
        place = Place.of(replicas, bucket, keys)
        fleet = Fleet(replace(servers, triton=http, triton_grpc=grpc), client, place, tmp_path)
        for owner in ("first", "second"):
            number = fleet.deploy(owner)
            fleet.verify(owner, number)
        assert serves(three, fleet.name) == [{1, 2}] * 3
        found = fleet.record(2)["verification"]
        assert found["replicas"] == [one.url for one in three]
        assert found["endpoint"] == f"{http}/v2/models/{fleet.name}/versions/2/infer"


def test_what_a_killed_comparison_left_is_cleared_at_whichever_replica_it_is(
    fleet: Fleet, trio: list[Replica]
) -> None:
    fleet.deploy("good")
    fleet.publish("second")
    aside = f"{fleet.name}.candidate-2"
    body = models.conv_net(2)
    fleet.bucket.write_if_absent(f"models/{aside}/2/model.onnx", body)
    config = {**serving.load_config(serving._read_config(fleet.place)[0], [2]), "name": aside}
    trio[1].triton.load(aside, 30, config)
    assert serves(trio, aside) == [set(), {2}, set()]
    fleet.rollback(owner="second")
    assert serves(trio, aside) == [set()] * 3
    assert list(fleet.bucket.keys(f"models/{aside}/")) == []


def test_gate_3_compares_on_one_of_them(fleet: Fleet, trio: list[Replica]) -> None:
    fleet.deploy("good")
    fleet.publish("second", models.conv_net(1))
    tensor = {"name": "input", "shape": list(IMAGE.shape), "datatype": "FP32", "data": IMAGE.ravel().tolist()}
    key = f"requests/{fleet.name}/1.json"
    fleet.bucket.write_if_absent(key, json.dumps({"inputs": [tensor]}).encode())
    compared = compare_live(
        triton_version=2,
        model_version="2",
        owner="second",
        images=0,
        recorded_requests=f"s3://{fleet.bucket.name}/requests/{fleet.name}",
        limits={"max_p50_ratio": 1000, "max_p95_ratio": 1000},
        **fleet.where(),
    )
    assert compared.result == "passed"
    assert serves(trio, fleet.name) == [{1}] * 3
    assert serves(trio, f"{fleet.name}.candidate-2") == [set()] * 3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"every": -1}, "every -1 is not"),
        ({"load_timeout": 0}, "load_timeout 0 is not"),
        ({"owner": "../x"}, "owner '../x' cannot be part of a key"),
        ({"model_name": "a/b"}, "model_name 'a/b'"),
        ({"s3_prefix": "claims"}, "s3_prefix 'claims'"),
        ({"triton_url": "triton"}, "triton_url 'triton' is no address"),
        ({"triton_url": "http://a:1,"}, "triton_url '' is no address"),
        ({"triton_url": "triton", "every": 5}, "triton_url 'triton' is no address"),
        (
            {"triton_url": "http://a:1,http://b:1", "triton_grpc_url": "a:1"},
            "2 servers and triton_grpc_url 1",
        ),
    ],
)
def test_wrong_input(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sync_triton(**wrong)
