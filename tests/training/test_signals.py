"""Signals: the first asks, the second does not."""

import signal
import threading
from pathlib import Path

import pytest

from syntony.training.signals import TrainingInterrupted, handle_signals


def test_the_first_asks_and_the_second_quits():
    before = signal.getsignal(signal.SIGINT)
    with handle_signals() as request:
        assert not request
        signal.raise_signal(signal.SIGTERM)
        assert request
        assert request.signum == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_threads_hear_nothing():
    before = signal.getsignal(signal.SIGINT)
    heard = []

    def listen() -> None:
        with handle_signals() as request:
            heard.append((bool(request), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert heard == [(False, before)]


def test_an_interruption_is_a_keyboard_interrupt_that_says_how_to_go_on():
    stop = TrainingInterrupted(Path("runs/x"), signal.SIGINT)
    assert isinstance(stop, KeyboardInterrupt)
    assert str(stop) == "stopped and saved; go on with: syntony resume runs/x"
