"""What a preset means, and which network a number of bytes buys of each kind of signal.

Bits a parameter are those of `sinr bench coding` and c1 (results/coding.json, results/c1.json): of pictures 5.6 at 3x64
and 6.5 at 3x128 with rounding for the outputs, 6.1 and 6.8 without, 13 for `paper`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sinr_codec.errors import InputError
from sinr_codec.fields import (
    MLP,
    AnyActivation,
    AnyEncoding,
    AxisOctaves,
    Field,
    Gaussian,
    Identity,
    Octaves,
    Radiance,
    ReLU,
    Sine,
)

_OCTAVE = 1.4


@dataclass(frozen=True)
class Preset:
    """How long to fit and how hard to look for a small coding.

    Attributes
    ----------
    fit
        Settings of `fit.FitConfig`.
    bits
        Bits a parameter that files of this preset take, to choose the width for a rate.
    dictionaries
        Sizes k2 of the random dictionaries that the planner tries.
    paper
        Code as published instead of planning.
    inner_steps
        Steps from a base to the latents of a signal; None for those that it was learned with.
    rounding
        Settings of `fit.rounding.Effort`: how long weights are rounded for what the network puts out; 0 steps to the
        nearest level. None: nothing is asked of the network.
    rated
        Train networks for the bytes that they may take (`fit.rated`), where those are known.
    refit
        Train other networks on, once coded, for fewer bytes at the same loss.
    effort
        Share of their published steps that methods spend which train further (`methods.Task.effort`).
    """

    name: str
    fit: dict[str, Any] = field(default_factory=dict)
    bits: float = 6.8
    dictionaries: tuple[int, ...] = ()
    paper: bool = False
    effort: float = 1.0
    inner_steps: int | None = None
    rounding: dict[str, int] | None = None
    rated: bool = False
    refit: bool = False


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("fast", fit={"steps": 500, "pace": 2.0}, effort=0.1, rounding={"steps": 0, "felt": 1 << 14}),
        Preset(
            "balanced",
            fit={"steps": 3000},
            bits=5.8,
            dictionaries=(1024, 8192),
            effort=0.3,
            inner_steps=10,
            rounding={"groups": 6, "steps": 30},
            rated=True,
        ),
        Preset(
            "best",
            fit={"steps": 15_000},
            bits=5.8,
            dictionaries=(1024, 8192, 65_536),
            inner_steps=20,
            rounding={"groups": 12, "steps": 100},
            rated=True,
            refit=True,
        ),
        Preset("paper", fit={"steps": 3000}, bits=13.6, paper=True),
    )
}


@dataclass(frozen=True)
class Recipe:
    """The network of one kind of signal, and how to fit it.

    Attributes
    ----------
    activation, encoding
        Of the hidden layers, and of the coordinates before them; functions of the signal's `Spec` where they depend on
        the source. A user who names an activation of an MLP gets it on the coordinates as they are.
    depth
        Hidden layers where the user names none.
    published
        Activation under the preset `paper`, on the coordinates as they are; None: as for all.
    rate
        Bits a position (`Spec.samples`) aimed at where the user names neither a rate, a quality nor a width.
    width
        Width in that case, instead of a rate.
    bits
        Bits a parameter that planned files of this kind take, where it is not the preset's.
    rated_bits
        Bits a parameter that are best where the network is trained for its bytes; None: it is not.
    db
        Quality that ordinary signals have at `rate`; where a search for a quality begins.
    fit
        Settings of `fit.FitConfig` by preset, over those of the preset; under "" for all presets.
    build
        Makes the field from (in_features, out_features, width, hidden_layers, activation, encoding).
    """

    activation: AnyActivation | Callable[[Any], AnyActivation]
    encoding: AnyEncoding | Callable[[Any], AnyEncoding] = field(default_factory=Identity)
    depth: int = 3
    published: AnyActivation | None = None
    rate: float = 0.3
    width: int | None = None
    bits: float | None = None
    rated_bits: float | None = None
    db: float = 30.0
    fit: dict[str, dict[str, Any]] = field(default_factory=dict)
    build: Callable[..., Field] = MLP

    def bits_a_param(self, preset: Preset) -> float:
        """Bits a parameter to reckon with under a preset."""
        return preset.bits if self.bits is None or preset.paper else self.bits

    def rated(self, preset: Preset) -> bool:
        """Whether networks are trained for the bytes that they may take."""
        return preset.rated and self.rated_bits is not None

    def settings(self, preset: Preset) -> dict[str, Any]:
        """Settings of the fit under a preset."""
        return preset.fit | self.fit.get("", {}) | self.fit.get(preset.name, {})

    def activated(self, spec: Any, activation: AnyActivation) -> "Recipe":
        """The recipe with an activation that the user names: a learning rate tuned for another kind is left out."""
        own = self.activation if isinstance(self.activation, AnyActivation) else self.activation(spec)
        if type(own) is type(activation):
            return self
        fit = {name: {key: v for key, v in settings.items() if key != "lr"} for name, settings in self.fit.items()}
        return replace(self, fit=fit)

    def under(self, preset: Preset) -> "Recipe":
        """The recipe with the network of a preset."""
        if not preset.paper or self.published is None:
            return self
        return replace(self, activation=self.published, encoding=Identity())

    def network(
        self, spec: Any, width: int, depth: int | None = None, activation: AnyActivation | None = None
    ) -> Field:
        """The field of a width for a signal's `Spec`, with the user's depth and activation where there are any."""
        encoding = self.encoding if isinstance(self.encoding, AnyEncoding) else self.encoding(spec)
        if activation is None:
            activation = self.activation if isinstance(self.activation, AnyActivation) else self.activation(spec)
        elif self.build is MLP:
            encoding = Identity()
        depth = self.depth if depth is None else depth
        return self.build(spec.in_features, spec.out_features, width, depth, activation, encoding)


def _octaves(spec: Any) -> AxisOctaves:
    """INRIC's encoding with octaves for each axis as 16 are for 768 samples: up to some 1.3 radians a sample.

    More would alternate between the samples, where there is nothing to fit.
    """
    counts = (16 + round(math.log(n / 768) / math.log(_OCTAVE)) for n in spec.axes)
    return AxisOctaves(tuple(max(0, count) for count in counts), _OCTAVE)


def _of_sound(spec: Any) -> AnyActivation:
    """First layer with frequencies in proportion to the samples of a block: up to 3% of half their rate.

    A third as much costs 2 to 7 dB, twice as much some 5 dB or the fit. With omega0 = 30 or 70 it is 0.5 to 1 dB.
    """
    return Sine(50.0, float(np.clip(round(0.05 * spec.block_frames), 30, 100_000)))


def _radiance(_in: int, _out: int, width: int, depth: int, activation: Any, encoding: Any) -> Radiance:
    """The network of a scene, whose coordinates and values are always the same."""
    return Radiance(width, depth, activation, encoding)


# Batches by error, after some hundred steps on two pictures, a CT, sea temperatures and speech: 0.1 to 0.6 dB better
# than even ones. A video and a shape, whose batches lie near its surface anyway, are 0.1 dB worse.
RECIPES = {
    # SIRENs without the encoding are 2 to 4 dB behind at equal bytes. Those fit 0.1 to 0.6 dB better with omega0 = 45
    # than with 30.
    "image": Recipe(
        Sine(20.0), _octaves, published=Sine(45.0), rate=0.3, rated_bits=5.2, db=29.5, fit={"": {"sampling": "error"}}
    ),
    # Steps are those of one block, a second of music. Batches of 2,048 fit 0.6 dB worse in the same time, and some of
    # 1,024 not at all.
    "audio": Recipe(
        _of_sound,
        rate=1.5,
        bits=8.3,
        db=48.0,
        fit={
            "": {"batch": 4096, "lr": 1e-3, "sampling": "error"},
            "fast": {"steps": 300},
            "balanced": {"steps": 1000},
            "best": {"steps": 5000},
            "paper": {"steps": 1000},
        },
    ),
    # An MRI template at width 180, without an encoding: omega0 30 is 0.6 dB above 20 and 2 dB above 45, three layers
    # 1.2 dB above five. At a rate of 1e-3 long fits end worse than short ones: 35.0 dB after 800 steps on an MRI, 33.9
    # after 3,000. At 5e-4 it is 35.3 after 800.
    "volume": Recipe(
        Sine(30.0),
        _octaves,
        published=Sine(30.0),
        rate=0.08,
        rated_bits=5.0,
        db=36.5,
        fit={
            "": {"batch": 8192, "lr": 5e-4, "sampling": "error"},
            "balanced": {"steps": 1500},
            "best": {"steps": 5000},
            "paper": {"steps": 1500},
        },
    ),
    "dataset": Recipe(
        Sine(20.0),
        _octaves,
        published=Sine(30.0),
        rate=0.3,
        bits=8.0,
        rated_bits=6.0,
        db=46.0,
        fit={"": {"sampling": "error"}},
    ),
    # A SIREN is 5 dB behind at equal bytes. Time may span more or less of [-1, 1].
    "video": Recipe(Sine(30.0), _octaves, published=Sine(30.0), rate=0.2, bits=5.6, rated_bits=5.0, db=32.0),
    # The paper's network. A batch is small because it holds little but voxels near the surface.
    "shape": Recipe(
        lambda spec: Sine(30.0) if spec.variant == "sdf" else Gaussian(7.0),
        width=128,
        rate=0.1,
        db=19.0,
        fit={"": {"lr": 4e-3, "batch": 8192}, "balanced": {"steps": 2000}, "best": {"steps": 8000}},
    ),
    # The number of points differs from step to step, so there is nothing to compile.
    "radiance": Recipe(
        ReLU(),
        Octaves(6),
        width=64,
        rate=0.12,
        db=30.0,
        fit={
            "": {"batch": 1024, "lr": 8e-3, "compile": False},
            "fast": {"steps": 1500},
            "balanced": {"steps": 6000},
            "best": {"steps": 30_000},
            "paper": {"steps": 6000},
        },
        build=_radiance,
    ),
}
"""Recipes by kind of signal; each measured on the signals of results/signals.json."""

LEAST_PARAMS = 1000
"""Parameters of the smallest network that is chosen where no size is asked for: less holds no signal."""
MIN_WIDTH, MAX_WIDTH = 8, 256
"""Widths that are chosen by themselves; above, a step takes seconds on a CPU. The user may name any."""


def preset_named(name: str) -> Preset:
    """Look a preset up; `InputError` names the ones there are."""
    if name not in PRESETS:
        raise InputError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]


_RATES = ((24.0, 0.07), (26.0, 0.14), (28.0, 0.27), (30.0, 0.5), (32.0, 0.9), (34.0, 1.6), (36.0, 2.6))
"""(dB, bpp) to begin a search with: a guess, not a measurement. Pictures differ by a factor of three and more."""


def rate_for(kind: str, db: float) -> float:
    """Bits a position at which an ordinary signal of a kind has a quality of so many dB; a first guess."""
    if kind == "image":
        quality, rate = zip(*_RATES)
        return float(2 ** np.interp(db, quality, np.log2(rate)))
    recipe = RECIPES[kind]
    # Within a factor of 16: the search corrects it from there.
    return float(recipe.rate * 2 ** np.clip((db - recipe.db) / 5, -4, 4))


def widest_within(params: float, network: Callable[[int], Field]) -> Field:
    """Build the widest network of at most so many parameters, within MIN_WIDTH..MAX_WIDTH."""
    widths = range(MIN_WIDTH, MAX_WIDTH + 1)
    return network(max((w for w in widths if network(w).num_params <= params), default=MIN_WIDTH))
