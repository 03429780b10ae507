"""Real parameters trained for a number of bits: noise, entropy, the fit."""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sinr_codec.errors import InputError  # noqa: E402
from sinr_codec.fields import MLP, Sine, Wire  # noqa: E402
from sinr_codec.fit import FitConfig, evaluate, fit, fit_many, rated  # noqa: E402
from sinr_codec.fit.optim import Packing  # noqa: E402
from sinr_codec.fit.rated import Rate  # noqa: E402
from sinr_codec.planning.plan import plan  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

FIELD = MLP(2, 1, 24, 2, Sine(30.0))


class Waves:
    """Waves of rising frequency on a grid of 64 x 64, more than so small a network holds."""

    in_features, out_features = 2, 1

    def __len__(self):
        return 64**2

    def batch(self, index):
        row, column = np.divmod(index, 64)
        coords = (2 * np.stack([row, column], -1) + 1) / 64 - 1
        values = 0.7 * np.sin(12 * coords[:, :1] * (1 + coords[:, 1:]) + 9 * coords[:, 1:] ** 2)
        return coords.astype(np.float32), values.astype(np.float32)

    def loss(self, predicted, values):
        return ((predicted - values) ** 2).mean()


def config(**changes):
    return FitConfig(**{"steps": 120, "bits": 1.0, "batch": 512, "lr": 1e-3, "compile": False} | changes)


def bytes_lost(params, size):
    """Error of what a plan of so many bytes makes of the parameters."""
    return evaluate(FIELD, plan(params, lambda p: evaluate(FIELD, p, Waves()), 1.0, max_bytes=size).params, Waves())


def rate_of(params, target, join=True):
    packing = Packing(params, join)
    leaves = packing.pack(params, "cpu")
    return Rate(leaves, packing, target, seed=0), leaves


@pytest.mark.parametrize("join", [True, False])
@pytest.mark.parametrize("activation", [Sine(30.0), Wire()], ids=["real", "complex"])
class TestRate:
    def params(self, activation):
        rng = np.random.default_rng(1)
        start = MLP(2, 1, 24, 2, activation).init(rng)
        return {name: (w * 0 + rng.normal(size=w.shape)).astype(w.dtype) for name, w in start.items()}

    def test_begins_at_the_bits_aimed_at(self, activation, join):
        params = self.params(activation)
        numbers = sum(w.size * (2 if np.iscomplexobj(w) else 1) for w in params.values())
        for each in (3.0, 6.0):
            rate, leaves = rate_of(params, each * numbers, join)
            # rows differ in power, of which the mean of a logarithm is a little less
            assert float(rate.bits(leaves).detach()) == pytest.approx(each * numbers, rel=0.05)

    def test_noise_is_a_share_of_the_steps_of_each_tensor(self, activation, join):
        params = self.params(activation)
        rate, leaves = rate_of(params, 2000, join)
        with torch.no_grad():
            for number, log in enumerate(rate.logs.values()):
                log.copy_(torch.arange(len(log)) - float(number))
        wanted = {}
        for name in leaves:
            steps = rate.logs[name].detach().exp().tolist()
            if name in rate.packing.joined:
                wanted[name], wanted[rate.packing.joined[name]] = steps
            else:
                wanted[name] = steps[0]
        noisy = rate.packing.unpack({n: leaf.detach() for n, leaf in rate.noisy(leaves).items()})
        for name, w in params.items():
            added = noisy[name].numpy() - w
            parts = np.concatenate([added.real.ravel(), np.imag(added).ravel()])
            most = float(np.abs(parts).max())
            assert most <= 0.5 * rated.NOISE * wanted[name] * (1 + 1e-4)
            if w.size > 100:
                assert most > 0.45 * rated.NOISE * wanted[name]


def test_bits_are_those_of_gaussian_numbers():
    params = {"a.weight": np.random.default_rng(0).normal(size=(4, 20_000)).astype(np.float32)}
    rate, leaves = rate_of(params, 4 * 80_000)
    step = float(rate.logs["a.weight"].detach().exp()[0])
    counts = np.unique(np.rint(params["a.weight"] / step), return_counts=True)[1]
    entropy = -np.sum(counts * np.log2(counts / counts.sum()))
    assert float(rate.bits(leaves).detach()) == pytest.approx(entropy, rel=0.01)


class TestFit:
    def test_loses_less_when_it_is_coded_in_the_bytes_it_was_trained_for(self):
        size, lost = 800, {}
        for bits in (None, 8 * size / 4096):
            fits = [fit(FIELD, Waves(), config(bits=bits, steps=600, seed=seed)) for seed in (0, 1)]
            lost[bits] = sum(bytes_lost(each.params, size) for each in fits)
        assert lost[8 * size / 4096] < 0.97 * lost[None]  # by 5 to 12 % each, depending on the processor
        assert fits[0].loss == pytest.approx(evaluate(FIELD, fits[0].params, Waves()), rel=1e-5)

    def test_goes_on_from_parameters(self):
        start = fit(FIELD, Waves(), config(bits=None, steps=300)).params
        size = 800
        trained = fit(FIELD, Waves(), config(bits=8 * size / 4096, steps=300), start)
        assert bytes_lost(trained.params, size) < bytes_lost(start, size)

    @pytest.mark.parametrize("at", [20, 50, 90])
    @pytest.mark.parametrize("optimizer", ["soap", "adam"])
    def test_resumed_is_as_uninterrupted(self, tmp_path, at, optimizer):
        def stop(step, total, loss):
            if step == at:
                raise KeyboardInterrupt

        whole = fit(FIELD, Waves(), config(optimizer=optimizer))
        halves = config(checkpoint=tmp_path / "fit.safetensors", optimizer=optimizer)
        assert fit(FIELD, Waves(), halves, progress=stop).interrupted
        resumed = fit(FIELD, Waves(), halves)
        assert all(np.array_equal(whole.params[name], resumed.params[name]) for name in whole.params)
        assert not list(tmp_path.iterdir())

    def test_a_checkpoint_of_other_bits_is_refused(self, tmp_path):
        def stop(*_):
            raise KeyboardInterrupt

        path = tmp_path / "fit.safetensors"
        fit(FIELD, Waves(), config(checkpoint=path), progress=stop)
        with pytest.raises(InputError, match="another fit"):
            fit(FIELD, Waves(), config(checkpoint=path, bits=0.7))

    def test_complex_weights(self):
        field = MLP(2, 1, 8, 2, Wire())
        result = fit(field, Waves(), config(bits=0.5))
        assert math.isfinite(result.loss)
        assert result.params["layers.1.weight"].dtype == np.complex64

    def test_many_at_once_have_no_rate(self):
        with pytest.raises(InputError, match="no bits"):
            fit_many(FIELD, [Waves()], config(optimizer="adam"))
