"""Manifests and pipelines to the Kubernetes API."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from argosy.cluster.api import KINDS
from argosy.cluster.delivery import deliver
from argosy.cluster.destination import connect
from argosy.cluster.kubernetes_api import KubernetesApi
from tests.cluster import programs
from tests.cluster.conftest import Cluster, Run, write_kubeconfig
from tests.cluster.server import TOKEN, Server, serving


def manifest(kind: str, name: str) -> Path:
    path = Path(f"{kind}.yaml")
    path.write_text(programs.MANIFEST.format(kind=kind, name=name), encoding="utf-8")
    return path


def read(cluster: Cluster, kind: str, name: str) -> dict[str, Any]:
    http, _ = connect(str(cluster.kubeconfig), None)
    return KubernetesApi(http).get(KINDS[kind], cluster.namespace, name)


def name_in(output: str) -> str:
    return output.split("'")[1]


def test_a_workflow_is_created_in_the_namespace_of_the_context(cluster: Cluster, argosy: Run) -> None:
    result = argosy("submit", manifest("Workflow", "generateName: greet-"), "-p", "word=there")
    assert result.exit_code == 0, result.output
    name = name_in(result.stdout)
    assert result.stdout == f"Workflow '{name}' created in namespace '{cluster.namespace}'\n"
    assert name.startswith("greet-") and len(name) == len("greet-") + 5
    workflow = read(cluster, "Workflow", name)
    assert workflow["spec"]["arguments"]["parameters"] == [{"name": "word", "value": "there"}]


def test_two_submissions_make_two_workflows(cluster: Cluster, argosy: Run) -> None:
    path = manifest("Workflow", "generateName: greet-")
    names = {name_in(argosy("submit", path).stdout) for _ in range(2)}
    assert len(names) == 2


@pytest.mark.parametrize("kind", ["WorkflowTemplate", "CronWorkflow"])
def test_other_kinds_are_created_and_then_updated(cluster: Cluster, argosy: Run, kind: str) -> None:
    name = f"greet-{os.getpid()}-{kind.lower()}"
    path = manifest(kind, f"name: {name}")
    if kind == "CronWorkflow":
        lines = path.read_text(encoding="utf-8").split("spec:\n")
        inner = "".join(f"  {line}\n" for line in lines[1].splitlines())
        text = f"{lines[0]}spec:\n  schedules: ['0 3 * * *']\n  workflowSpec:\n{inner}"
        path.write_text(text, encoding="utf-8")
    first = argosy("submit", path)
    assert first.stdout == f"{kind} '{name}' created in namespace '{cluster.namespace}'\n", first.output
    second = argosy("submit", path, "-p", "word=again")
    assert second.stdout == f"{kind} '{name}' updated in namespace '{cluster.namespace}'\n", second.output
    spec = read(cluster, kind, name)["spec"]
    assert spec.get("workflowSpec", spec)["arguments"]["parameters"][0]["value"] == "again"


def test_a_name_that_is_taken_is_one_line(cluster: Cluster, argosy: Run) -> None:
    path = manifest("Workflow", f"name: taken-{os.getpid()}")
    assert argosy("submit", path).exit_code == 0
    again = argosy("submit", path)
    assert again.exit_code == 1
    assert again.stderr.startswith(f"argosy: cannot create Workflow 'taken-{os.getpid()}' in namespace")
    assert "already exists" in again.stderr and again.stderr.count("\n") == 1


def test_what_the_controller_noted_survives_an_update(server: Server, argosy: Run) -> None:
    path = manifest("WorkflowTemplate", "name: greet")
    argosy("submit", path)
    server.store.objects["workflowtemplates", "team", "greet"]["status"] = {"seen": True}
    assert argosy("submit", path).exit_code == 0
    assert server.store.get("workflowtemplates", "team", "greet")["status"] == {"seen": True}


def test_an_update_meets_another_one(server: Server, argosy: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = manifest("WorkflowTemplate", "name: greet")
    argosy("submit", path)
    server.faults = [None, 409]
    result = argosy("submit", path, "-p", "word=mine")
    assert result.stdout == "WorkflowTemplate 'greet' updated in namespace 'team'\n", result.output


@pytest.mark.parametrize(
    ("words", "own", "namespace"),
    [
        (["-n", "default"], "", "default"),
        (["-n", "default"], "team", "default"),
        ([], "default", "default"),
        ([], "", "team"),
        (["--context", "bare"], "", "default"),
        (["--context", "bare"], "team", "team"),
    ],
)
def test_the_namespace(server: Server, argosy: Run, words: list[str], own: str, namespace: str) -> None:
    place = f"\n  namespace: {own}" if own else ""
    result = argosy("submit", manifest("Workflow", f"name: greet{place}"), *words)
    assert result.exit_code == 0, result.output
    assert server.store.get("workflows", namespace, "greet")["metadata"]["namespace"] == namespace


def test_a_cluster_template_has_no_namespace(server: Server, argosy: Run) -> None:
    result = argosy("submit", manifest("ClusterWorkflowTemplate", "name: greet"))
    assert result.stdout == "ClusterWorkflowTemplate 'greet' created\n", result.output
    assert ("clusterworkflowtemplates", "", "greet") in server.store.objects


def test_a_pipeline_by_its_file_and_as_another_kind(server: Server, argosy: Run) -> None:
    Path("flow_nightly.py").write_text(programs.PIPELINE, encoding="utf-8")
    result = argosy("submit", "flow_nightly.py", "--kind", "WorkflowTemplate")
    assert result.exit_code == 0, result.output
    result = argosy("submit", "flow_nightly.py", "-p", "epochs=3")
    workflow = server.store.get("workflows", "team", name_in(result.stdout))
    assert workflow["spec"]["arguments"]["parameters"][0] == {"name": "epochs", "value": "3"}


def test_a_built_in_pipeline_dry(argosy: Run) -> None:
    result = argosy("submit", "train-model-image-classification", "--dry-run", "-n", "elsewhere")
    assert result.exit_code == 0, result.output
    assert "  namespace: elsewhere\n" in result.stdout


class TestLostAnswers:
    """A connection that breaks never makes two workflows, and an attempt that did not arrive is repeated."""

    @pytest.mark.parametrize("fault", ["lose", "refuse", 503, 429, 502])
    @pytest.mark.parametrize("name", ["generateName: greet-", "name: greet"])
    def test_one_workflow_comes_about(self, server: Server, argosy: Run, fault: Any, name: str) -> None:
        server.faults = [fault]
        result = argosy("submit", manifest("Workflow", name))
        assert result.exit_code == 0, result.output
        assert [plural for plural, _, _ in server.store.objects] == ["workflows"]
        assert server.posts() == 2

    def test_all_answers_lost(self, server: Server, argosy: Run) -> None:
        server.faults = ["lose"] * 20
        result = argosy("submit", manifest("Workflow", "generateName: greet-"))
        assert result.exit_code == 1
        assert len(server.store.objects) == 1
        assert "gave no answer" in result.stderr.splitlines()[-1]

    def test_a_bad_request_is_not_repeated(self, server: Server, argosy: Run) -> None:
        server.faults = [500]
        assert argosy("submit", manifest("Workflow", "generateName: greet-")).exit_code == 1
        assert server.posts() == 1

    def test_a_chosen_name_that_is_taken_is_chosen_again(
        self, server: Server, argosy: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        letters = iter(["aaaaa", "aaaaa", "bbbbb"])
        monkeypatch.setattr("argosy.cluster.delivery.random.choices", lambda *_, **__: next(letters))
        path = manifest("Workflow", "generateName: greet-")
        assert [name_in(argosy("submit", path).stdout) for _ in range(2)] == ["greet-aaaaa", "greet-bbbbb"]

    def test_a_lost_update_is_repeated(self, server: Server, argosy: Run) -> None:
        path = manifest("WorkflowTemplate", "name: greet")
        argosy("submit", path)
        server.faults = [None, "lose"]
        result = argosy("submit", path, "-p", "word=new")
        assert result.exit_code == 0, result.output
        spec = server.store.get("workflowtemplates", "team", "greet")["spec"]
        assert spec["arguments"]["parameters"][0]["value"] == "new"


def test_tls_with_the_right_authority(certificate: Path, tmp_path: Path, argosy: Run) -> None:
    with serving(certificate) as state:
        path = write_kubeconfig(tmp_path / "k", state.url, **{"certificate-authority": str(certificate)})
        result = argosy("submit", manifest("Workflow", "name: greet"), "--kubeconfig", path)
        assert result.exit_code == 0, result.output
        assert ("workflows", "team", "greet") in state.store.objects


def test_in_a_pod(certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = tmp_path / "serviceaccount"
    pod.mkdir()
    (pod / "token").write_text(TOKEN, encoding="utf-8")
    (pod / "namespace").write_text("team\n", encoding="utf-8")
    shutil.copy(certificate, pod / "ca.crt")
    with serving(certificate) as state:
        host, port = state.url.removeprefix("https://").split(":")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        http, namespace = connect(None, None, pod)
        done = deliver(KubernetesApi(http), namespace or "", programs.SMALLEST)
        assert str(done) == "Workflow 'greet' created in namespace 'team'"
        assert ("workflows", "team", "greet") in state.store.objects


def test_several_kubeconfigs(
    server: Server, tmp_path: Path, argosy: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tmp_path / "first"
    first.write_text("apiVersion: v1\nkind: Config\ncurrent-context: bare\n", encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join([str(first), os.environ["KUBECONFIG"], "gone"]))
    result = argosy("submit", manifest("Workflow", "name: greet"))
    assert result.stdout == "Workflow 'greet' created in namespace 'default'\n", result.output
