"""Latents trained for a rate: relaxed rounding, the entropy model, the fit."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from array_api_compat import numpy as xnp  # noqa: E402

from sinr_codec.coding.entropy import encode_ints  # noqa: E402
from sinr_codec.coding.tensor import decode_tensor, encode_tensor  # noqa: E402
from sinr_codec.errors import InputError  # noqa: E402
from sinr_codec.fields import HashGrid  # noqa: E402
from sinr_codec.fit import FitConfig, evaluate, fit, latents  # noqa: E402
from sinr_codec.fit.latents import EntropyModel, anneal, interpolation  # noqa: E402

pytestmark = pytest.mark.usefixtures("one_thread")

FIELD = HashGrid(2, 1, (4, 8, 16), 1 << 10, 1, 8, 1)


class Waves:
    """A smooth signal on a grid of 64 x 64, with values in [-1, 1]."""

    in_features, out_features = 2, 1

    def __len__(self):
        return 64**2

    def batch(self, index):
        row, column = np.divmod(index, 64)
        coords = (2 * np.stack([row, column], -1) + 1) / 64 - 1
        values = 0.7 * np.sin(6 * coords[:, :1] + 9 * coords[:, 1:] ** 2)
        return coords.astype(np.float32), values.astype(np.float32)

    def loss(self, predicted, values):
        return ((predicted - values) ** 2).mean()


def config(**changes):
    return FitConfig(**{"steps": 120, "bits": 0.9, "batch": 512} | changes)


def size(params):
    return sum(len(encode_tensor(params[name], coding)) for name, coding in FIELD.tables.items())


class TestAnneal:
    def test_gradient_is_that_of_finite_differences(self):
        rng = torch.Generator().manual_seed(0)
        # Away from integers, where the logits are cut.
        z = torch.arange(-6, 6, dtype=torch.float64) + 0.02 + 0.96 * torch.rand(12, generator=rng, dtype=torch.float64)
        uniform = 0.2 + 0.6 * torch.rand(12, generator=rng, dtype=torch.float64)
        for temperature in (0.3, 1.0):
            leaf = z.clone().requires_grad_()
            (gradient,) = torch.autograd.grad(anneal(leaf, temperature, uniform).sum(), leaf)
            h = 1e-6
            wanted = (anneal(z + h, temperature, uniform) - anneal(z - h, temperature, uniform)) / (2 * h)
            assert gradient.abs().max() > 0.1
            torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-7)

    def test_without_noise_it_tends_to_the_nearest_integer(self):
        z = torch.tensor([-1.7, -1.2, -0.4, 0.0, 0.3, 0.6, 2.0])
        torch.testing.assert_close(anneal(z, 0.02, torch.full_like(z, 0.5)), z.round(), atol=1e-3, rtol=0)

    def test_ups_and_downs_are_as_frequent_as_the_logits_say(self):
        uniform = torch.rand(40_000, generator=torch.Generator().manual_seed(1)).clamp(1e-6, 1 - 1e-6)
        z, temperature = torch.full_like(uniform, 3.3), 0.5
        up = (anneal(z, temperature, uniform) > 3.5).float().mean()
        wanted = torch.sigmoid((torch.atanh(torch.tensor(0.3)) - torch.atanh(torch.tensor(0.7))) / temperature)
        assert abs(up - wanted) < 0.01

    def test_samples_lie_between_the_integers_around(self):
        z = torch.randn(1000, generator=torch.Generator().manual_seed(2)) * 4
        sample = anneal(z, 0.2, torch.rand(1000).clamp(1e-6, 1 - 1e-6))
        assert (sample >= z.floor()).all()
        assert (sample <= z.floor() + 1).all()


class TestEntropyModel:
    def test_probabilities_of_all_integers_sum_to_one(self):
        model = EntropyModel([401, 401], "cpu")
        model.numbers.data += 0.3 * torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
        integers = torch.arange(-200.0, 201.0).repeat(2)
        mass = torch.exp2(-model.bits(integers)).reshape(2, -1).sum(1)
        torch.testing.assert_close(mass, torch.ones(2), atol=1e-4, rtol=0)

    def test_learned_it_charges_what_the_coder_takes(self):
        rng = np.random.default_rng(0)
        drawn = [np.rint(rng.laplace(0, scale, 4000)).astype(np.int64) for scale in (0.4, 3.0)]
        model = EntropyModel([4000, 4000], "cpu")
        values = torch.from_numpy(np.concatenate(drawn)).float()
        optimizer = torch.optim.Adam([model.numbers], lr=2e-2)
        for _ in range(400):
            optimizer.zero_grad()
            model.bits(values).mean().backward()
            optimizer.step()
        charged = model.bits(values).detach().reshape(2, -1).sum(1) / 8
        for q, charge in zip(drawn, charged.tolist()):
            assert charge == pytest.approx(len(encode_ints(q)), rel=0.04)

    def test_gradient_is_that_of_finite_differences(self):
        model = EntropyModel([7], "cpu")
        model.numbers = model.numbers.detach().double().requires_grad_()
        z = torch.linspace(-4, 5, 7, dtype=torch.float64)
        leaf = z.clone().requires_grad_()
        in_z, in_model = torch.autograd.grad(model.bits(leaf).sum(), (leaf, model.numbers))
        h = 1e-5
        torch.testing.assert_close(
            in_z, (model.bits(z + h) - model.bits(z - h)).detach() / (2 * h), rtol=1e-4, atol=1e-6
        )
        for number in range(5):
            moved = []
            for sign in (1, -1):
                other = EntropyModel([7], "cpu")
                other.numbers = model.numbers.detach().clone()
                other.numbers[number] += sign * h
                moved.append(float(other.bits(z).sum()))
            assert float(in_model[number]) == pytest.approx((moved[0] - moved[1]) / (2 * h), rel=1e-4, abs=1e-6)


def test_interpolation_is_that_of_the_field():
    coords, _ = Waves().batch(np.arange(0, 4096, 37))
    params = FIELD.init(np.random.default_rng(0))
    wanted = FIELD.features(xnp, params, coords)
    for level, name in enumerate(FIELD.tables):
        matrix, transposed = interpolation(FIELD, level, torch.from_numpy(coords))
        found = matrix @ torch.from_numpy(params[name])
        np.testing.assert_allclose(found[:, 0].numpy(), wanted[:, level], atol=1e-6)
        np.testing.assert_array_equal(transposed.to_dense().T.numpy(), matrix.to_dense().numpy())


class TestFit:
    @pytest.mark.parametrize("kept", [True, False], ids=["whole", "batches"])
    def test_integers_in_the_bytes_asked_for_with_the_loss_reported(self, kept, monkeypatch):
        if not kept:
            monkeypatch.setattr(latents, "MOST_KEPT", 0)
        results = [fit(FIELD, Waves(), config(bits=bits, steps=300)) for bits in (0.6, 1.5)]
        for result, bits in zip(results, (0.6, 1.5)):
            tables = [result.params[name] for name in FIELD.tables]
            assert all((table == np.rint(table)).all() for table in tables)
            for table, coding in zip(tables, FIELD.tables.values()):
                np.testing.assert_array_equal(
                    decode_tensor(encode_tensor(table, coding), table.shape, table.dtype), table
                )
            assert size(result.params) <= bits * 4096 / 8 - FIELD.network.num_params
            assert evaluate(FIELD, result.params, Waves()) == pytest.approx(result.loss, rel=1e-5)
        assert size(results[0].params) < size(results[1].params)
        assert results[1].loss < results[0].loss < 0.1  # the signal's power is 0.24

    def test_what_is_too_much_is_rounded_down(self, monkeypatch):
        monkeypatch.setattr(latents, "WEIGHTS", (1e-9, 1e-9))  # a penalty that does nothing
        result = fit(FIELD, Waves(), config(bits=0.5))
        assert size(result.params) <= 0.5 * 4096 / 8 - FIELD.network.num_params - 64

    @pytest.mark.parametrize("at", [30, 70, 110])
    @pytest.mark.parametrize("kept", [True, False], ids=["whole", "batches"])
    def test_resumed_is_as_uninterrupted(self, tmp_path, at, kept, monkeypatch):
        if not kept:
            monkeypatch.setattr(latents, "MOST_KEPT", 0)

        def stop(step, total, loss):
            if step == at:
                raise KeyboardInterrupt

        whole = fit(FIELD, Waves(), config())
        halves = config(checkpoint=tmp_path / "fit.safetensors")
        first = fit(FIELD, Waves(), halves, progress=stop)
        assert (first.interrupted, first.steps) == (True, at)
        resumed = fit(FIELD, Waves(), halves)
        assert all(np.array_equal(whole.params[name], resumed.params[name]) for name in whole.params)
        assert (resumed.loss, resumed.steps, resumed.interrupted) == (whole.loss, 120, False)
        assert not list(tmp_path.iterdir())

    def test_a_checkpoint_of_other_bits_is_refused(self, tmp_path):
        def stop(*_):
            raise KeyboardInterrupt

        path = tmp_path / "fit.safetensors"
        fit(FIELD, Waves(), config(checkpoint=path), progress=stop)
        with pytest.raises(InputError, match="another fit"):
            fit(FIELD, Waves(), config(checkpoint=path, bits=0.7))

    def test_arguments_that_do_not_go_together(self):
        with pytest.raises(InputError, match="too few for the network"):
            fit(FIELD, Waves(), config(bits=0.1))
        with pytest.raises(InputError, match="fresh"):
            fit(FIELD, Waves(), config(), FIELD.init(np.random.default_rng(0)))
        with pytest.raises(InputError, match="coordinates"):
            fit(dataclasses.replace(FIELD, in_features=1), Waves(), config())
