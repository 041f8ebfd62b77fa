"""The nouns of a container spec: what they render to, what they refuse."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from argosy import (
    TTL,
    FromConfigMap,
    FromField,
    FromSecret,
    Resources,
    Retry,
    Schedule,
    Scratch,
    SharedMemory,
    Toleration,
    Volume,
    component,
    pipeline,
)
from argosy.declare.container import ContainerSpec
from argosy.declare.pod import env_entry
from argosy.declare.reference import TemplateRef
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
        (lambda: Retry(policy="Sometimes"), "policy 'Sometimes' is none of Always, OnFailure, OnError"),  # type: ignore[arg-type]
        (lambda: Retry(duration="soon"), "'soon' is not a duration"),
        (lambda: SharedMemory("lots"), "'lots' is not a quantity"),
        (lambda: Scratch("work"), "not an absolute path"),
        (lambda: ContainerSpec(image=""), "is not the name of an image"),
        (
            lambda: Resources(cpu=1),
            "cpu: 1 is not a quantity such as '2', or a pair (request, limit); write '1'",
        ),
        (lambda: Resources(cpu=("1", 2)), "2 is not a text such as '500m', '2' or '1Gi'; write '2'"),
        (lambda: Resources(cpu=("1",)), "cpu: ('1',) is not a pair"),
        (lambda: Resources(gpu=True), "gpu: True is not a whole number"),
        (lambda: Retry(limit="2"), "retry: limit: '2' is not a whole number"),
        (lambda: Retry(limit=2.5), "retry: limit: 2.5 is not a whole number"),
        (lambda: Retry(factor=0), "retry: factor 0 is below 1"),
        (
            lambda: Retry(duration=30),
            "retry: duration: 30 is not a duration such as '30s' or '1h30m'; write '30'",
        ),
        (lambda: Retry(expression=True), "retry: expression: True is not a text; write 'true'"),
        (lambda: Toleration(5), "toleration: key: 5 is not a text; write '5'"),
        (lambda: Toleration("gpu", effect="Never"), "effect 'Never' is none of NoSchedule"),
        (lambda: SharedMemory(8), "8 is not a text such as"),
        (lambda: FromSecret("s", 5), "FromSecret: key: 5 is not a text"),
        (lambda: ContainerSpec("i", env={"A": 5}), "env: 'A': 5 is not a text; write '5'"),
        (lambda: ContainerSpec("i", env={"A": None}), "env: 'A': None is not a text"),
        (lambda: ContainerSpec("i", env={"A B": "x"}), "env: 'A B' is not the name of a variable"),
        (lambda: ContainerSpec("i", env=["A=5"]), "env: ['A=5'] is not a mapping such as"),
        (lambda: ContainerSpec("i", labels={"A": True}), "labels: 'A': True is not a text; write 'true'"),
        (lambda: ContainerSpec("i", annotations={"A": 1}), "annotations: 'A': 1 is not a text; write '1'"),
        (lambda: ContainerSpec("i", node_selector={5: "a"}), "node_selector: the key: 5 is not a text"),
        (lambda: ContainerSpec("i", retry=3), "retry: 3 is not Retry(...); write Retry(limit=3)"),
        (
            lambda: ContainerSpec("i", resources={"cpu": "1", "gpu": 1}),
            "resources: {'cpu': '1', 'gpu': 1} is not Resources(...); write Resources(cpu='1', gpu=1)",
        ),
        (lambda: ContainerSpec("i", resources={"limits": {}}), "resources: {'limits': {}} is not Resources("),
        (lambda: ContainerSpec.of("i", {"gpu": 1}), "no option 'gpu'; write resources=Resources(gpu=1)"),
        (lambda: Resources(memory="2 GB"), "memory: '2 GB' is not a quantity such as"),
        (lambda: Volume("a", "/a", "claim"), "volume 'a': source: 'claim' is not Kubernetes' own mapping"),
        (lambda: pipeline(ttl=86400), "ttl: 86400 is not TTL(...); write TTL(after_success=86400)"),
        (lambda: pipeline(schedule="@daily"), "'@daily' is not Schedule(...); write Schedule('@daily')"),
        (lambda: ContainerSpec("i", tolerations=Toleration("x")), "tolerations: a list is wanted; write ["),
        (lambda: ContainerSpec("i", volumes=["x"]), "volumes: 'x' is not SharedMemory(...)"),
        (lambda: ContainerSpec("i", packages="pandas"), "packages: a list is wanted; write ['pandas']"),
        (lambda: ContainerSpec("i", cache="yes"), "cache: 'yes' is not True or False"),
        (lambda: ContainerSpec("i", template=5), "template: 5 is not a mapping"),
        (lambda: ContainerSpec("i", image_pull_policy="Often"), "'Often' is none of Always"),
        (lambda: TTL(after_success="1d"), "ttl: after_success: '1d' is not a whole number"),
        (lambda: Schedule(5), "schedule: cron: 5 is not a cron expression"),
        (lambda: component(image="i", name="a b"), "name: 'a b' is no name"),
        (lambda: pipeline(parallelism=0), "parallelism 0 is below 1"),
        (lambda: pipeline(labels={"a": 1}), "labels: 'a': 1 is not a text"),
        (lambda: ContainerSpec(image="a b"), "is not the name of an image"),
        (lambda: ContainerSpec(image="a", timeout=0), "timeout 0"),
        (
            lambda: ContainerSpec(image="a", volumes=[Scratch("/a"), Scratch("/a")]),
            "two volumes are mounted at /a",
        ),
        (lambda: ContainerSpec(image="a", labels={"k": "a b"}), "is not a label's value"),
        (lambda: ContainerSpec("i", labels={"a b": "c"}), "labels: the key 'a b' is none; write letters"),
        (lambda: ContainerSpec("i", annotations={"/a": "c"}), "annotations: the key '/a' is none"),
        (lambda: ContainerSpec("i", node_selector={"a b": "c"}), "node_selector: the key 'a b' is none"),
        (lambda: ContainerSpec("i", env={"A": "x\0"}), "env: 'A': 'x\\x00' holds a NUL character"),
        (lambda: ContainerSpec("i", template={"podSpecPatch": 5}), "podSpecPatch: 5 is not a text"),
        (lambda: ContainerSpec("i", timeout=10**12), "timeout 1000000000000 is above 2147483647"),
        (lambda: FromSecret("", "k"), "FromSecret: name: '' is no name in Kubernetes"),
        (lambda: FromSecret("A b", "k"), "FromSecret: name: 'A b' is no name in Kubernetes"),
        (lambda: FromSecret("a..b", "k"), "FromSecret: name: 'a..b' is no name in Kubernetes"),
        (lambda: FromSecret("s", "..k"), "FromSecret: key: '..k' is no key"),
        (lambda: ContainerSpec("i", node_selector={"a..b/c": "d"}), "the key 'a..b/c' is none"),
        (lambda: Scratch("/a", name="a.b"), "volume: name: 'a.b' has a dot"),
        (lambda: TemplateRef("a..b", "c"), "templateRef: 'a..b' is not the name of a WorkflowTemplate"),
        (lambda: TemplateRef("a", "b.c"), "templateRef: 'b.c' is not the name of a template"),
        (lambda: FromSecret("s", ""), "FromSecret: key: '' is no key"),
        (lambda: FromConfigMap("s", "k k"), "FromConfigMap: key: 'k k' is no key"),
        (lambda: FromField("metadata.nope"), "FromField: 'metadata.nope' is no field"),
        (lambda: Scratch("/a", name="A b"), "volume: name: 'A b' is no name in Kubernetes"),
        (lambda: Toleration("a b"), "toleration: the key 'a b' is none"),
        (lambda: TTL(after_success=10**10), "ttl: after_success 10000000000 is above 2147483647"),
        (lambda: Retry(limit=10**10), "retry: limit 10000000000 is above"),
        (lambda: pipeline(labels={"a b": "c"}), "labels: the key 'a b' is none"),
        (lambda: pipeline(service_account="A b"), "service_account: 'A b' is no name in Kubernetes"),
        (lambda: pipeline(pod_gc="Never"), "pod_gc 'Never' is none of OnPodCompletion"),
        (lambda: component(image="i", name="a" * 129), "name: a name of 129 characters; Argo takes 128"),
    ],
)
def test_nonsense_is_refused_when_it_is_made(make: Callable[[], Any], fragment: str) -> None:
    with pytest.raises(DeclarationError, match=re.escape(fragment)):
        make()


def test_what_argo_takes_is_no_nonsense() -> None:
    assert ContainerSpec("i", annotations={"Example.org/b_c": "d"}, labels={"a": ""})
    assert TemplateRef("shared.steps", "Train").to_dict() == {"name": "shared.steps", "template": "Train"}
