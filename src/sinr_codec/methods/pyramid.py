"""Pyramids of latents, fitted for rate and distortion: overfitted codecs (Ladune et al. 2023; Kim et al. 2024)."""

import math
from typing import Any, Final

from sinr_codec.coding.assembled import Plan
from sinr_codec.errors import InputError
from sinr_codec.fields import Pyramid, ReLU
from sinr_codec.fields.pyramid_section import PyramidSection
from sinr_codec.methods.base import Coded, Task, Training
from sinr_codec.signals.base import Spec


def pyramid(spec: Spec, bits: float, width: int | None = None, depth: int | None = None) -> Pyramid:
    """The pyramid for a signal on a grid, with networks for its size and for a rate of `bits` a sample, or 0 for any.

    Raises
    ------
    InputError
        The signal has no grid, or `depth` is given.
    """
    axes: Any = getattr(spec, "axes", None)
    if axes is None:
        raise InputError(f"method pyramid: expected a signal on a grid, found one of kind {spec.KIND}")
    if depth is not None:
        raise InputError("method pyramid: has no depth to choose; leave it out")
    size = math.prod(axes) * min(1.0, bits or 1.0)
    chosen: Any = next(sizes for most, sizes in SIZES if size <= most)
    return Pyramid.for_grid(tuple(axes), spec.out_features, **(chosen | ({} if width is None else {"width": width})))


#: Networks by the most bits, or samples, of a picture that they are for: the bytes of networks count in small files.
SIZES: Final[tuple[tuple[float, dict[str, int]], ...]] = (
    (1 << 14, {"width": 8, "hidden": 8, "residuals": 1}),
    (1 << 15, {"width": 16, "hidden": 12, "residuals": 1}),
    (math.inf, {"residuals": 1}),
)
#: The weight of the rate is that of photographs at about 33 dB; steps are for 20 s, 3 and 10 minutes of two cores at
#: 768 x 512 pixels.
WEIGHT: Final = 1.5e-3
TRAINING: Final = Training(
    "pyramid",
    ReLU(),
    network=pyramid,
    fit={
        "fast": {"steps": 300, "weight": WEIGHT},
        "balanced": {"steps": 2700, "weight": WEIGHT},
        "best": {"steps": 9000, "weight": WEIGHT},
        "paper": {"steps": 9000, "weight": WEIGHT},
    },
    weighted=True,
)


def coded(task: Task) -> Coded:
    """Lossless networks and latents: they are integers."""
    records = PyramidSection().records(task.field, task.params)
    return Coded(Plan({}, records, dict(task.params)))
