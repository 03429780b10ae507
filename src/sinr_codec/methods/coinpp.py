"""COIN++ (Dupont et al. 2022): a signal as the latents of a meta-learned network, one set a patch."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sinr_codec.bases import Base
from sinr_codec.errors import InputError
from sinr_codec.fields.modulated import LATENTS
from sinr_codec.signals import lattice
from sinr_codec.signals.base import Part

AT_ONCE = 1 << 12
"""Samples that are adapted to together."""
WHOLE = 1 << 16
"""Samples of a signal without patches that it is adapted to."""


def latents_of(base: Base, part: Part, sizes: tuple[int, ...], device: str, steps: int | None = None) -> NDArray[Any]:
    """The latents float32 (m, d) of a signal: a few steps of gradient descent from zero, with the rates of the base.

    `sizes` are the samples of the signal along each axis, where the base has patches; device and steps are as for
    `fit.meta.adapted_to`.
    """
    from sinr_codec.fit.meta import adapted_to

    if base.rates is None:
        raise InputError("base: has no rates, and so it can only decode; expected the file that `sinr learn` wrote")
    tasks = _patches(base, lattice.values_of(part, sizes)) if base.patch else iter([some_of(part)])
    return adapted_to(base.field, base.params, base.rates, tasks, device, steps)[LATENTS]


def _patches(base: Base, values: NDArray[np.float32]) -> Iterator[Any]:
    import torch

    from sinr_codec.fit.tasks import box_coords, patches_of

    patches, coords = torch.from_numpy(patches_of(values, base.patch)), box_coords(base.patch)
    for some in patches.split(max(1, AT_ONCE // math.prod(base.patch))):
        yield coords, some


def some_of(part: Part) -> Any:
    """At most `WHOLE` samples of a signal, evenly spread, as a batch of one task."""
    import torch

    from sinr_codec.fit.samples import even_subset

    index = even_subset(len(part), WHOLE)
    coords, values = part.batch(np.arange(len(part)) if index is None else index)
    return torch.from_numpy(coords), torch.from_numpy(values)[None]
