"""Triton is killed in the middle of a load, and comes back: the old version first, then the new one too."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil

from argosy.components.deployment.model.layout import ModelKeys
from argosy.components.deployment.swap.serving import config_names
from argosy.components.deployment.swap.sole import Place
from argosy.components.shared.s3 import Bucket
from argosy.components.shared.triton import Triton
from tests.components.deployment.configuring import published_config
from tests.components.deployment.models import conv_net
from tests.faults.checks import answers
from tests.faults.conftest import World
from tests.faults.workflow import Workflow

OLD, NEW = conv_net(1), conv_net(2)


def test_triton_restarted_in_the_middle_of_a_load(
    deployed: Workflow,
    register: Callable[[bytes], str],
    workflow: Callable[[str], Workflow],
    world: World,
    keys: ModelKeys,
    bucket: Bucket,
    triton: Triton,
    tmp_path: Path,
) -> None:
    register(NEW)
    second = workflow("second")
    second.run_all(last="upload_to_s3")
    started = second.start("reload_triton")
    while 2 not in triton.index(keys.model):
        assert started.process.is_alive(), started.log.read_text()
        time.sleep(0.02)
    kill_triton(world)
    # What a restart brings up is what config.pbtxt names: the version that was being loaded is not in it.
    assert config_names(Place(triton, bucket, keys)) == {1}
    world.stack.up()
    answers(triton, keys.model, 1, OLD)
    started.process.join(120)
    assert started.ended(0).code == 0, started.log.read_text()
    for version, model in ((1, OLD), (2, NEW)):
        answers(triton, keys.model, version, model)
    # A model that was published and never served is nothing that a restart could miss.
    unserved = ModelKeys("models", f"{keys.model}-unserved")
    published_config(bucket, unserved, tmp_path)
    bucket.write_if_absent(unserved.version(1) + "model.onnx", OLD)
    told: list[str] = []
    kill_triton(world)
    world.stack.up(told.append)
    assert f"triton serves '{keys.model}' again" in told
    assert not any(unserved.model in line for line in told)
    for version, model in ((1, OLD), (2, NEW)):
        answers(triton, keys.model, version, model)


def kill_triton(world: World) -> None:
    """End the server as a crash does, and wait until it is gone."""
    (pid,) = (one.pid for one in world.stack.status().services if one.name == "triton")
    assert pid
    server = psutil.Process(pid)
    server.kill()
    server.wait(30)
