"""The nouns of a container spec: what they render to, what they refuse."""

from collections.abc import Callable
from typing import Any

import pytest

from argosy import FromConfigMap, FromField, FromSecret, Resources, Retry, Scratch, SharedMemory, Toleration
from argosy.declare.container import ContainerSpec
from argosy.declare.pod import env_entry
from argosy.errors import DeclarationError


@pytest.mark.parametrize(
    ("noun", "rendered"),
    [
        (Resources(), {}),
        (
            Resources(cpu=("250m", "500m"), memory=("512Mi", "1Gi")),
            {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"cpu": "500m", "memory": "1Gi"}},
        ),
        (
            Resources(cpu="1", gpu=2),
            {"requests": {"cpu": "1"}, "limits": {"cpu": "1", "nvidia.com/gpu": "2"}},
        ),
        (
            Retry(limit=1, policy="OnFailure", duration="5s", factor=3, max_duration=None),
            {"limit": "1", "retryPolicy": "OnFailure", "backoff": {"duration": "5s", "factor": "3"}},
        ),
        (Toleration("gpu"), {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}),
        (Toleration("a", "b", None), {"key": "a", "operator": "Equal", "value": "b"}),
    ],
)
def test_rendering(noun: Any, rendered: dict[str, Any]) -> None:
    assert noun.to_dict() == rendered


@pytest.mark.parametrize(
    ("value", "rendered"),
    [
        ("x", {"value": "x"}),
        (FromSecret("s", "k"), {"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}),
        (
            FromConfigMap("m", "k", optional=True),
            {"valueFrom": {"configMapKeyRef": {"name": "m", "key": "k", "optional": True}}},
        ),
        (FromField("metadata.name"), {"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
    ],
)
def test_environment(value: Any, rendered: dict[str, Any]) -> None:
    assert env_entry("A", value) == {"name": "A", **rendered}


def test_volumes() -> None:
    shm = SharedMemory("2Gi")
    assert shm.to_volume() == {"name": "dshm", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}
    assert shm.to_mount() == {"name": "dshm", "mountPath": "/dev/shm"}
    assert Scratch("/work").to_volume() == {"name": "scratch", "emptyDir": {}}


@pytest.mark.parametrize(
    ("make", "fragment"),
    [
        (lambda: Resources(cpu=("2", "1")), "cpu: the request 2 is above the limit 1"),
        (lambda: Resources(memory=("1Gi", "1000M")), "memory: the request 1Gi"),
        (lambda: Resources(memory="1 GB"), "'1 GB' is not a quantity"),
        (lambda: Resources(gpu=-1), "gpu"),
        (lambda: Retry(limit=-1), "limit -1"),
        (lambda: Retry(policy="Sometimes"), "'Sometimes' is not a policy"),  # type: ignore[arg-type]
        (lambda: Retry(duration="soon"), "'soon' is not a duration"),
        (lambda: SharedMemory("lots"), "'lots' is not a quantity"),
        (lambda: Scratch("work"), "not an absolute path"),
        (lambda: ContainerSpec(image=""), "is not the name of an image"),
        (lambda: ContainerSpec(image="a b"), "is not the name of an image"),
        (lambda: ContainerSpec(image="a", timeout=0), "timeout 0"),
        (
            lambda: ContainerSpec(image="a", volumes=[Scratch("/a"), Scratch("/a")]),
            "two volumes are mounted at /a",
        ),
        (lambda: ContainerSpec(image="a", labels={"k": "a b"}), "is not a label's value"),
    ],
)
def test_nonsense_is_refused_when_it_is_made(make: Callable[[], Any], fragment: str) -> None:
    with pytest.raises(DeclarationError, match=fragment):
        make()
