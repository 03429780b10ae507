import importlib
import logging
import os
import signal as os_signal
import sys
import threading

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import sinr_codec.fit  # noqa: E402
from sinr_codec.errors import InputError, MissingExtraError  # noqa: E402
from sinr_codec.fields import MLP, Gaussian, Sine, Wire  # noqa: E402
from sinr_codec.fit import DEFAULT_LR, Evaluator, FitConfig, checkpoint, compilation, evaluate, fit, loop  # noqa: E402
from sinr_codec.fit.optim import Stepper  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

FIELD = MLP(2, 1, 16, 1, Sine(10.0))


class Waves:
    """A smooth signal on a grid, with values in [-1, 1]."""

    in_features, out_features = 2, 1

    def __init__(self, side: int = 32, offset: float = 0.0, amplitude: float = 0.7) -> None:
        self.side, self.offset, self.amplitude = side, offset, amplitude

    def __len__(self):
        return self.side**2

    def batch(self, index):
        row, column = np.divmod(index, self.side)
        coords = (2 * np.stack([row, column], -1) + 1) / self.side - 1
        values = self.amplitude * np.sin(4 * coords[:, :1] + 2 * coords[:, 1:] ** 2) + self.offset
        return coords.astype(np.float32), values.astype(np.float32)

    def errors(self, predicted, values):
        return ((predicted - values) ** 2).mean(-1)

    def loss(self, predicted, values):
        return self.errors(predicted, values).mean()


class Noise(Waves):
    def batch(self, index):
        coords, _ = super().batch(index)
        return coords, np.random.default_rng(0).uniform(-1, 1, len(self)).astype(np.float32)[index, None]


def config(**changes):
    return FitConfig(**{"steps": 120, "batch": 128, "lr": 2e-3, "compile": False} | changes)


def same(a, b):
    return all(np.array_equal(a.params[name], b.params[name]) for name in a.params)


class TestFit:
    @pytest.mark.parametrize("optimizer", ["soap", "adam", "muon"])
    def test_fits(self, optimizer):
        result = fit(FIELD, Waves(), config(optimizer=optimizer, lr=None, steps=300))
        assert result.loss < 0.02 * 0.7**2 / 2
        assert result.steps == 300
        assert (result.interrupted, result.restarts, result.compiled) == (False, 0, False)
        assert not result.failed

    def test_a_rate_that_is_too_high_is_lowered(self, monkeypatch):
        hot = config(lr=0.05, steps=1000)
        cooled = fit(FIELD, Waves(), hot)
        monkeypatch.setattr(loop, "COOL_AT", ())
        assert cooled.loss < 0.3 * fit(FIELD, Waves(), hot).loss

    def test_rates_follow_the_activation_where_none_is_given(self):
        gaussian = MLP(2, 1, 16, 1, Gaussian(4.0))
        slow = fit(gaussian, Waves(), config(lr=DEFAULT_LR["soap"]))
        assert fit(gaussian, Waves(), config(lr=None)).loss < 0.8 * slow.loss

    @pytest.mark.parametrize("activation", [Gaussian(4.0), Wire(5.0, 5.0)])
    def test_fits_other_fields(self, activation):
        field = MLP(2, 1, 16, 1, activation)
        result = fit(field, Waves(), config(steps=200))
        assert result.loss < 0.1 * 0.7**2 / 2
        assert {name: value.dtype for name, value in result.params.items()} == field.dtypes()

    def test_result_is_what_evaluate_says(self):
        signal = Waves()
        result = fit(FIELD, signal, config())
        field_params = {name: value.shape for name, value in result.params.items()}
        assert field_params == FIELD.shapes()
        coords, values = signal.batch(np.arange(len(signal)))
        by_hand = np.mean((FIELD.apply(result.params, coords).astype(np.float64) - values) ** 2)
        assert evaluate(FIELD, result.params, signal) == pytest.approx(result.loss, rel=1e-5)
        assert by_hand == pytest.approx(result.loss, rel=1e-4)

    def test_same_seed_same_bits(self):
        first = fit(FIELD, Waves(), config())
        assert same(first, fit(FIELD, Waves(), config()))
        assert not same(first, fit(FIELD, Waves(), config(seed=1)))

    def test_starts_from_given_parameters(self):
        good = fit(FIELD, Waves(), config(steps=400))
        on = fit(FIELD, Waves(), config(steps=20, lr=1e-5), params=good.params)
        assert on.loss <= good.loss * 1.05

    def test_budget_in_seconds(self, clock):
        shorter, longer = (fit(FIELD, Waves(), config(steps=None, seconds=seconds)) for seconds in (0.3, 0.6))
        assert 0.29 < shorter.seconds < 0.32  # the first two steps do not count
        assert 0.58 < longer.seconds < 0.62
        assert 1.9 < longer.steps / shorter.steps < 2.1
        assert longer.loss < 0.1

    def test_of_two_budgets_the_first_that_is_spent_counts(self, clock):
        assert fit(FIELD, Waves(), config(steps=20, seconds=0.6)).steps == 20
        assert fit(FIELD, Waves(), config(steps=1000, seconds=0.3)).steps < 110

    def test_some_steps_run_whatever_the_clock_says(self, clock):
        starved = fit(FIELD, Waves(), config(steps=None, seconds=1e-9, least_steps=30))
        assert starved.steps == 30
        assert starved.loss < 0.9 * fit(FIELD, Waves(), config(steps=1)).loss

    def test_time_is_left_for_the_last_evaluation(self, clock):
        class Slow(Waves):
            """An evaluation takes as long as the steps that it is expected to take."""

            def loss(self, predicted, values):
                clock.now += 0 if predicted.requires_grad else 1e-3 * len(predicted) / 128
                return super().loss(predicted, values)

        # 0.025 seconds pass before the budget begins, in the loss of the mean and in the first steps
        assert 0.9 < fit(FIELD, Slow(), config(steps=None, seconds=1.0)).seconds < 1.03

    def test_the_schedule_starts_after_the_compilation(self, monkeypatch, clock):
        def slow(function, key, *example):
            clock.now += 9.0  # more than the whole budget
            return function

        monkeypatch.setattr(compilation, "compiled", slow)
        rates = []
        original = Stepper.step
        monkeypatch.setattr(Stepper, "step", lambda self, factor: (rates.append(factor), original(self, factor)))
        compiled = fit(FIELD, Waves(), config(steps=None, seconds=1.5, compile=True))
        assert max(rates) > 0.9
        assert compiled.steps == fit(FIELD, Waves(), config(steps=None, seconds=1.5)).steps

    def test_a_slow_first_step_does_not_end_the_fit(self, clock):
        class Slow(Waves):
            asked = 0

            def loss(self, predicted, values):
                self.asked += predicted.requires_grad
                if self.asked == 1:
                    clock.now += 0.2
                return super().loss(predicted, values)

        assert fit(FIELD, Slow(), config(steps=None, seconds=0.5)).steps > 50

    def test_refreshes_a_field_before_every_step(self):
        seen = []

        class Kept:
            def __getattr__(self, name):
                return getattr(FIELD, name)

            def refresh(self, params, step):
                assert not torch.is_grad_enabled()
                assert {name: tuple(value.shape) for name, value in params.items()} == FIELD.shapes()
                seen.append(step)

        result = fit(Kept(), Waves(), config(steps=7))
        assert seen == list(range(7))
        assert same(result, fit(FIELD, Waves(), config(steps=7)))

    def test_batch_may_exceed_the_signal(self):
        assert fit(FIELD, Waves(4), config(batch=4096)).steps == 120

    def test_progress_reaches_the_end(self):
        calls = []
        fit(FIELD, Waves(), config(), progress=lambda *call: calls.append(call))
        steps = [step for step, _, _ in calls]
        assert steps == sorted(steps)
        assert calls[-1][:2] == (120, 120)
        assert calls[-1][2] < calls[0][2]

    def test_refuses_a_field_of_another_size(self):
        with pytest.raises(InputError, match="coordinates"):
            fit(MLP(3, 1, 8, 1), Waves(), config())

    def test_refuses_values_that_are_not_finite(self):
        with pytest.raises(InputError, match="finite"):
            fit(FIELD, Waves(offset=float("nan")), config())

    def test_takes_the_largest_seed(self):
        assert fit(FIELD, Waves(), config(steps=2, seed=2**63 - 1)).steps == 2

    @pytest.mark.parametrize("device", ["foo", "", "meta", "cuda:99"])
    def test_refuses_a_device_that_cannot_be_used(self, device):
        params = FIELD.init(np.random.default_rng(0))
        for use in (
            lambda: fit(FIELD, Waves(), config(device=device)),
            lambda: evaluate(FIELD, params, Waves(), device=device),
        ):
            with pytest.raises(InputError, match=rf"^device: '{device}' cannot be used \([^\n]+\); take cpu[^\n]+$"):
                use()

    @pytest.mark.parametrize("field", [MLP(2, 1, 8, 1, Wire(5.0, 5.0)), MLP(2, 1, 8, 0, Sine(10.0))])
    def test_refuses_muon_where_it_would_be_adam(self, field):
        with pytest.raises(InputError, match="muon"):
            fit(field, Waves(), config(optimizer="muon", lr=None))


class TestDivergence:
    @pytest.mark.parametrize("lr", [2.0, 30.0])
    def test_restarts_with_a_lower_rate(self, lr):
        field = MLP(2, 1, 16, 1, Sine(30.0))
        result = fit(field, Waves(), config(optimizer="adam", lr=lr, steps=100))
        assert 1 <= result.restarts <= loop.MAX_RESTARTS
        assert all(np.isfinite(value).all() for value in result.params.values())

    def test_recovers(self):
        field = MLP(2, 1, 16, 1, Sine(30.0))
        result = fit(field, Waves(), config(optimizer="adam", lr=0.06, steps=300))
        assert result.restarts >= 1
        assert result.loss < 0.5 * 0.7**2 / 2
        assert not result.failed

    def test_tells_that_it_failed(self):
        field = MLP(2, 1, 16, 1, Sine(30.0))
        result = fit(field, Waves(), config(optimizer="adam", lr=30.0, steps=100))
        assert result.restarts == loop.MAX_RESTARTS
        assert result.failed

    def test_flat_signals_do_not_diverge(self):
        result = fit(FIELD, Waves(offset=0.4, amplitude=0.0), config())
        assert result.restarts == 0
        assert result.loss < 1e-4
        assert not result.failed

    def test_noise_ends(self):
        result = fit(FIELD, Noise(), config(steps=60))
        assert result.restarts <= loop.MAX_RESTARTS
        assert result.loss < 0.5

    def test_gives_up_in_one_line(self, monkeypatch):
        plain = Waves.loss

        def broken(self, predicted, values):
            # the signal itself is sound, but whatever a network says of it is not a number
            constant = predicted.stride(0) == 0
            return plain(self, predicted, values) * (1.0 if constant else float("nan"))

        monkeypatch.setattr(Waves, "loss", broken)
        with pytest.raises(InputError, match="lower lr"):
            fit(FIELD, Waves(), config())


class TestBest:
    def test_keeps_the_best_weights(self, monkeypatch):
        # a signal whose loss is made to look worse after the evaluation at half time
        losses = iter([0.5, 0.1, 0.3, 0.4])
        monkeypatch.setattr(Evaluator, "__call__", lambda self, params: next(losses))
        monkeypatch.setattr(loop, "EVALUATION_SHARE", 1.0)
        result = fit(FIELD, Waves(), config())
        monkeypatch.undo()
        assert result.loss == 0.1
        assert evaluate(FIELD, result.params, Waves()) > evaluate(FIELD, fit(FIELD, Waves(), config()).params, Waves())

    def test_costs_a_few_evaluations_only(self, monkeypatch):
        count = [0]
        original = Evaluator.__call__

        def counting(self, params):
            count[0] += 1
            return original(self, params)

        monkeypatch.setattr(Evaluator, "__call__", counting)
        fit(FIELD, Waves(64), config(steps=50, batch=16))
        assert count[0] == 1
        # samples to batch to steps as 768 x 512 to 4,096 to 3,000
        count[0] = 0
        fit(FIELD, Waves(32), config(steps=250, batch=128))
        assert count[0] == 1 + len(loop.EVALUATE_AT)


class Stop:
    """Raises Ctrl-C in the middle of a fit."""

    def __init__(self, at: int | None, real: bool) -> None:
        self.at, self.real = at, real

    def __call__(self, step, total, loss):
        if step == self.at:
            if not self.real:
                raise KeyboardInterrupt
            os.kill(os.getpid(), os_signal.SIGINT)


class TestInterrupt:
    @pytest.mark.parametrize("real", [False, True])
    def test_returns_the_best_so_far(self, real):
        if threading.current_thread() is not threading.main_thread():
            pytest.skip("signals reach the main thread only")
        before = os_signal.getsignal(os_signal.SIGINT)
        result = fit(FIELD, Waves(), config(steps=10**6), progress=Stop(100, real))
        assert result.interrupted
        assert 100 <= result.steps <= 101
        assert result.loss < 0.2
        assert evaluate(FIELD, result.params, Waves()) == pytest.approx(result.loss, rel=1e-5)
        assert os_signal.getsignal(os_signal.SIGINT) is before

    @pytest.mark.parametrize("optimizer", ["soap", "adam", "muon"])
    @pytest.mark.parametrize("at", [20, 90])
    def test_resumed_is_as_uninterrupted(self, tmp_path, optimizer, at):
        whole = fit(FIELD, Waves(), config(optimizer=optimizer))
        path = tmp_path / "fit.safetensors"
        halves = config(optimizer=optimizer, checkpoint=path)
        assert fit(FIELD, Waves(), halves, progress=Stop(at, False)).interrupted
        resumed = fit(FIELD, Waves(), halves)
        assert same(whole, resumed)
        assert (resumed.loss, resumed.steps, resumed.interrupted) == (whole.loss, 120, False)
        assert not list(tmp_path.iterdir())

    def test_resumed_with_batches_by_error_is_as_uninterrupted(self, tmp_path):
        whole = fit(FIELD, Waves(), config(sampling="error"))
        assert not same(whole, fit(FIELD, Waves(), config()))
        halves = config(sampling="error", checkpoint=tmp_path / "fit.safetensors")
        assert fit(FIELD, Waves(), halves, progress=Stop(50, False)).interrupted
        assert same(whole, fit(FIELD, Waves(), halves))

    def test_only_an_interrupted_fit_leaves_its_checkpoint(self, tmp_path):
        path = tmp_path / "fit.safetensors"
        settings = config(checkpoint=path, checkpoint_seconds=0.0)
        fit(FIELD, Waves(), settings, progress=Stop(20, False))
        assert [p.name for p in tmp_path.iterdir()] == [path.name]
        there = []
        fit(FIELD, Waves(), settings, progress=lambda step, *_: there.append(path.exists()))
        assert there[0]
        assert not list(tmp_path.iterdir())

    def test_a_fit_that_gives_up_leaves_no_checkpoint(self, tmp_path, monkeypatch):
        path = tmp_path / "fit.safetensors"
        monkeypatch.setattr(Evaluator, "__call__", lambda self, params: float("nan"))
        with pytest.raises(InputError, match="lower lr"):
            fit(FIELD, Waves(), config(checkpoint=path, checkpoint_seconds=0.0))
        assert not list(tmp_path.iterdir())

    def test_refuses_a_checkpoint_that_cannot_be_written(self, tmp_path):
        class Unread(Waves):
            def batch(self, index):
                raise AssertionError("work was done before the check")

        for path in (tmp_path, tmp_path / "none" / "fit.safetensors"):
            with pytest.raises(InputError, match=str(path)):
                fit(FIELD, Unread(), config(checkpoint=path))

    @pytest.mark.parametrize("error", [OSError(28, "No space left"), checkpoint.SafetensorError("I/O error\nat 3")])
    @pytest.mark.parametrize("at", [100, None])
    def test_a_failing_save_does_not_lose_the_result(self, tmp_path, monkeypatch, caplog, error, at):
        def full(tensors, path, metadata):
            raise error

        path = tmp_path / "fit.safetensors"
        monkeypatch.setattr(checkpoint, "save_file", full)
        settings = config(checkpoint=path, checkpoint_seconds=0.0 if at is None else 60.0)
        with caplog.at_level(logging.WARNING):
            result = fit(FIELD, Waves(), settings, progress=Stop(at, False))
        assert result.interrupted is (at is not None)
        assert result.steps == (at or 120)
        assert result.loss < 0.2
        assert not list(tmp_path.iterdir())
        assert caplog.messages
        assert all(m.startswith(f"checkpoint skipped: {path}: ") and "\n" not in m for m in caplog.messages)

    def test_a_second_interrupt_while_saving_keeps_the_older_checkpoint(self, tmp_path, monkeypatch):
        path = tmp_path / "fit.safetensors"
        settings = config(checkpoint=path)
        fit(FIELD, Waves(), settings, progress=Stop(20, False))
        older = path.read_bytes()

        def impatient(tensors, path, metadata):
            raise KeyboardInterrupt

        monkeypatch.setattr(checkpoint, "save_file", impatient)
        with pytest.raises(KeyboardInterrupt):
            fit(FIELD, Waves(), settings, progress=Stop(100, False))
        assert [p.name for p in tmp_path.iterdir()] == [path.name]
        assert path.read_bytes() == older

    def test_checkpoints_are_written_as_time_goes_by(self, tmp_path):
        path = tmp_path / "fit.safetensors"
        settings = config(steps=400, checkpoint=path, checkpoint_seconds=0.0)

        class Killed(Exception):
            pass

        def kill(step, total, loss):
            if step == 300:
                raise Killed

        with pytest.raises(Killed):
            fit(FIELD, Waves(), settings, progress=kill)
        seen = []
        resumed = fit(FIELD, Waves(), settings, progress=lambda step, *_: seen.append(step))
        assert min(seen) >= 300
        assert same(resumed, fit(FIELD, Waves(), config(steps=400)))

    def test_refuses_the_checkpoint_of_another_fit(self, tmp_path):
        path = tmp_path / "fit.safetensors"
        fit(FIELD, Waves(), config(checkpoint=path), progress=Stop(20, False))
        for other in (
            lambda: fit(FIELD, Waves(), config(checkpoint=path, seed=1)),
            lambda: fit(FIELD, Waves(offset=0.1), config(checkpoint=path)),
            lambda: fit(MLP(2, 1, 8, 1), Waves(), config(checkpoint=path)),
        ):
            with pytest.raises(InputError, match="another fit"):
                other()

    @pytest.mark.parametrize("content", [b"", b"not safetensors at all"])
    def test_refuses_a_damaged_checkpoint(self, tmp_path, content):
        path = tmp_path / "fit.safetensors"
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"fit\.safetensors"):
            fit(FIELD, Waves(), config(checkpoint=path))


class TestCompile:
    def test_falls_back_quietly(self, monkeypatch, recwarn, caplog):
        def broken(*args, **kwargs):
            raise RuntimeError("no compiler")

        monkeypatch.setattr(torch, "compile", broken)
        with caplog.at_level(logging.WARNING):
            result = fit(FIELD, Waves(), config(compile=True))
        assert not result.compiled
        assert not caplog.records
        assert not recwarn.list
        assert same(result, fit(FIELD, Waves(), config()))

    @pytest.mark.slow
    @pytest.mark.skipif(not compilation.has_compiler(), reason="no C++ compiler")
    def test_compiled_fit_is_as_good(self):
        plain, fast = (fit(FIELD, Waves(), config(compile=c)) for c in (False, True))
        assert fast.compiled
        assert fast.loss < 1.5 * plain.loss


@pytest.mark.parametrize("module", ["torch", "pytorch_optimizer"])
def test_a_missing_library_names_the_extra(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"^fitting needs {module.replace('_', '-')}: .*sinr-codec\[fit\]'$"):
        importlib.reload(sinr_codec.fit)
