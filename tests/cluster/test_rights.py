"""docs/rbac.yaml: enough for whoever submits, and no more."""

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from argosy.cluster.http import Http
from tests.cluster import programs
from tests.cluster.conftest import Run
from tests.cluster.server import Server
from tests.cluster.workflows import node, pod, status

RIGHTS = Path(__file__).parent.parent.parent / "docs" / "rbac.yaml"
VERBS = {"POST": "create", "PUT": "update", "GET": "get", "PATCH": "patch", "DELETE": "delete"}
Uses = set[tuple[str, str]]


@pytest.fixture
def used(server: Server, monkeypatch: pytest.MonkeyPatch) -> Uses:
    """Verb and resource of every request to the Kubernetes API, as its authorization names them."""
    uses: Uses = set()
    call, lines = Http.call, Http.lines

    def resource(path: str) -> str:
        found = re.fullmatch(
            r"/api(?:s/argoproj\.io)?/v1[a-z0-9]*/namespaces/[^/]+/([a-z]+)(?:/[^/]+(/log)?)?", path
        )
        assert found is not None, path
        return found[1] + (found[2] or "")

    def noted(self: Http, method: str, path: str, *more: Any, **named: Any) -> Any:
        collection = method == "GET" and path.endswith(f"/{resource(path)}")
        uses.add(("list" if collection else VERBS[method], resource(path)))
        return call(self, method, path, *more, **named)

    def noted_stream(self: Http, path: str, *more: Any) -> Iterator[bytes]:
        uses.add(("get" if path.endswith("/log") else "watch", resource(path)))
        return lines(self, path, *more)

    monkeypatch.setattr(Http, "call", noted)
    monkeypatch.setattr(Http, "lines", noted_stream)
    return uses


def _granted(role: str) -> Uses:
    documents = yaml.safe_load_all(RIGHTS.read_text(encoding="utf-8"))
    (found,) = (d for d in documents if d["kind"] == "Role" and d["metadata"]["name"] == role)
    return {(v, r) for rule in found["rules"] for v in rule["verbs"] for r in rule["resources"]}


def _workflow(kind: str, name: str) -> Path:
    path = Path("flow.yaml")
    text = programs.MANIFEST.format(kind=kind, name=name)
    if kind == "CronWorkflow":
        head, spec = text.split("spec:\n")
        inner = "".join(f"  {line}\n" for line in spec.splitlines())
        text = f"{head}spec:\n  schedules: ['0 3 * * *']\n  workflowSpec:\n{inner}"
    path.write_text(text, encoding="utf-8")
    return path


def _with_code() -> Path:
    path = Path("flow_hello.py")
    path.write_text(programs.HELLO, encoding="utf-8")
    return path


def test_a_submitter(used: Uses, argosy: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("argosy.cluster.follow._LOOK", 0.01)

    def act() -> None:
        while not server.store.watchers:
            time.sleep(0.01)
        pod(server, "greet-say-1", "Pending", "no way\n")
        waiting = {"greet-1": node("say", "Pending", templateName="say")}
        server.store.set_status("team", "greet", status("Running", **waiting))
        while ("list", "events") not in used:
            time.sleep(0.01)
        failed = {"greet-1": node("say", "Failed", templateName="say")}
        server.store.set_status("team", "greet", status("Failed", **failed))

    controller = threading.Thread(target=act, daemon=True)
    controller.start()
    for _ in range(2):
        assert argosy("submit", _with_code()).exit_code == 0
    assert argosy("submit", _workflow("Workflow", "name: greet"), "--watch").exit_code == 1
    controller.join()
    assert used == _granted("workflow-submitter")


def test_an_operator(used: Uses, argosy: Run, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("argosy.cluster.follow._LOOK", 0.01)
    server.store.create("workflows", "team", {"kind": "Workflow", "metadata": {"name": "greet"}, "spec": {}})
    pod(server, "greet-say-1", "Pending", "no way\n")
    nodes = {"greet-1": node("say", "Pending", templateName="say"), "a": node("ok", "Running", "Suspend")}
    server.store.set_status("team", "greet", status("Running", **nodes))
    for verb in ("get", "resume", "stop"):
        assert argosy(verb, "greet").exit_code == 0
    nodes["greet-1"]["phase"] = "Failed"
    server.store.set_status("team", "greet", status("Failed", **{"greet-1": nodes["greet-1"]}))
    assert argosy("logs", "team/greet").exit_code == 0
    assert argosy("runs", "--cluster").exit_code == 0

    def finish() -> None:
        while not server.store.watchers:
            time.sleep(0.01)
        server.store.set_status("team", "greet", status("Succeeded"))

    controller = threading.Thread(target=finish, daemon=True)
    controller.start()
    assert argosy("retry", "greet", "--watch").exit_code == 0
    controller.join()
    assert used == _granted("workflow-operator")


def test_a_maintainer_of_templates(used: Uses, argosy: Run) -> None:
    for kind in ("WorkflowTemplate", "CronWorkflow"):
        for _ in range(2):
            assert argosy("submit", _workflow(kind, "name: greet")).exit_code == 0
    assert argosy("submit", _with_code()).exit_code == 0
    assert argosy("submit", _with_code(), "--kind", "WorkflowTemplate").exit_code == 0
    assert used - {("create", "workflows")} == _granted("workflow-template-maintainer")


def test_a_pruner_of_code(used: Uses, argosy: Run, server: Server) -> None:
    assert argosy("submit", _with_code(), "--kind", "WorkflowTemplate").exit_code == 0
    server.store.delete("workflowtemplates", "team", "hello")
    used.clear()
    assert argosy("prune-code", "--delete").exit_code == 0
    assert used == _granted("workflow-code-pruner")


def test_a_program_with_a_secret(used: Uses, couler: Run) -> None:
    text = programs.STEP + "couler.create_secret({'key': 'value'}, name='mine')\n"
    Path("flow_secret.py").write_text(text, encoding="utf-8")
    for _ in range(2):
        done = couler("run", "flow_secret.py")
        assert done.exit_code == 0, done.output
    made = {use for use in used if use[1] == "secrets"}
    assert made == _granted("workflow-secret-maker")


def test_the_pods_report_and_nothing_else() -> None:
    assert _granted("workflow-executor") == {
        ("create", "workflowtaskresults"),
        ("patch", "workflowtaskresults"),
    }
    for document in yaml.safe_load_all(RIGHTS.read_text(encoding="utf-8")):
        assert document["kind"] in ("ServiceAccount", "Role", "RoleBinding")
        for rule in document.get("rules", ()):
            assert "*" not in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]]
