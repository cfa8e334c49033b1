"""Signals: the first requests a stop, the second stops at once."""

import signal
import threading
from pathlib import Path

import pytest

from syntony.training.signals import TrainingInterrupted, handle_signals


def test_the_first_signal_requests_and_the_second_interrupts():
    before = signal.getsignal(signal.SIGINT)
    with handle_signals() as request:
        assert not request
        signal.raise_signal(signal.SIGTERM)
        assert request
        assert request.signum == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_install_no_handler():
    before = signal.getsignal(signal.SIGINT)
    observed = []

    def observe() -> None:
        with handle_signals() as request:
            observed.append((bool(request), signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=observe)
    thread.start()
    thread.join()
    assert observed == [(False, before)]


def test_an_interruption_names_the_command_to_resume():
    interrupt = TrainingInterrupted(Path("runs/x"), signal.SIGINT)
    assert isinstance(interrupt, KeyboardInterrupt)
    assert str(interrupt) == "stopped and saved; go on with: syntony resume runs/x"
