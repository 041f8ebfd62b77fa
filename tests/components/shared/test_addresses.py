"""Which addresses are taken, and what a message shows of one."""

import pytest

from argosy.components.shared.addresses import check_host_port, check_http, check_mlflow, redacted
from argosy.errors import UsageError


@pytest.mark.parametrize(
    "value", ["http://h:1", "https://h/path", "http://127.0.0.1:80", "http://[::1]:8000", "http://a.b-c:1/x/"]
)
def test_http(value: str) -> None:
    assert check_http("url", value, "http://H:1") == value.rstrip("/")
    assert check_mlflow("uri", value) == value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "h:1",
        "ftp://h",
        "http://",
        "http://h x",
        "http://[::1",
        "http://h:port",
        "http://h:99999999",
        "http://h\n",
        "http://h\r\nHost: y",
        "http://h/\0",
        "http://ünï",
        "http://h/" + "x" * 2000,
        "file:///x",
        "javascript:alert(1)",
        "../x",
        "{{workflow.uid}}",
        "$(id)",
    ],
)
def test_no_http(value: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_http("url", value, "http://H:1")
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="is no MLflow server's address"):
        check_mlflow("uri", value)


@pytest.mark.parametrize(
    "value", ["http://h?q=1", "http://h#f", "http://u:hunter2@h", "http://u:hunter2@h?q"]
)
def test_more_than_an_address(value: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_http("url", value, "http://H:1")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["sqlite:///mlflow.db", "postgresql+psycopg2://u:p@h/db", "databricks", "databricks://profile"]
)
def test_other_places_of_mlflow(value: str) -> None:
    assert check_mlflow("uri", value) == value


@pytest.mark.parametrize("value", ["h", "h:", ":1", "h:123456", "h:x", "http://h:1", "h:1\n", "u:p@h:1"])
def test_no_host_and_port(value: str) -> None:
    with pytest.raises(UsageError, match="HOST:1"):
        check_host_port("url", value, "HOST:1")


def test_host_and_port() -> None:
    assert check_host_port("url", "triton.ml:8001", "HOST:1") == "triton.ml:8001"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://h:1/p", "http://h:1/p"),
        ("http://u:p@h:1/p", "http://***@h:1/p"),
        ("http://u:p@[::1", "http://***@[::1"),
        ("sqlite:////a@b", "sqlite:////a@b"),
        ("u:p@h:1", "***@h:1"),
        ("h:1", "h:1"),
    ],
)
def test_redacted(address: str, shown: str) -> None:
    assert redacted(address) == shown
