"""Signals: the first requests a stop, the second stops at once."""

import signal
import threading
import time
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


def test_a_closed_terminal_is_a_request_unless_it_is_ignored():
    with handle_signals() as request:
        signal.raise_signal(signal.SIGHUP)
        assert request.signum == signal.SIGHUP
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with handle_signals() as request:
            signal.raise_signal(signal.SIGHUP)
            assert not request, "as nohup has it"
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_wait_after_a_signal_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    """Also where the main thread is in a call that does not return."""
    monkeypatch.setattr("syntony.training.signals.TELL_AFTER_SECONDS", 0.01)
    with handle_signals():
        assert capfd.readouterr().err == ""
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0.3)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    err = capfd.readouterr().err
    assert err.startswith("syntony: stopping: waiting for the computation or the call")
    assert err.count("\n") == 1


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
