"""Submission through Argo Server's REST API."""

from pathlib import Path

import pytest

from tests.cluster import programs
from tests.cluster.conftest import Run, write_kubeconfig
from tests.cluster.server import TOKEN, Server, serving


@pytest.fixture
def greet() -> Path:
    path = Path("greet.yaml")
    path.write_text(programs.MANIFEST.format(kind="Workflow", name="name: greet"), encoding="utf-8")
    return path


@pytest.fixture
def argo(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server, and no kubeconfig that leads to it."""
    monkeypatch.delenv("KUBECONFIG")
    return server


@pytest.mark.parametrize("prefix", ["", "Bearer "])
def test_with_the_token_of_the_environment(
    argo: Server, argosy: Run, greet: Path, monkeypatch: pytest.MonkeyPatch, prefix: str
) -> None:
    monkeypatch.setenv("ARGO_TOKEN", prefix + TOKEN)
    result = argosy("submit", greet, "--server", argo.url)
    assert result.stdout == "Workflow 'greet' created in namespace 'default'\n", result.output
    assert argo.requests == [("POST", "/api/v1/workflows/default")]
    assert TOKEN not in result.output


def test_with_a_token_file_and_the_namespace_of_a_kubeconfig(
    argo: Server, argosy: Run, greet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("token").write_text(TOKEN + "\n", encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(Path("k"), "https://elsewhere")))
    result = argosy("submit", greet, "--server", argo.url, "--token-file", "token")
    assert result.stdout == "Workflow 'greet' created in namespace 'team'\n", result.output


@pytest.mark.parametrize("kind", ["WorkflowTemplate", "CronWorkflow"])
def test_other_kinds(argo: Server, argosy: Run, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("ARGO_TOKEN", TOKEN)
    text = (
        programs.CRON if kind == "CronWorkflow" else programs.MANIFEST.format(kind=kind, name="name: greet")
    )
    Path("t.yaml").write_text(text, encoding="utf-8")
    for verb in ("created", "updated"):
        result = argosy("submit", "t.yaml", "--server", argo.url, "-n", "team")
        assert result.stdout == f"{kind} 'greet' {verb} in namespace 'team'\n", result.output


def test_over_tls(argosy: Run, greet: Path, monkeypatch: pytest.MonkeyPatch, certificate: Path) -> None:
    monkeypatch.setenv("ARGO_TOKEN", TOKEN)
    with serving(certificate) as state:
        refused = argosy("submit", greet, "--server", state.url)
        assert refused.exit_code == 1 and "TLS failed" in refused.stderr
        assert argosy("submit", greet, "--server", state.url, "--ca-file", certificate).exit_code == 0
        trusted = argosy("submit", greet, "--server", state.url, "--insecure-skip-tls-verify", "-n", "team")
        assert trusted.exit_code == 0, trusted.output


def test_a_lost_answer_makes_one_workflow(
    argo: Server, argosy: Run, greet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARGO_TOKEN", TOKEN)
    argo.faults = ["lose"]
    assert argosy("submit", greet, "--server", argo.url).exit_code == 0
    assert len(argo.store.objects) == 1


def test_secrets_need_the_kubernetes_api(argo: Server) -> None:
    from argosy.cluster import Destination, deliver
    from argosy.errors import UsageError

    api, namespace = Destination(server=argo.url).connect({})
    with pytest.raises(UsageError, match="cannot be made through Argo Server"):
        deliver(api, namespace, programs.SMALLEST, [{"metadata": {"name": "s"}, "data": {}}])
    assert not argo.requests


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--server", "{url}"], 1, "Argo Server at {url} does not accept the credentials (401)"),
        (["--server", "{url}", "--token-file", "gone"], 2, "cannot read the token in 'gone'"),
        (["--server", "{url}", "--token-file", "empty"], 2, "the token file 'empty' is empty"),
        (["--server", "{url}", "--token-file", "binary"], 2, "'binary' holds no token"),
        (["--server", "{url}", "--token-file", "lines"], 2, "characters that no token has"),
        (["--server", "{url}", "--token-file", "viewer"], 1, "does not allow to create Workflow 'greet'"),
        (["--server", "{url}", "--token-file", "good", "-n", "gone"], 1, "no such namespace"),
        (["--server", "{url}", "--ca-file", "gone"], 2, "no file 'gone' of certificate authorities"),
        (["--server", "localhost:2746"], 2, "no address of an Argo Server; write https://localhost:2746"),
        (
            ["--server", "nonsense"],
            2,
            "--server 'nonsense' is no address of an Argo Server; write https://HOST",
        ),
        (["--server", "http://"], 2, "--server 'http://' is no address of an Argo Server"),
        (["--server", "https://host:99999"], 2, "--server 'https://host:99999' is no address"),
        (["--server", "user:hidden@host:1"], 2, "--server 'host:1' is no address of an Argo Server"),
        (
            ["--server", "https://user:hidden@host"],
            2,
            "takes a token: write https://host, and give the token",
        ),
        (["--server", "https://user:hidden#x@host"], 2, "--server 'https://host' is no address"),
        (["--server", "http://127.0.0.1:1"], 1, "Argo Server at http://127.0.0.1:1 cannot be reached"),
    ],
)
def test_what_is_wrong_is_one_line(
    argo: Server, argosy: Run, greet: Path, words: list[str], code: int, message: str
) -> None:
    for name, content in {
        "empty": b"\n",
        "binary": b"\xff\xfe",
        "lines": b"a\nsecret",
        "viewer": b"token-of-a-viewer",
        "good": TOKEN.encode(),
    }.items():
        Path(name).write_bytes(content)
    result = argosy("submit", greet, *[w.format(url=argo.url) for w in words])
    assert result.exit_code == code, result.output
    assert message.format(url=argo.url) in result.stderr.splitlines()[-1]
    assert "secret" not in result.output and "hidden" not in result.output
