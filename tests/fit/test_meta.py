"""Meta-learning: gradients of the inner loop, resumption, crops."""

import json

import numpy as np
import pytest
import torch
from array_api_compat import torch as xtorch

from sinr_codec.errors import InputError
from sinr_codec.fields import MLP, Modulated, Sine
from sinr_codec.fields.modulated import LATENTS
from sinr_codec.fit import meta
from sinr_codec.fit.meta import MetaConfig, adapt, adapt_many, descend, inner_rates, learn, squared_error
from sinr_codec.fit.tasks import Crops


def modulated():
    return Modulated(MLP(2, 3, 6, 1, Sine(5.0)), 4)


def task(field, dtype=torch.float64):
    """Shared parameters, coords and values in double precision, where finite differences are sharp."""
    shared = {name: torch.from_numpy(v).to(dtype) for name, v in field.init(np.random.default_rng(3)).items()}
    generator = torch.Generator().manual_seed(1)
    coords = torch.rand(12, 2, generator=generator, dtype=dtype) * 2 - 1
    return shared, coords, torch.rand(12, 3, generator=generator, dtype=dtype) * 2 - 1


def adapted_loss(field, name, second_order=True):
    """The loss after three inner steps as a function of one shared tensor or of the rates."""
    shared, coords, values = task(field)
    own = {LATENTS: torch.zeros(field.latents, dtype=torch.float64)} if isinstance(field, Modulated) else None
    function = field.function(xtorch)
    start = own or shared
    rates = {n: torch.full((3, *v.shape), 0.05, dtype=torch.float64) for n, v in start.items()}
    key = next(iter(start))

    def loss(value):
        now = {**shared, name: value} if name != "rates" else shared
        begin = own or now
        measure = squared_error(function, now, coords, values)
        return measure(adapt(measure, begin, {**rates, key: value} if name == "rates" else rates, second_order))

    return loss, rates[key] if name == "rates" else shared[name]


@pytest.mark.parametrize("field", [modulated(), MLP(2, 3, 6, 1, Sine(5.0))], ids=["latents", "all parameters"])
@pytest.mark.parametrize("name", ["layers.0.weight", "layers.1.bias", "layers.2.weight", "modulation.weight", "rates"])
def test_outer_gradients_are_those_of_finite_differences(field, name):
    if name == "modulation.weight" and not isinstance(field, Modulated):
        pytest.skip("an MLP has no modulations")
    loss, at = adapted_loss(field, name)
    (gradient,) = torch.autograd.grad(loss(at.requires_grad_()), at)
    at = at.detach()
    flat = at.reshape(-1)
    for i in np.random.default_rng(0).choice(flat.numel(), min(8, flat.numel()), replace=False):
        bump = torch.zeros_like(flat)
        bump[i] = 1e-5
        bump = bump.reshape(at.shape)
        slope = (loss(at + bump) - loss(at - bump)) / 2e-5
        assert gradient.reshape(-1)[i] == pytest.approx(float(slope), rel=1e-5, abs=1e-9)


def test_first_order_leaves_out_the_way_through_inner_gradients():
    gradients = []
    for second_order in (True, False):
        loss, at = adapted_loss(modulated(), "layers.1.weight", second_order)
        gradients.append(torch.autograd.grad(loss(at.requires_grad_()), at)[0])
        at.requires_grad_(False)
    second, first = gradients
    assert torch.nn.functional.cosine_similarity(second.reshape(-1), first.reshape(-1), dim=0) > 0.5
    assert float((second - first).norm() / second.norm()) > 0.01


def test_a_batch_of_tasks_is_adapted_as_each_by_itself():
    field = modulated()
    shared, coords, values = task(field, torch.float32)
    function, many = field.function(xtorch), torch.stack([values, -values, values.roll(1, 0)])
    start = {LATENTS: torch.zeros(4)}
    rates = inner_rates(start, 3, 0.1)
    batch = adapt_many(function, shared, start, rates, coords, many)[LATENTS]
    for one, v in zip(batch, many):
        alone = adapt(squared_error(function, shared, coords, v), start, rates)[LATENTS]
        torch.testing.assert_close(one, alone)
    assert not torch.allclose(batch[0], batch[1])


def test_further_steps_lower_the_loss_of_each_task():
    field = modulated()
    shared, coords, values = task(field, torch.float32)
    function = field.function(xtorch)
    many = torch.stack([values, -values, values.roll(1, 0), torch.zeros_like(values)])
    start, rates = {LATENTS: torch.zeros(4)}, inner_rates({LATENTS: torch.zeros(4)}, 3, 5.0)  # too large by far

    def losses(adapted):
        each = [squared_error(function, shared, coords, v)({LATENTS: z}) for z, v in zip(adapted[LATENTS], many)]
        return torch.stack(each)

    adapted = adapt_many(function, shared, start, rates, coords, many)
    known = [losses(adapted)]
    for _ in range(12):
        known.append(losses(descend(function, shared, adapted, rates, coords, many, len(known))))
    assert (torch.stack(known).diff(dim=0) <= 1e-7).all()
    assert (known[-1] < 0.8 * known[0]).any()
    assert torch.equal(descend(function, shared, adapted, rates, coords, many, 0)[LATENTS], adapted[LATENTS])


# -- learning ----------------------------------------------------------------------------------------------------


def pictures(count=3, size=(24, 20)):
    y, x = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]), indexing="ij")
    rng = np.random.default_rng(0)
    waves = [np.sin(rng.uniform(1, 6) * x + rng.uniform(1, 6) * y + rng.uniform(0, 6)) for _ in range(3 * count)]
    return [np.stack(waves[3 * i : 3 * i + 3], -1).astype(np.float32) for i in range(count)]


def learned(tmp_path=None, name="x", *, field=None, **settings):
    field = field or Modulated(MLP(2, 3, 16, 1, Sine(10.0)), 8)
    own = {LATENTS: (field.latents,)} if isinstance(field, Modulated) else None
    tasks = Crops(pictures(), (8, 8), mirror=(True, True), seed=2)
    files = (
        {} if tmp_path is None else {"checkpoint": tmp_path / f"{name}.safetensors", "log": tmp_path / f"{name}.log"}
    )
    settings = {"steps": 12, "tasks": 4, "lr": 2e-3, "inner_rate": 1e-2, "learn_rates": True} | settings
    return learn(field, tasks, MetaConfig(**settings, **files), own=own)


@pytest.mark.parametrize("field", [None, MLP(2, 3, 16, 1, Sine(10.0))], ids=["latents", "all parameters"])
def test_the_loss_falls_and_rates_are_learned(field):
    result = learned(field=field, steps=150, tasks=8, evaluate_every=25, lr=5e-3)
    losses = [line["loss"] for line in result.curve]
    assert losses[-1] < 0.7 * losses[0]
    for rates in result.rates.values():
        assert rates.shape[0] == 3
        assert np.abs(rates / 1e-2 - 1).max() > 0.01
        assert len(np.unique(rates)) > 3  # each number and step has its own


def test_a_gradient_in_pieces_is_the_same():
    whole, pieces = learned(steps=5), learned(steps=5, at_once=1)
    for name, value in whole.params.items():
        np.testing.assert_allclose(value, pieces.params[name], rtol=1e-3, atol=1e-5)


def test_what_is_resumed_ends_at_the_same_bits(tmp_path):
    class Killed(Exception):
        pass

    class Tasks(Crops):
        def draw(self, count):
            self.drawn = getattr(self, "drawn", 0) + 1
            if self.drawn > 7:
                raise Killed
            return super().draw(count)

    whole = learned()
    field = Modulated(MLP(2, 3, 16, 1, Sine(10.0)), 8)
    config = MetaConfig(
        steps=12,
        tasks=4,
        lr=2e-3,
        inner_rate=1e-2,
        learn_rates=True,
        checkpoint=tmp_path / "x.safetensors",
        checkpoint_seconds=0,
        log=tmp_path / "x.log",
        evaluate_every=5,
    )
    with pytest.raises(Killed):
        learn(field, Tasks(pictures(), (8, 8), mirror=(True, True), seed=2), config, own={LATENTS: (8,)})
    resumed = learned(tmp_path, evaluate_every=5)
    assert resumed.steps == whole.steps == 12
    for name, value in whole.params.items():
        np.testing.assert_array_equal(value, resumed.params[name])
    for name, value in whole.rates.items():
        np.testing.assert_array_equal(value, resumed.rates[name])
    assert [json.loads(line)["step"] for line in (tmp_path / "x.log").read_text().splitlines()] == [5, 10, 12]
    with pytest.raises(InputError, match="another fit"):
        learned(tmp_path, lr=1e-3)


def test_after_a_collapse_it_goes_on_from_before(tmp_path):
    class Tasks(Crops):
        """One batch that no network survives at this rate, after which nothing is as it was."""

        def draw(self, count):
            self.drawn = getattr(self, "drawn", 0) + 1
            coords, values = super().draw(count)
            return coords, values * 1e4 if self.drawn == 51 else values

    field = Modulated(MLP(2, 3, 16, 1, Sine(10.0)), 8)
    config = MetaConfig(steps=100, tasks=4, lr=2e-3, log=tmp_path / "log", evaluate_every=20)
    result = learn(field, Tasks(pictures(), (8, 8), seed=2), config, own={LATENTS: (8,)})
    assert all(np.isfinite(value).all() for value in result.params.values())
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert tuple(lines) == result.curve
    steady = [line for line in lines if "lr" not in line]
    assert steady[-1]["loss"] < 1.2 * min(line["loss"] for line in steady)


def test_one_that_always_collapses_is_refused(monkeypatch):
    monkeypatch.setattr(meta, "COLLAPSE", 0.0)
    monkeypatch.setattr(meta, "GOOD", 0.0)
    with pytest.raises(InputError, match=r"diverged at step .* lower lr than 0\.002"):
        learned(steps=200)


def test_the_best_on_held_out_signals_is_kept():
    seen = []

    def evaluate(function, shared, start, rates):
        seen.append({name: value.clone() for name, value in shared.items()})
        return [10.0, 30.0, 20.0][len(seen) - 1]

    field = Modulated(MLP(2, 3, 16, 1, Sine(10.0)), 8)
    config = MetaConfig(steps=9, tasks=4, lr=2e-3, evaluate_every=3)
    result = learn(field, Crops(pictures(), (8, 8), seed=2), config, own={LATENTS: (8,)}, evaluate=evaluate)
    for name, value in result.params.items():
        np.testing.assert_array_equal(value, seen[1][name])
        assert not np.array_equal(value, seen[2][name])


@pytest.mark.parametrize(
    ("setting", "text"), [({"lr": 0}, "lr"), ({"precision": "half"}, "precision"), ({"seed": -1}, "seed")]
)
def test_settings_out_of_range_are_refused(setting, text):
    with pytest.raises(InputError, match=text):
        MetaConfig(**setting)
