"""A cluster to submit to, as a kubeconfig on disk; and the two command lines."""

import datetime
import importlib
import ipaddress
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from argosy.cli import couler as couler_cli
from argosy.cli.main import COMMANDS, main
from argosy.cluster import failures
from tests.cluster.server import TOKEN, Server, serving

REAL = "ARGOSY_TEST_KUBECONFIG"
Run = Callable[..., Result]


@dataclass(frozen=True)
class Cluster:
    """A kubeconfig, and a namespace that its current context names."""

    kubeconfig: Path
    namespace: str


def write_kubeconfig(path: Path, url: str, token: str = TOKEN, **cluster: Any) -> Path:
    """A kubeconfig of two contexts: `dev`, the current one, in the namespace `team`; `bare` without one."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "dev",
        "clusters": [{"name": "here", "cluster": {"server": url, **cluster}}],
        "users": [{"name": "me", "user": {"token": token}}],
        "contexts": [
            {"name": "dev", "context": {"cluster": "here", "user": "me", "namespace": "team"}},
            {"name": "bare", "context": {"cluster": "here", "user": "me"}},
        ],
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of ours; $KUBECONFIG leads to it."""
    with serving() as state:
        monkeypatch.setenv("KUBECONFIG", str(write_kubeconfig(tmp_path / "kubeconfig", state.url)))
        yield state


@pytest.fixture
def cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The cluster of $ARGOSY_TEST_KUBECONFIG, where there is one, else a server of ours."""
    if REAL in os.environ:
        path = Path(os.environ[REAL])
        monkeypatch.setenv("KUBECONFIG", str(path))
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        contexts = {c["name"]: c["context"] for c in content["contexts"]}
        return Cluster(path, contexts[content["current-context"]].get("namespace", "default"))
    request.getfixturevalue("server")
    return Cluster(Path(os.environ["KUBECONFIG"]), "team")


@pytest.fixture(autouse=True)
def own_modules(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Files that a test loads are modules of that test."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    importlib.invalidate_caches()
    yield
    for name in set(sys.modules) - before:
        if "." not in name and name.startswith("flow_"):
            del sys.modules[name]


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No kubeconfig or token of whoever runs the tests; short waits."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("KUBECONFIG", "ARGO_TOKEN", "KUBERNETES_SERVICE_HOST", "ARGOSY_SETTINGS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    quick = failures.Patience(attempts=4, first=0.001, longest=0.01)
    monkeypatch.setattr("argosy.cluster.delivery.PATIENCE", quick)
    monkeypatch.setattr("argosy.cluster.follow.FOLLOWING", quick)


@pytest.fixture
def argosy(monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command `argosy`."""
    monkeypatch.setitem(COMMANDS, "submit", ("argosy.cli.submit", "submit"))
    return lambda *words: CliRunner().invoke(main, [str(w) for w in words])


@pytest.fixture
def couler() -> Run:
    """The command `couler`."""
    return lambda *words: CliRunner().invoke(couler_cli.main, [str(w) for w in words])


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that nobody but itself signed, with its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.timezone.utc)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + signed.public_bytes(serialization.Encoding.PEM))
    return path
