"""A pod that cannot start shows its reason."""

import io
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from argosy.cluster import Destination
from argosy.cluster.follow import event_trouble, explained, follow, pod_trouble
from argosy.cluster.kubernetes_api import KubernetesApi
from argosy.cluster.view import show
from tests.cluster.conftest import Run
from tests.cluster.server import TOKEN, Server
from tests.cluster.workflows import node, pod, status

WAITING = status("Running", **{"greet-1234": node("first", "Pending", templateName="say")})
IMAGE = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "nowhere/none:1"'}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGO_TOKEN", TOKEN)
    monkeypatch.setattr("argosy.cluster.follow._LOOK", 0.02)
    monkeypatch.setattr("argosy.cluster.argo_server_api._EVENTS_COME", 0.1)
    monkeypatch.setattr("argosy.cluster.follow._QUIET", 0.01)


@pytest.fixture
def waiting(server: Server) -> Server:
    """A server with a workflow whose one pod waits."""
    server.store.create("workflows", "team", {"kind": "Workflow", "metadata": {"name": "greet"}})
    server.store.set_status("team", "greet", WAITING)
    return server


def warning(
    server: Server, name: str, reason: str, message: str, moment: str = "2026-01-02T03:04:05Z"
) -> None:
    event = {
        "kind": "Event",
        "metadata": {"name": f"{name}.{moment}"},
        "type": "Warning",
        "involvedObject": {"kind": "Pod", "name": name},
        "reason": reason,
        "message": message,
        "lastTimestamp": moment,
    }
    server.store.create("events", "team", event)


@pytest.mark.parametrize(
    ("pod_status", "reason"),
    [
        ({"containerStatuses": [{"state": {"waiting": IMAGE}}]}, f"ImagePullBackOff: {IMAGE['message']}"),
        (
            {
                "initContainerStatuses": [{"state": {"waiting": {"reason": "CreateContainerConfigError"}}}],
                "containerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}],
            },
            "CreateContainerConfigError",
        ),
        (
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/3 nodes are available:\n 3 Insufficient nvidia.com/gpu.",
                    }
                ]
            },
            "Unschedulable: 0/3 nodes are available: 3 Insufficient nvidia.com/gpu.",
        ),
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ContainerCreating"}}}]}, ""),
        ({"containerStatuses": [{"state": {"running": {}}}]}, ""),
        ({}, ""),
    ],
)
def test_the_pods_own_status_says_why(pod_status: dict[str, Any], reason: str) -> None:
    assert pod_trouble({"status": pod_status}) == reason


def test_of_the_events_the_last_warning_counts() -> None:
    events = [
        {"type": "Warning", "reason": "Old", "lastTimestamp": "2026-01-01T00:00:00Z"},
        {"type": "Warning", "reason": "New", "lastTimestamp": "2026-01-02T00:00:00Z"},
        {"type": "Normal", "reason": "Scheduled", "lastTimestamp": "2026-01-03T00:00:00Z"},
    ]
    assert event_trouble(events) == "New"
    assert event_trouble(events[2:]) == ""


@pytest.mark.parametrize("through", ["kubernetes", "argo server"])
def test_a_secret_that_is_missing_is_told_by_the_pods_events(
    waiting: Server, argosy: Run, through: str
) -> None:
    pod(waiting, "greet-say-1234", "Pending")
    warning(waiting, "greet-say-1234", "FailedMount", 'secret "token" not found')
    warning(waiting, "another", "FailedMount", "not this one")
    options = ["--server", waiting.url] if through == "argo server" else []
    result = argosy("get", "team/greet", *options)
    assert result.exit_code == 0, result.output
    assert 'first  1m05s  FailedMount: secret "token" not found' in result.output


def test_while_nothing_changes_the_reason_comes_by_itself(waiting: Server) -> None:
    pod(waiting, "greet-say-1234", "Pending", containerStatuses=[{"state": {"waiting": IMAGE}}])
    api, namespace = Destination().connect({})
    states = explained(api, namespace, _one_and_silence(waiting))
    messages = [next(states)["status"]["nodes"]["greet-1234"].get("message") for _ in range(2)]
    assert messages == [None, f"ImagePullBackOff: {IMAGE['message']}"]


def _one_and_silence(server: Server) -> Iterator[dict[str, Any]]:
    yield server.store.get("workflows", "team", "greet")
    server.stopping.wait()


def test_watch_shows_the_reason_once(waiting: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    pod(waiting, "greet-say-1234", "Pending", containerStatuses=[{"state": {"waiting": IMAGE}}])
    looks: list[str] = []
    look = KubernetesApi.trouble

    def trouble(api: KubernetesApi, namespace: str, name: str) -> str:
        looks.append(name)
        if len(looks) == 3:
            waiting.store.set_status("team", "greet", status("Succeeded"))
        return look(api, namespace, name)

    monkeypatch.setattr(KubernetesApi, "trouble", trouble)
    api, namespace = Destination().connect({})
    console = Console(file=io.StringIO(), width=200, record=True)
    show(console, explained(api, namespace, follow(api, namespace, "greet")))
    text = console.export_text()
    assert text.count("ImagePullBackOff") == 1 and "workflow greet  Succeeded" in text


def test_without_the_right_to_read_pods_that_is_said(waiting: Server, argosy: Run) -> None:
    waiting.forbidden = ("pods",)
    result = argosy("get", "team/greet")
    assert result.exit_code == 0
    assert "no reason is known: the Kubernetes API" in " ".join(result.output.split())


def test_a_reason_that_the_controller_gives_stays(server: Server, argosy: Run) -> None:
    told = {"greet-1234": node("first", "Pending", message="Unschedulable: no node fits")}
    server.store.create("workflows", "team", {"kind": "Workflow", "metadata": {"name": "greet"}})
    server.store.set_status("team", "greet", status("Running", **told))
    assert "first  1m05s  Unschedulable: no node fits" in argosy("get", "greet").output
    assert not [path for _, path in server.requests if "/pods" in path]
