import io
import threading

import pytest

from sinr_codec import progress
from sinr_codec.progress import Lines, NullProgress, Steps, Together, displayed, say, with_display


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


def test_lines_are_occasional_and_tell_the_time_that_is_left(capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines = Lines()
    lines.start("fit", 4.0)
    for done in (0.5, 1.0, 2.0):
        now[0] += 6
        lines.update(done, "30 dB")
    now[0] += 1200
    lines.update(3.0)
    lines.start("code", 0)
    now[0] += 11
    lines.update(3, "3 networks tried")
    shown = ["fit ...", "fit 25% 30 dB, about 36 s left", "fit 75% about 7 min left"]
    assert capsys.readouterr().err.splitlines() == [*shown, "code ...", "code 3 networks tried"]


def test_true_is_the_usual_display_and_none_shows_nothing(capsys):
    @with_display
    def work(progress=None):
        progress.start("fit", 2)
        progress.update(1)
        say(progress, "half")
        return progress

    assert isinstance(work(progress=True), Lines)
    assert capsys.readouterr().err == "fit ...\nhalf\n"
    for nothing in (None, False):
        assert isinstance(work(progress=nothing), NullProgress)
    assert capsys.readouterr().err == ""
    display = Display()
    assert work(progress=display) is display  # which has no lines
    assert len(display.seen) == 2


def test_a_bar_on_a_terminal(monkeypatch):
    pytest.importorskip("rich")
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", terminal)
    with displayed(True) as bar:
        bar.start("fit [1/2]", 2)
        bar.update(1, "30 dB")
        bar.start("code", 0)
        bar.say("photo.png: [a picture]")
    assert "photo.png: [a picture]" in terminal.getvalue()


def test_steps_acknowledge_ctrl_c(capsys):
    Steps(Lines(), "fit", lambda loss: None).stopping()
    assert capsys.readouterr().err == "stopping, and writing what is there; Ctrl-C again gives up\n"
