"""Presets, and the width that a number of bytes buys.

Bits a parameter are those of `sinr bench coding` and c1 (results/coding.json, results/c1.json): for pictures 5.6 at
3x64 and 6.5 at 3x128 with rounding for the outputs, 6.1 and 6.8 without, 13 for `paper`.
"""

from collections.abc import Callable
from typing import Final

from sinr_codec.errors import InputError, quoted
from sinr_codec.fields import Field
from sinr_codec.signals.recipe import Preset

PRESETS: Final = {
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

LEAST_PARAMS: Final = 1000
"""Parameters of the smallest network that is chosen where no size is asked for: less holds no signal."""
MIN_WIDTH: Final = 8
MAX_WIDTH: Final = 256
"""Widths that are chosen by themselves; above, a step takes seconds on a CPU. The user may name any."""


def preset_named(name: str) -> Preset:
    """Look a preset up; `InputError` names the ones there are."""
    if name not in PRESETS:
        raise InputError(f"preset: expected one of {', '.join(PRESETS)}, got {quoted(name)}")
    return PRESETS[name]


def widest_within(params: float, network: Callable[[int], Field]) -> Field:
    """Build the widest network of at most so many parameters, within MIN_WIDTH..MAX_WIDTH."""
    widths = range(MIN_WIDTH, MAX_WIDTH + 1)
    return network(max((w for w in widths if network(w).num_params <= params), default=MIN_WIDTH))
