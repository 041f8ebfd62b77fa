"""What is told of the parameters on one machine."""

from typing import Any

import pytest

from argosy.local.stacks import Binding, bind_locally


class Servers:
    """A stack by its addresses alone."""

    def parameters(self) -> dict[str, str]:
        return {"mlflow-tracking-uri": "http://127.0.0.1:5000", "s3-bucket": "models"}


def told(given: dict[str, str]) -> list[str]:
    stack: Any = Servers()
    return Binding(given, {"epochs": "3"}, ("mlflow-tracking-uri",)).told(stack)


def test_a_value_of_the_users_is_told_as_theirs() -> None:
    assert told({}) == ["epochs = 3", "mlflow-tracking-uri = http://127.0.0.1:5000"]
    assert told({"epochs": "1"}) == ["epochs = 1 (as given)", "mlflow-tracking-uri = http://127.0.0.1:5000"]


def test_a_users_value_is_one_short_line_without_its_password() -> None:
    assert told({"uri": "http://me:secret@host/x"})[-1] == "uri = http://***@host/x (as given)"
    assert told({"text": "a\nb"})[-1] == "text = 'a\\nb' (as given)"
    assert len(told({"text": "x" * 5000})[-1]) < 300


@pytest.mark.parametrize("level", [lambda spec: spec, lambda spec: {"schedules": [], "workflowSpec": spec}])
def test_a_cron_workflow_is_pointed_at_the_stack_as_a_workflow_is(level: Any) -> None:
    spec = {"arguments": {"parameters": [{"name": "s3-bucket", "value": "b"}, {"name": "other"}]}}
    assert bind_locally({"spec": level(spec)}, {}).from_stack == ("s3-bucket",)
    assert bind_locally({"spec": level(spec)}, {"s3-bucket": "mine"}).from_stack == ()
