"""Signals: at once outside of the loop, between two steps within it."""

import contextlib
import os
import signal
import threading

import pytest

from argosy.components.training.checkpoints.interruption import Interrupted, Interruption, interruption


def _send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_outside_of_the_loop_it_ends_at_once(number: int, code: int) -> None:
    words = f"interrupted by {signal.Signals(number).name}"
    with pytest.raises(Interrupted, match=words) as caught, interruption():
        _send(number)
        pytest.fail("the signal was ignored")
    assert caught.value.exit_code == code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_within_the_loop_it_waits_to_be_asked_for(number: int) -> None:
    steps = 0
    with pytest.raises(Interrupted), interruption() as signals, signals.held():
        signals.check()
        _send(number)
        steps += 1  # the step that is under way comes to its end
        signals.check()
        steps += 1
    assert steps == 1


def test_what_was_not_asked_for_is_raised_at_the_end_of_the_loop() -> None:
    with interruption() as signals, pytest.raises(Interrupted), signals.held():
        _send(signal.SIGTERM)


def test_an_error_of_the_loop_comes_before_the_signal() -> None:
    with interruption() as signals, pytest.raises(ValueError, match="the error"), signals.held():
        _send(signal.SIGTERM)
        raise ValueError("the error")


def test_a_signal_that_a_library_swallows_is_not_lost() -> None:
    with interruption() as signals:
        with contextlib.suppress(Exception):
            _send(signal.SIGTERM)
        with pytest.raises(Interrupted):
            signals.check()


def test_a_second_interrupt_is_heeded_at_once_and_a_second_sigterm_is_none() -> None:
    with interruption() as signals, pytest.raises(KeyboardInterrupt), signals.held():
        _send(signal.SIGTERM)
        _send(signal.SIGTERM)
        _send(signal.SIGINT)
        pytest.fail("the second signal was ignored")


def test_the_handlers_of_before_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with interruption():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_in_another_thread_signals_stay_with_the_main_one() -> None:
    seen: list[Interruption] = []

    def work() -> None:
        with interruption() as signals:
            signals.check()
            seen.append(signals)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(seen) == 1
