"""Budget, reports, interruption and checkpoints of a run, with a clock that only moves when it is told to."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import pytest

pytest.importorskip("torch")

from sinr_codec.errors import InputError
from sinr_codec.fit.run import Run


@dataclass
class Limits:
    max_steps: int | None = None
    seconds: float | None = None
    least_steps: int = 0
    checkpoint: Path | None = None
    checkpoint_seconds: float = 60.0


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Counting:
    """Training that adds up the numbers of its steps; a step takes a second."""

    def __init__(self, limits, listener=None, name="counting"):
        self.clock, self.name, self.sum = Clock(), name, 0
        self.run = Run(limits, self, listener, self.clock)

    def identity(self):
        return self.name

    def state_dict(self):
        return {"step": self.run.step, "before": self.run.elapsed, "sum": self.sum}

    def load_state_dict(self, state):
        self.run.step, self.run.before, self.sum = state["step"], state["before"], state["sum"]

    def loop(self):
        for _ in self.run:
            self.clock.now += 1
            self.sum += self.run.step
            self.run.advance()
            self.run.report(float(self.sum))

    def result(self, keep=False):
        self.run.resume()
        with self.run:
            self.run.complete(self.loop)
        self.run.finish(keep)
        return self.sum


class TestBudget:
    @pytest.mark.parametrize(
        ("limits", "steps"),
        [
            (Limits(max_steps=5), 5),
            (Limits(seconds=7.0), 7),
            (Limits(max_steps=5, seconds=7.0), 5),
            (Limits(max_steps=9, seconds=7.0), 7),
            (Limits(max_steps=0), 0),
            (Limits(seconds=0.001, least_steps=5), 5),
            (Limits(seconds=7.0, least_steps=5), 7),
            (Limits(max_steps=3, seconds=0.001, least_steps=5), 3),
        ],
    )
    def test_ends_with_whichever_budget_is_spent_first(self, limits, steps):
        training = Counting(limits)
        training.result()
        assert training.run.step == steps
        assert training.run.elapsed == steps

    def test_shares_are_those_before_each_step(self):
        run = Counting(Limits(max_steps=4)).run
        shares = []
        for share in run:
            shares.append(share)
            run.advance()
        assert shares == [0, 0.25, 0.5, 0.75]

    def test_the_schedule_spans_the_seconds_between_origin_and_reserve(self):
        training = Counting(Limits(seconds=10.0))
        run, clock, shares = training.run, training.clock, []
        clock.now += 50  # imports and compilation, which the budget does not count
        run.reserve = 4.0
        for share in run:
            shares.append(share)
            clock.now += 1
            if run.step == 0:
                clock.now += 20  # a first step that allocates
                run.exclude(20.0)
            run.advance()
        assert shares == [number / 6 for number in range(6)]
        assert run.elapsed == 76

    def test_the_schedule_of_a_starved_run_goes_by_steps(self):
        run = Counting(Limits(seconds=0.001, least_steps=4)).run
        shares = []
        for share in run:
            shares.append(share)
            run.clock.now += 1
            run.advance()
        assert shares == [0, 0.25, 0.5, 0.75]

    def test_nothing_is_left_where_the_reserve_takes_it_all(self):
        run = Counting(Limits(seconds=3.0)).run
        run.reserve = 3.0
        assert run.share == 1
        assert list(run) == []


class TestReport:
    def test_tells_step_total_and_loss(self):
        calls = []
        Counting(Limits(max_steps=3), lambda *call: calls.append(call)).result()
        assert calls == [(1, 3, 0.0), (2, 3, 1.0), (3, 3, 3.0)]

    def test_the_total_of_seconds_is_an_estimate(self):
        totals = []
        Counting(Limits(seconds=4.0), lambda step, total, loss: totals.append(total)).result()
        assert totals == [4, 4, 4, 4]


def stop(at):
    def listener(step, total, loss):
        if step == at:
            raise KeyboardInterrupt

    return listener


class TestInterruption:
    def test_a_listener_stops_the_run_between_two_steps(self):
        training = Counting(Limits(max_steps=9), stop(4))
        assert training.result() == 0 + 1 + 2 + 3
        assert training.run.interrupted

    @pytest.mark.parametrize("presses", [1, 2])
    def test_the_first_ctrl_c_ends_after_the_step_and_a_second_one_gives_up(self, presses):
        before, acknowledged = signal.getsignal(signal.SIGINT), []

        class Listener:
            def __call__(self, step, total, loss):
                pass

            def stopping(self):
                acknowledged.append(training.sum)

        training = Counting(Limits(max_steps=9), Listener())

        class Pressed(Clock):
            """Ctrl-C in the midst of the third step, when the clock moves."""

            def __setattr__(self, name, value):
                super().__setattr__(name, value)
                if training.run.step == 2:
                    for _ in range(presses):
                        os.kill(os.getpid(), signal.SIGINT)

        training.clock = training.run.clock = Pressed()
        if presses == 1:
            assert training.result() == 0 + 1 + 2
        else:
            with pytest.raises(KeyboardInterrupt):
                training.result()
        assert training.run.interrupted
        assert acknowledged == [0 + 1]  # at once, before the step is done
        assert signal.getsignal(signal.SIGINT) is before


class TestCheckpoints:
    def test_resumed_is_as_uninterrupted(self, tmp_path):
        limits = Limits(max_steps=9, checkpoint=tmp_path / "run.safetensors")
        first = Counting(limits, stop(4))
        first.result()
        second = Counting(limits)
        assert second.result() == Counting(Limits(max_steps=9)).result()
        assert second.run.elapsed == 9  # those of the first four steps included
        assert not list(tmp_path.iterdir())

    def test_are_written_as_seconds_go_by(self, tmp_path):
        path = tmp_path / "run.safetensors"
        there = []
        limits = Limits(max_steps=9, checkpoint=path, checkpoint_seconds=2.0)
        Counting(limits, lambda step, total, loss: there.append(path.exists())).result()
        assert there == [False] * 3 + [True] * 6  # after three seconds, which are more than two
        assert not path.exists()

    def test_are_kept_where_asked_for(self, tmp_path):
        limits = Limits(max_steps=9, checkpoint=tmp_path / "run.safetensors")
        whole = Counting(limits).result(keep=True)
        assert limits.checkpoint.exists()
        again = Counting(limits, lambda *call: pytest.fail("made a step"))
        assert again.result(keep=True) == whole

    def test_that_of_another_run_is_refused(self, tmp_path):
        limits = Limits(max_steps=9, checkpoint=tmp_path / "run.safetensors")
        Counting(limits, stop(4)).result()
        with pytest.raises(InputError, match="another fit"):
            Counting(limits, name="other").result()
