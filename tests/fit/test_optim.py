"""Leaves of optimisers from parameters and back; the optimisers themselves."""

import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sinr_codec.errors import InputError, MissingExtraError  # noqa: E402
from sinr_codec.fields import MLP, Sine, Wire  # noqa: E402
from sinr_codec.fit.optim import Packing, joins, make_optimizer  # noqa: E402


def packed(field, join):
    params = field.init(np.random.default_rng(0))
    packing = Packing(params, join)
    return params, packing, packing.pack(params, "cpu")


class TestPacking:
    @pytest.mark.parametrize("join", [False, True])
    @pytest.mark.parametrize("activation", [Sine(30.0), Wire(5.0, 5.0)])
    def test_parameters_come_back_as_they_were(self, activation, join):
        params, packing, leaves = packed(MLP(2, 3, 8, 2, activation), join)
        back = packing.to_numpy(leaves)
        assert list(back) == list(params)
        for name, value in params.items():
            assert back[name].dtype == value.dtype
            np.testing.assert_array_equal(back[name], value)

    def test_a_bias_joins_its_weight(self):
        _, _, leaves = packed(MLP(2, 3, 8, 1), True)
        assert {name: tuple(leaf.shape) for name, leaf in leaves.items()} == {
            "layers.0.weight": (8, 3),
            "layers.1.weight": (8, 9),
            "layers.2.weight": (3, 9),
        }

    @pytest.mark.parametrize("join", [False, True])
    def test_leaves_are_real_and_hold_all_numbers(self, join):
        field = MLP(2, 3, 8, 2, Wire(5.0, 5.0))
        _, _, leaves = packed(field, join)
        assert all(leaf.requires_grad and not leaf.is_complex() for leaf in leaves.values())
        assert sum(leaf.numel() for leaf in leaves.values()) == field.num_params

    def test_gradients_reach_the_leaves(self):
        _, packing, leaves = packed(MLP(2, 3, 8, 1), True)
        sum(value.sum() for value in packing.unpack(leaves).values()).backward()
        assert all(torch.equal(leaf.grad, torch.ones_like(leaf)) for leaf in leaves.values())


class TestOptimizers:
    @pytest.mark.parametrize("kind", ["soap", "adam", "muon"])
    def test_steps_lower_a_loss_and_drop_the_gradients(self, kind):
        _, _, leaves = packed(MLP(2, 3, 8, 1), joins(kind))
        optimizer = make_optimizer(kind, leaves, 1e-2)
        losses = []
        for _ in range(30):
            loss = sum((leaf - 0.1).square().sum() for leaf in leaves.values())
            loss.backward()
            losses.append(float(loss.detach()))
            optimizer.step(1.0)
            assert all(leaf.grad is None for leaf in leaves.values())
        assert losses[-1] < 0.9 * losses[0]

    @pytest.mark.parametrize("kind", ["soap", "adam", "muon"])
    def test_a_factor_of_zero_moves_nothing(self, kind):
        _, _, leaves = packed(MLP(2, 3, 8, 1), joins(kind))
        optimizer = make_optimizer(kind, leaves, 1e-2)
        before = {name: leaf.detach().clone() for name, leaf in leaves.items()}
        for _ in range(2):
            sum(leaf.square().sum() for leaf in leaves.values()).backward()
            optimizer.step(0.0)
        assert all(torch.equal(leaf, before[name]) for name, leaf in leaves.items())

    def test_adam_beside_muon_has_a_lower_rate(self):
        _, _, leaves = packed(MLP(2, 3, 8, 1), False)
        adam, muon = make_optimizer("muon", leaves, 1.0).optimizers
        assert muon.param_groups[0]["params"] == [leaves["layers.1.weight"]]
        assert adam.param_groups[0]["lr"] == 0.1 * muon.param_groups[0]["lr"]

    @pytest.mark.parametrize("field", [MLP(2, 3, 8, 0), MLP(2, 3, 8, 2, Wire(5.0, 5.0))])
    def test_muon_needs_real_hidden_matrices(self, field):
        with pytest.raises(InputError, match="muon"):
            make_optimizer("muon", packed(field, False)[2], 1e-2)

    def test_a_missing_soap_names_the_extra(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "pytorch_optimizer", None)
        with pytest.raises(MissingExtraError, match=r"sinr-codec\[fit\]"):
            make_optimizer("soap", packed(MLP(2, 3, 8, 1), True)[2], 1e-2)
