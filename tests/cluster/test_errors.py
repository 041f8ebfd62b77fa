"""Everything that can be wrong on the way is one line that says what to do."""

import re
from pathlib import Path
from typing import Any

import pytest

from argosy.lint.engine import MAX_BYTES
from tests.cluster import programs
from tests.cluster.conftest import Run, write_kubeconfig
from tests.cluster.server import TOKEN, VIEWER, Server, serving


@pytest.fixture
def workflow() -> Path:
    path = Path("greet.yaml")
    path.write_text(programs.MANIFEST.format(kind="Workflow", name="name: greet"), encoding="utf-8")
    return path


def last_line(result: Any, code: int) -> str:
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert TOKEN not in result.output and VIEWER not in result.output
    lines = result.stderr.splitlines()
    assert lines[-1].startswith("argosy: ")
    return str(lines[-1])


def test_no_kubeconfig(argosy: Run, workflow: Path) -> None:
    assert "there is no kubeconfig" in last_line(argosy("submit", workflow), 2)


def test_a_kubeconfig_that_is_not_there(argosy: Run, workflow: Path) -> None:
    assert "no kubeconfig 'nowhere'" in last_line(argosy("submit", workflow, "--kubeconfig", "nowhere"), 2)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("users: [{name: me, user: {token: %s", "is not YAML"),
        ("just text", "not of the form"),
        ("", "is empty|no current context|not of the form"),
        ("current-context: gone\ncontexts: []", "has no context 'gone'"),
        ("contexts: []", "has no current context"),
        ("current-context: a\ncontexts: [{name: a, context: {cluster: x, user: y}}]", "clusters"),
    ],
)
def test_a_kubeconfig_that_is_none(argosy: Run, workflow: Path, content: str, message: str) -> None:
    Path("k").write_text(content.replace("%s", TOKEN), encoding="utf-8")
    assert re.search(message, last_line(argosy("submit", workflow, "--kubeconfig", "k"), 2))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["submit", "greet.yaml", "-n", ".."], "'..' is not a name of lowercase letters, digits and '-'"),
        (["submit", "greet.yaml", "-n", "Bad NS", "--dry-run"], "no such namespace: 'Bad NS' is not a name"),
        (["submit", "dots.yaml"], "the Workflow's name '..' is not one of lowercase letters"),
        (["submit", "elsewhere.yaml"], "no such namespace: '../x' is not a name"),
        (["runs", "--cluster", "-n", ".."], "no such namespace: '..'"),
        (["prune-code", "-n", "..", "--delete"], "no such namespace: '..'"),
        (["get", "team/.."], "'team/..' names no workflow"),
        (["stop", "..", "-n", "team"], "'..' names no workflow"),
        (["retry", "../greet"], "no such namespace: '..'"),
        (["logs", "team/Greet_All"], "'team/Greet_All' names no workflow"),
    ],
)
def test_a_name_that_nothing_has_is_not_asked_for(
    server: Server, argosy: Run, workflow: Path, words: list[str], said: str
) -> None:
    Path("dots.yaml").write_text(workflow.read_text().replace("name: greet", 'name: ".."', 1))
    elsewhere = workflow.read_text().replace("name: greet", "name: greet\n  namespace: ../x", 1)
    Path("elsewhere.yaml").write_text(elsewhere)
    assert said in last_line(argosy(*words), 2)
    assert not server.requests


def test_an_unknown_context(server: Server, argosy: Run, workflow: Path) -> None:
    line = last_line(argosy("submit", workflow, "--context", "dve"), 2)
    assert "has no context 'dve'; did you mean 'dev'?" in line
    assert not server.requests


def test_unreachable(argosy: Run, workflow: Path, tmp_path: Path) -> None:
    with serving() as state:
        url = state.url
    path = write_kubeconfig(tmp_path / "k", url)
    line = last_line(argosy("submit", workflow, "--kubeconfig", path), 1)
    assert f"the Kubernetes API at {url} cannot be reached" in line and "refused" in line


def test_an_unknown_host(argosy: Run, workflow: Path, tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "k", "http://nowhere.invalid:6443")
    line = last_line(argosy("submit", workflow, "--kubeconfig", path), 1)
    assert "the Kubernetes API at http://nowhere.invalid:6443 cannot be reached" in line


def test_a_certificate_of_a_stranger(argosy: Run, workflow: Path, tmp_path: Path, certificate: Path) -> None:
    with serving(certificate) as state:
        path = write_kubeconfig(tmp_path / "k", state.url)
        line = last_line(argosy("submit", workflow, "--kubeconfig", path), 1)
        assert "TLS failed" in line and "certificate" in line
        assert not state.requests


def test_not_authenticated(server: Server, argosy: Run, workflow: Path, tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "k", server.url, "an-old-token")
    line = last_line(argosy("submit", workflow, "--kubeconfig", path), 1)
    assert "does not accept the credentials (401)" in line and "an-old-token" not in line


def test_a_token_that_is_none(server: Server, argosy: Run, workflow: Path, tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "k", server.url, "secret\nX-Header: 1")
    line = last_line(argosy("submit", workflow, "--kubeconfig", path), 2)
    assert "characters that no token has" in line and "secret" not in line


def test_not_allowed(server: Server, argosy: Run, workflow: Path, tmp_path: Path) -> None:
    path = write_kubeconfig(tmp_path / "k", server.url, VIEWER)
    line = last_line(argosy("submit", workflow, "--kubeconfig", path), 1)
    assert "does not allow to create Workflow 'greet' in namespace 'team'" in line
    assert 'User "viewer" cannot create resource' in line


def test_argo_is_not_installed(server: Server, argosy: Run, workflow: Path) -> None:
    server.argo = False
    assert "is Argo Workflows installed there?" in last_line(argosy("submit", workflow), 1)


@pytest.mark.parametrize("kind", ["Workflow", "WorkflowTemplate"])
def test_no_such_namespace(server: Server, argosy: Run, kind: str) -> None:
    Path("t.yaml").write_text(programs.MANIFEST.format(kind=kind, name="name: greet"), encoding="utf-8")
    line = last_line(argosy("submit", "t.yaml", "-n", "gone"), 1)
    assert f"cannot create {kind} 'greet' in namespace 'gone'" in line and "no such namespace" in line


def test_refused_by_a_policy(server: Server, argosy: Run, workflow: Path) -> None:
    text = workflow.read_text(encoding="utf-8").replace(
        "name: greet", "name: greet\n  labels: {policy: broken}"
    )
    workflow.write_text(text, encoding="utf-8")
    line = last_line(argosy("submit", workflow), 1)
    assert "refuses to create Workflow 'greet' in namespace 'team': admission webhook \"policy" in line
    assert server.posts() == 1


@pytest.mark.parametrize("answer", [b"<html>welcome</html>", b"{}", b'{"metadata": {}}', b"[1]"])
@pytest.mark.parametrize("verb", ["submit", "get", "show", "logs", "stop", "resume", "retry"])
def test_an_answer_that_is_no_such_object(
    server: Server, argosy: Run, workflow: Path, verb: str, answer: bytes
) -> None:
    server.wrong_answer = answer
    target = workflow if verb == "submit" else "team/greet"
    assert "does not answer as an API does" in last_line(argosy(verb, target), 1)


def test_a_login_page(server: Server, argosy: Run, workflow: Path) -> None:
    server.faults = [302]
    assert "sends elsewhere (302)" in last_line(argosy("submit", workflow), 1)


def test_too_large(server: Server, argosy: Run, workflow: Path) -> None:
    text = workflow.read_text(encoding="utf-8").replace("hello", "x" * MAX_BYTES)
    workflow.write_text(text, encoding="utf-8")
    line = last_line(argosy("submit", workflow), 2)
    assert "has 1.50 MiB" in line and "templateRef" in line
    assert not server.requests


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("kind: Deployment\nspec: {a: 1}", "kind 'Deployment' cannot be submitted"),
        ("kind: Workflow\nmetadata: {name: a}", "has no 'spec'"),
        ("kind: Workflow\nspec: {entrypoint: a}", "has no metadata.name or metadata.generateName"),
        ("kind: WorkflowTemplate\nmetadata: {generateName: a-}\nspec: {entrypoint: a}", "no metadata.name"),
    ],
)
def test_what_no_cluster_would_take(server: Server, argosy: Run, content: str, message: str) -> None:
    Path("m.yaml").write_text(content, encoding="utf-8")
    assert message in last_line(argosy("submit", "m.yaml"), 2)
    assert not server.requests


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["greet.yaml", "-p", "wrod=x"], "unknown parameter 'wrod'; did you mean 'word'?"),
        (["flow_nightly.py"], "parameter 'epochs' has no value; give it with -p epochs=VALUE"),
        (["flow_nightly.py", "-p", "epochs=many"], "parameter 'epochs': 'many' is not a whole number"),
        (["flow_nightly.py", "-p", "epochs=1", "-p", "mode=odd"], "'mode': 'odd' is not one of"),
        (["flow_nightly.py", "-p", "epoch=1"], "unknown parameter 'epoch'; did you mean 'epochs'?"),
        (["flow_nightly.py", "--kind", "CronWorkflow"], "has no schedule"),
        (["greet.yaml", "--kind", "Workflow"], "--kind Workflow is for pipelines"),
        (["gone.yaml"], "cannot read 'gone.yaml'"),
        (["gone.py"], "there is no file 'gone.py'"),
        (["no-such-pipeline"], "unknown pipeline 'no-such-pipeline'"),
        (["greet.yaml", "--watch", "--dry-run"], "--dry-run submits nothing"),
    ],
)
def test_wrong_words(server: Server, argosy: Run, workflow: Path, words: list[str], message: str) -> None:
    Path("flow_nightly.py").write_text(programs.PIPELINE, encoding="utf-8")
    assert message in last_line(argosy("submit", *words), 2)
    assert not server.requests
