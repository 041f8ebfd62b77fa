"""Which servers an address, a list of them, or a name stands for."""

import socket
from typing import Any

import pytest

from argosy.components.shared.triton import connect_all
from argosy.errors import UsageError

ADDRESSES = {
    "one": ["10.0.0.7"],
    "three": ["10.0.0.9", "10.0.0.7", "10.0.0.8", "10.0.0.7"],
    "six": ["fd00::2", "fd00::1"],
    "both": ["10.0.0.7", "fd00::1"],
    "none": [],
}


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names above, as a name server would tell them."""

    def resolve(host: str, port: int, family: int, kind: int) -> list[Any]:
        wanted = ":" if family == socket.AF_INET6 else "."
        found = [number for number in ADDRESSES.get(host, [host]) if wanted in number]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(family, kind, 6, "", (number, port)) for number in found]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.mark.parametrize(
    ("url", "grpc", "expected"),
    [
        ("http://one:8000/", "", [("http://one:8000", "")]),
        ("http://one", "other:8001", [("http://one", "other:8001")]),
        ("http://none:8000", "grpc://none:8001", [("http://none:8000", "none:8001")]),
        ("http://both:8000", "", [("http://both:8000", "")]),
        ("https://three", "", [("https://three", "")]),
        ("http://10.0.0.7:1", "", [("http://10.0.0.7:1", "")]),
        (
            "http://three:8000/path",
            "three:8001",
            [(f"http://10.0.0.{n}:8000/path", f"10.0.0.{n}:8001") for n in (7, 8, 9)],
        ),
        ("http://three", "", [(f"http://10.0.0.{n}", "") for n in (7, 8, 9)]),
        ("http://six:8000", "six:8001", [(f"http://[fd00::{n}]:8000", f"[fd00::{n}]:8001") for n in (1, 2)]),
        ("http://one:1, http://b:2", "one:3, b:4", [("http://one:1", "one:3"), ("http://b:2", "b:4")]),
        ("http://one:1,http://one:1", "", [("http://one:1", "")]),
        ("http://10.0.0.7,http://three", "", [(f"http://10.0.0.{n}", "") for n in (7, 8, 9)]),
    ],
)
def test_which_servers(url: str, grpc: str, expected: list[tuple[str, str]]) -> None:
    assert [(one.url, one.grpc_address) for one in connect_all(url, grpc)] == expected


@pytest.mark.parametrize(
    ("url", "grpc", "message"),
    [
        ("", "", "triton_url '' is no address"),
        ("http://a,,http://b", "", "triton_url '' is no address"),
        ("http://a http://b", "", "triton_url 'http://a http://b' is no address"),
        ("http://user:secret@a", "", r"triton_url 'http://\*\*\*@a' carries a password"),
        ("http://one", "http://one:8001", "triton_grpc_url 'http://one:8001' is no address"),
        ("http://one", ",", "triton_grpc_url '' is no address"),
        ("http://one", "one:1,one:2", "names 1 servers and triton_grpc_url 2"),
        ("http://one,http://b,http://c", "one:1", "names 3 servers and triton_grpc_url 1"),
        ("http://three", "one:8001", "stands for 3 servers, and triton_grpc_url 'one:8001' for others"),
        (",".join(f"http://h{n}" for n in range(201)), "", "stands for 201 servers, more than 200"),
    ],
)
def test_refused(url: str, grpc: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        connect_all(url, grpc)
