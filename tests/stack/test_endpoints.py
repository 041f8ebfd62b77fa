"""Endpoints refuse what no client could use, and never show the secret by accident."""

import pytest

from argosy.stack import Endpoints, S3Endpoint, TritonEndpoint

S3 = S3Endpoint("http://127.0.0.1:8333", "bucket", "key", "secret")
TRITON = TritonEndpoint("http://127.0.0.1:8000", "127.0.0.1:8001")


def test_the_dictionary_is_the_json_contract():
    assert Endpoints("http://127.0.0.1:5000", S3, TRITON).to_dict() == {
        "mlflow": "http://127.0.0.1:5000",
        "s3": {
            "endpoint": "http://127.0.0.1:8333",
            "bucket": "bucket",
            "access_key": "key",
            "secret_key": "secret",
        },
        "triton": {"http": "http://127.0.0.1:8000", "grpc": "127.0.0.1:8001"},
    }


def test_the_secret_is_not_in_the_repr():
    assert "secret" not in repr(Endpoints("http://127.0.0.1:5000", S3, TRITON))


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:5000", "https://127.0.0.1:5000", "http://127.0.0.1", "http://h:1/x"]
)
def test_a_url_has_scheme_host_and_port_alone(url: str):
    with pytest.raises(ValueError, match="not of the form http://HOST:PORT"):
        Endpoints(url, S3, TRITON)


@pytest.mark.parametrize("address", ["", "127.0.0.1", "http://127.0.0.1:8001", "127.0.0.1:", ":8001"])
def test_a_grpc_address_is_host_and_port(address: str):
    with pytest.raises(ValueError, match="not of the form HOST:PORT"):
        TritonEndpoint("http://127.0.0.1:8000", address)


@pytest.mark.parametrize("field", ["bucket", "access_key", "secret_key"])
def test_nothing_of_s3_may_be_empty(field: str):
    values = {"bucket": "b", "access_key": "a", "secret_key": "s", field: ""}
    with pytest.raises(ValueError, match=field):
        S3Endpoint("http://127.0.0.1:8333", **values)
