"""Ctrl-C during a fit: the first sets a flag, the second raises."""

import signal
import threading

import pytest

pytest.importorskip("torch")

from sinr_codec.fit.interrupt import Interrupt


def test_the_first_sets_a_flag_and_the_second_raises():
    told = []
    interrupt = Interrupt(lambda: told.append(True))
    with interrupt:
        signal.raise_signal(signal.SIGINT)
        assert interrupt.seen
        assert told == [True]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert told == [True]


def test_the_handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)

    def fail():
        with Interrupt():
            assert signal.getsignal(signal.SIGINT) is not before
            raise ValueError

    with pytest.raises(ValueError):
        fail()
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_leave_the_handler_alone():
    before, inside = signal.getsignal(signal.SIGINT), []

    def work():
        with Interrupt() as interrupt:
            inside.append(signal.getsignal(signal.SIGINT))
            inside.append(interrupt.seen)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert inside == [before, False]


def test_a_listener_that_raises_counts_as_a_ctrl_c():
    def listener(step, total, loss):
        heard.append((step, total, loss))
        raise KeyboardInterrupt

    heard, interrupt = [], Interrupt()
    interrupt.tell(listener, 3, 10, 0.5)
    assert heard == [(3, 10, 0.5)]
    assert interrupt.seen
