"""Settings of a fit: defaults, ranges, learning rates."""

import dataclasses

import pytest

pytest.importorskip("torch")

from sinr_codec.errors import InputError
from sinr_codec.fields import MLP, Gaussian
from sinr_codec.fit.config import DEFAULT_LR, FitConfig


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": "sgd"},
        {"steps": 0},
        {"seconds": -1.0},
        {"batch": 0},
        {"lr": 0.0},
        {"pace": float("nan")},
        {"bits": 0.0},
        {"schedule": "linear"},
        {"sampling": "random"},
        {"l1": -1e-6},
        {"seed": -1},
        {"seed": 2**63},
        {"seed": 0.5},
    ],
)
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(InputError, match=f"^fit: {next(iter(change))} must"):
        FitConfig(**change)


def test_without_a_budget_it_is_2000_steps():
    assert FitConfig().max_steps == 2000
    assert FitConfig(steps=7).max_steps == 7
    assert FitConfig(seconds=1.0).max_steps is None
    assert FitConfig(steps=7, seconds=1.0).max_steps == 7


def test_learning_rates_follow_the_network_unless_one_is_given():
    sine, narrow, gaussian = MLP(2, 1, 128, 1), MLP(2, 1, 16, 1), MLP(2, 1, 16, 1, Gaussian(4.0))
    assert FitConfig().peak_lr(sine) == DEFAULT_LR["soap"]
    assert FitConfig(pace=2.0).peak_lr(sine) == FitConfig().peak_lr(narrow) == 2 * DEFAULT_LR["soap"]
    assert FitConfig(optimizer="muon").peak_lr(narrow) == DEFAULT_LR["muon"]
    assert FitConfig(optimizer="adam").peak_lr(gaussian) > 4 * DEFAULT_LR["adam"]
    assert FitConfig(lr=3e-4, pace=2.0).peak_lr(gaussian) == 3e-4


def test_it_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        FitConfig().steps = 3
