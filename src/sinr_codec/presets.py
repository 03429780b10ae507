"""What a preset means, and which network a number of bytes buys.

Bits a parameter are those of `benchmarks/size.py` (results/size.json): 6.4 to 6.9 for `balanced`, 13 for `paper`.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sinr_codec.errors import InputError
from sinr_codec.fields import MLP, Sine


@dataclass(frozen=True)
class Preset:
    """How long to fit and how hard to look for a small coding.

    Attributes
    ----------
    fit
        Settings of `fit.FitConfig`.
    bpp
        Rate aimed at where the user names neither a rate, a quality nor a width.
    bits
        Bits a parameter that files of this preset take, to choose the width for a rate.
    dictionaries
        Sizes k2 of the random dictionaries that the planner tries.
    paper
        Code as published instead of planning.
    """

    name: str
    fit: dict[str, Any] = field(default_factory=dict)
    bpp: float = 0.3
    bits: float = 6.8
    dictionaries: tuple[int, ...] = ()
    paper: bool = False


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("fast", fit={"steps": 500, "lr": 2e-3}),
        Preset("balanced", fit={"steps": 3000}, dictionaries=(1024, 8192)),
        Preset("best", fit={"steps": 15_000}, dictionaries=(1024, 8192, 65_536)),
        Preset("paper", fit={"steps": 3000}, bits=13.6, paper=True),
    )
}

ACTIVATION = Sine(45.0)
"""Photographs fit 0.1 to 0.6 dB better than at SIREN's omega0 = 30."""
DEPTH = 3
"""Hidden layers where the user names none: the paper's (h, m) = (3, m)."""
LEAST_PARAMS = 1000
"""Parameters of the smallest network that is chosen where no size is asked for: less holds no picture."""
MIN_WIDTH, MAX_WIDTH = 8, 256
"""Widths that are chosen by themselves; above, a step takes seconds on a CPU. The user may name any."""


def preset_named(name: str) -> Preset:
    """Look a preset up; `InputError` names the ones there are."""
    if name not in PRESETS:
        raise InputError(f"preset: expected one of {', '.join(PRESETS)}, got {name!r}")
    return PRESETS[name]


_RATES = ((24.0, 0.07), (26.0, 0.14), (28.0, 0.27), (30.0, 0.5), (32.0, 0.9), (34.0, 1.6), (36.0, 2.6))
"""(dB, bpp) to begin a search with: a guess, not a measurement. Pictures differ by a factor of three and more."""


def rate_for(psnr: float) -> float:
    """Bits a pixel at which an ordinary photograph has a PSNR of so many dB; a first guess."""
    quality, rate = zip(*_RATES)
    return float(2 ** np.interp(psnr, quality, np.log2(rate)))


def mlp_within(params: float, in_features: int, out_features: int, depth: int = DEPTH, activation: Any = None) -> MLP:
    """Build the widest MLP of at most so many parameters, within MIN_WIDTH..MAX_WIDTH."""

    def mlp(width: int) -> MLP:
        return MLP(in_features, out_features, width, depth, activation or ACTIVATION)

    widths = range(MIN_WIDTH, MAX_WIDTH + 1)
    return mlp(max((w for w in widths if mlp(w).num_params <= params), default=MIN_WIDTH))
