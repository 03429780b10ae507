"""Presets, the network that a number of bytes buys, and defaults that are written down twice."""

import inspect

import numpy as np
import pytest
import typer.main

from sinr_codec import codec
from sinr_codec.cli._common import Preset
from sinr_codec.cli.main import app
from sinr_codec.encoding.job import MAX_DROP
from sinr_codec.errors import InputError
from sinr_codec.fields import MLP, AxisOctaves, Gaussian, ReLU, Sine
from sinr_codec.foreign.compress import FIDELITY, compress_report
from sinr_codec.presets import MAX_WIDTH, MIN_WIDTH, PRESETS, preset_named, widest_within
from sinr_codec.signals import registry
from sinr_codec.signals.image import ImageSpec
from sinr_codec.signals.registry import KINDS


def test_names():
    assert all(name == preset.name == preset_named(name).name for name, preset in PRESETS.items())
    with pytest.raises(InputError, match=r"fast.*paper.*'fats'"):
        preset_named("fats")


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_the_widest_that_fits(depth):
    def network(width):
        return MLP(2, 3, width, depth, ReLU())

    for params in (500, 5000, 12_345):
        field = widest_within(params, network)
        if MIN_WIDTH < field.width < MAX_WIDTH:
            assert field.num_params <= params < network(field.width + 1).num_params
    assert widest_within(0, network).width == MIN_WIDTH
    assert widest_within(1e300, network).width == MAX_WIDTH


def test_a_recipe_builds_what_the_user_asks_for():
    spec = ImageSpec(4, 4, 3, "uint8", "RGB")
    recipe = registry.kind_named("image").recipe
    assert recipe.network(spec, 16) == MLP(2, 3, 16, recipe.depth, recipe.activation, AxisOctaves((0, 0)))
    large = ImageSpec(512, 768, 3, "uint8", "RGB")
    assert recipe.network(large, 16, 2) == MLP(2, 3, 16, 2, recipe.activation, AxisOctaves((15, 16)))
    assert recipe.under(PRESETS["paper"]).network(large, 16) == MLP(2, 3, 16, 3, Sine(45.0))
    assert recipe.under(PRESETS["fast"]) is recipe
    assert recipe.network(spec, 16, 1, ReLU()) == MLP(2, 3, 16, 1, ReLU())


def test_rates_of_another_activation_do_not_count():
    spec = ImageSpec(4, 4, 3, "uint8", "RGB")
    for kind, settings in (("volume", {}), ("radiance", {"steps": 1500})):
        recipe = registry.kind_named(kind).recipe
        assert recipe.activated(spec, Gaussian(5.0)).settings(PRESETS["fast"]).get("lr") is None
        assert settings.items() <= recipe.activated(spec, Gaussian(5.0)).settings(PRESETS["fast"]).items()
        assert recipe.activated(spec, recipe.activation) is recipe


@pytest.mark.parametrize("kind", list(KINDS))
def test_rates_rise(kind):
    recipe = registry.kind_named(kind).recipe
    rates = [recipe.rate_at(db) for db in np.arange(10, 70, 0.5)]
    assert np.all(np.diff(rates) >= 0)
    assert 0 < rates[0] < rates[-1]
    assert recipe.rate_at(1e9) == rates[-1]


def test_the_command_line_has_the_same_defaults():
    """It keeps its own, since the codec takes a while to import."""
    assert [preset.value for preset in Preset] == list(PRESETS)
    verbs = typer.main.get_command(app).commands
    for verb, function in (("encode", codec.encode), ("compress", compress_report)):
        defaults = {name: p.default for name, p in inspect.signature(function).parameters.items()}
        for option in verbs[verb].params:
            if option.name not in defaults or option.name == "out":
                continue
            default = defaults[option.name]
            # An option that is shown but not set leaves the default to the codec.
            shown = getattr(option, "show_default", None)
            if option.default is None and isinstance(shown, str):
                assert float(shown) == default, (verb, option.name)
            elif default is not inspect.Parameter.empty:
                assert option.default == default, (verb, option.name)
    options = {name: {p.name: p for p in verb.params} for name, verb in verbs.items()}
    assert options["compress"]["max_drop"].show_default == f"{MAX_DROP:g}"
    assert options["compress"]["fidelity"].show_default == f"{FIDELITY:g}"
