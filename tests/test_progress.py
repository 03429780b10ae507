import threading

import pytest

from sinr_codec.progress import NullProgress, Steps, Together


class Display:
    def __init__(self):
        self.seen = []

    def start(self, label, total):
        self.seen.append(("start", label, total))

    def update(self, done, text=""):
        self.seen.append((done, text))


def test_steps_are_one_task_with_its_quality():
    display = Display()
    steps = Steps(display, "fit", lambda loss: None if loss > 1 else -10 * loss)
    assert display.seen == []  # a fit that makes no step is no task
    steps(1, 20, 2.0)
    steps(2, 20, 0.5)
    assert display.seen == [("start", "fit", 20), (1, ""), (2, "-5.00 dB")]


def test_fits_side_by_side_add_up():
    display = Display()
    together = Together(display, "fit", 3, lambda: False)
    first, second = together.steps(0), together.steps(2)
    first(5, 10, 0.1)
    second(10, 10, 0.1)
    first(10, 10, 0.1)
    assert display.seen == [("start", "fit", 3), (0.5, "0 of 3"), (1.5, "1 of 3"), (2.0, "2 of 3")]


def test_threads_may_report_at_once():
    display = Display()
    together = Together(display, "fit", 4, lambda: False)

    def fit(number):
        for step in range(1, 101):
            together.steps(number)(step, 100, 0.0)

    threads = [threading.Thread(target=fit, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(display.seen) == 401
    assert display.seen[-1] == (4.0, "4 of 4")


def test_a_stop_reaches_every_fit():
    together = Together(NullProgress(), "fit", 2, lambda: True)
    for number in range(2):
        with pytest.raises(KeyboardInterrupt):
            together.steps(number)(1, 10, 0.0)
