"""Ports: the same as before where possible, otherwise free ones, never one twice."""

import socket
import threading
from collections.abc import Iterator

import pytest

from argosy.errors import StackError
from argosy.stack import process


@pytest.fixture
def busy() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server((process.HOST, 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_is_listened_on_is_not_free(busy: int):
    assert not process.is_free_port(busy)


def test_a_port_of_the_last_time_is_kept_while_it_is_free():
    first = process.choose_ports(["a", "b"], {})
    assert process.choose_ports(["a", "b", "c"], first).items() >= first.items()


def test_a_port_of_the_last_time_that_is_taken_is_replaced(busy: int):
    assert process.choose_ports(["a"], {"a": busy})["a"] != busy


def test_a_port_promised_to_another_is_not_given_out():
    before = process.choose_ports(["a"], {})
    assert process.choose_ports(["b"], {"b": before["a"]}, taken=before.values())["b"] != before["a"]


def test_names_never_share_a_port():
    one = process.choose_ports(["a"], {})["a"]
    chosen = process.choose_ports(["a", "b"], {"a": one, "b": one})
    assert chosen["a"] == one != chosen["b"]


def test_both_ports_of_a_pair_are_free():
    one = process.choose_ports(["a"], {}, paired=["a"])["a"]
    with socket.create_server((process.HOST, one + process.PAIR_DISTANCE)):
        assert process.choose_ports(["a"], {"a": one}, paired=["a"])["a"] != one


def test_running_out_of_ports_is_one_clear_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(process, "is_free_port", lambda port: False)
    with pytest.raises(StackError, match="no free port for 'a' between"):
        process.choose_ports(["a"], {})


def test_a_port_is_waited_for_until_it_is_let_go():
    with socket.socket() as listening:
        listening.bind((process.HOST, 0))
        listening.listen()
        port = listening.getsockname()[1]
        process.let_go([port], within=0.1)
        assert not process.is_free_port(port)
        closing = threading.Timer(0.2, listening.close)
        closing.start()
        process.let_go([port], within=30.0)
        assert process.is_free_port(port)
        closing.join()
