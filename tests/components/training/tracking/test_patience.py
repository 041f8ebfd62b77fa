"""What is repeated, how long, and what is not."""

import pytest
import requests
from mlflow.exceptions import MlflowException, RestException

from argosy.components.training.tracking.metrics import PATIENCE, is_transient, patiently

GONE = MlflowException("API request to http://host/api failed with exception HTTPConnectionPool(...)")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between attempts take no time."""
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda seconds: None)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (GONE, True),
        (requests.ConnectionError("gone"), True),
        (RestException({"error_code": "INVALID_PARAMETER_VALUE", "message": "no"}), False),
        (MlflowException("the signature does not fit"), False),
        (ValueError("API request to"), False),
    ],
)
def test_transient(error: Exception, expected: bool) -> None:
    assert is_transient(error) == expected


def test_a_server_that_comes_back_costs_nothing() -> None:
    troubles = [GONE, requests.Timeout(), GONE]

    def call() -> str:
        if troubles:
            raise troubles.pop()
        return "answer"

    assert patiently(call) == "answer"


def test_a_wrong_request_is_made_once() -> None:
    calls: list[int] = []

    def call() -> None:
        calls.append(1)
        raise MlflowException("no such thing")

    with pytest.raises(MlflowException, match="no such thing"):
        patiently(call)
    assert len(calls) == 1


def test_patience_ends_with_the_last_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATIENCE, "0.05")

    def call() -> None:
        raise GONE

    with pytest.raises(MlflowException) as caught:
        patiently(call)
    assert caught.value is GONE
