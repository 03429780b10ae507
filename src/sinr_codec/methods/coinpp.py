"""COIN++ (Dupont et al. 2022): a signal as the latents of a meta-learned network, one set per patch.

SINR's paper codes the latents of a signal as d vectors, one per latent, of m numbers, one per patch (section 3.3.3), in
a random dictionary. Cosines over the grid of patches are an alternative, since neighbouring patches may be similar.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from sinr_codec.bases import Base
from sinr_codec.coding.assembled import Plan
from sinr_codec.coding.atoms import sparse_in_limits
from sinr_codec.coding.dictionary import MAX_ENTRIES
from sinr_codec.coding.sparse import Layout, SparseCode
from sinr_codec.coding.tensor import Coding, Direct, Sparse, decode_tensor, encode_tensor
from sinr_codec.errors import InputError
from sinr_codec.fields import Modulations, Sine
from sinr_codec.fields.latents import LatentModel
from sinr_codec.fields.modulated import LATENTS
from sinr_codec.methods.base import PROBE_SAMPLES, Coded, Task, Training
from sinr_codec.planning.paper import PAPER_BITS, PAPER_K2
from sinr_codec.planning.pursuit import sparse_encode
from sinr_codec.signals import lattice
from sinr_codec.signals.base import Part

if TYPE_CHECKING:
    from torch import Tensor

TRAINING: Final = Training("coinpp", Sine(30.0), base={"method": "coinpp"})

SHARE: Final = 1 / 3
"""s as a share of m: 2s of m numbers take the paper's COIN++ from 1.5 bpp to just below 1 (section 4.3)."""
SHARES: Final = (1 / 8, 1 / 4, 1 / 3, 2 / 5)
"""Shares to try for a given quality."""
COSINES: Final = 4
"""k2 / m: cosines of twice as many frequencies along both axes. A basis (k2 = m) needs more atoms."""
_TRIES: Final = 9  # bisections of the range of a step, in octaves
_OCTAVES: Final = 10
AT_ONCE: Final = 1 << 12
"""Samples adapted to in one batch."""
WHOLE: Final = 1 << 16
"""Samples to adapt to for a signal without patches."""


def latents_of(base: Base, part: Part, sizes: tuple[int, ...], device: str, steps: int | None = None) -> NDArray[Any]:
    """The latents float32 (m, d) of a signal: a few steps of gradient descent from zero, with the rates of the base.

    `sizes` are the samples of the signal along each axis, if the base has patches. For device and steps see
    `fit.meta.adapted_to`.
    """
    from sinr_codec.fit.meta import adapted_to

    tasks = _patches(base, lattice.values_of(part, sizes)) if base.patch else iter([some_of(part)])
    return adapted_to(base.field, base.params, base.encoding_rates, tasks, device, steps)[LATENTS]


def _patches(base: Base, values: NDArray[np.float32]) -> Iterator[tuple[Tensor, Tensor]]:
    import torch

    from sinr_codec.fit.tasks import box_coords, patches_of

    patches, coords = torch.from_numpy(patches_of(values, base.patch)), box_coords(base.patch)
    for some in patches.split(max(1, AT_ONCE // math.prod(base.patch))):
        yield coords, some


def some_of(part: Part) -> tuple[Tensor, Tensor]:
    """At most `WHOLE` samples of a signal, evenly spread, as a batch of one task."""
    import torch

    from sinr_codec.fit.samples import even_subset

    index = even_subset(len(part), WHOLE)
    coords, values = part.batch(np.arange(len(part)) if index is None else index)
    return torch.from_numpy(coords), torch.from_numpy(values)[None]


# -- coding of latents -----------------------------------------------------------------------------------------


def levels(task: Task) -> Coded:
    """Levels of each latent, coded with the histogram of the base."""
    model, latents = _model(task), task.params[LATENTS]
    decoded = model.dequantised(model.quantised(latents))
    return Coded(Plan({}, {LATENTS: model.encode(latents)}, {LATENTS: decoded}))


def minmax(task: Task) -> Coded:
    """16-bit min-max quantiser and Brotli, the protocol of SINR's paper."""
    return _recorded(task, Direct(bits=PAPER_BITS, paper=True))


@dataclass(frozen=True)
class Published:
    """SINR on latents as published: s atoms for each of the d vectors, 16-bit min-max quantiser, Brotli.

    Vectors of fewer than three numbers, and those too long for a dictionary, are only quantised.
    """

    kind: str = "gaussian"

    def __call__(self, task: Task) -> Coded:
        """Code latents."""
        found = _dictionary(task, self.kind, SHARE)
        if found is None:
            return minmax(task)
        sparse, code = found
        return _recorded(task, replace(sparse, paper=True), code)


@dataclass(frozen=True)
class Planned:
    """The fewest bytes at the quality of `levels`: uniformly quantised latents, or sparse codes.

    Step sizes are proportional to the reach of a latent in the base. Its histograms are not used: a picture has its own
    distributions, and the latents of a patch are large or small together.
    """

    kind: str | None = None

    def __call__(self, task: Task) -> Coded:
        """Code latents."""
        error = task.error(PROBE_SAMPLES)
        limit = max(error(levels(task).plan.params), error(task.params) * 1.001)
        coders = [] if self.kind is None else list(self._sparse(task, self.kind))
        coders = coders or [self._coder(task)]  # vectors of one number have no sparse code
        found = [coded for coder in coders if (coded := _coarsest(coder, error, limit)) is not None]
        if not found:
            # no code meets the limit: take the best one
            found = [min((coder(2.0**-_OCTAVES) for coder in coders), key=lambda coded: error(coded.plan.params))]
        return min(found, key=lambda coded: coded.plan.bytes)

    def _coder(self, task: Task) -> Callable[[float], Coded]:
        scaled = _model(task).scaled(task.params[LATENTS])
        unit = float(np.sqrt(np.mean(scaled**2))) or 1.0
        return lambda step: _recorded(task, Direct(step=step * unit, row=scaled.shape[1]))

    def _sparse(self, task: Task, kind: str) -> Iterator[Callable[[float], Coded]]:
        for share in SHARES:
            if (found := _dictionary(task, kind, share)) is not None:
                sparse, code = found
                unit = float(np.sqrt(np.mean(code.values**2))) or 1.0
                yield partial(self._at, task, sparse, code, unit)

    @staticmethod
    def _at(task: Task, sparse: Sparse, code: SparseCode, unit: float, step: float) -> Coded:
        return _recorded(task, replace(sparse, bits=None, step=step * unit), code)


def _coarsest(coder: Callable[[float], Coded], error: Callable[[Any], float], limit: float) -> Coded | None:
    """The result of a coder with the largest step that meets the limit; None if none does."""
    low, high = -float(_OCTAVES), 2.0  # log2 of steps
    best = None
    for _ in range(_TRIES):
        middle = (low + high) / 2
        coded = coder(2.0**middle)
        if error(coded.plan.params) <= limit:
            low, best = middle, coded
        else:
            high = middle
    return best


def _dictionary(task: Task, kind: str, share: float) -> tuple[Sparse, SparseCode] | None:
    """The coding, without a quantiser, and the sparse code of the latents; None if there is none with so many atoms."""
    scaled = _model(task).scaled(task.params[LATENTS])
    m = len(scaled)
    s, layout = int(share * m), Layout(0)
    k2 = min(PAPER_K2, MAX_ENTRIES // m) if kind != "dct" else COSINES * m
    seed = task.seed if kind != "dct" else (task.field.counts or (1,))[-1]  # type: ignore[attr-defined]
    if s < 1 or s > k2 or not sparse_in_limits(scaled.shape, layout, k2, s):
        return None
    encode = partial(sparse_encode, scaled, kind=kind, seed=seed, k2=k2, s=s, layout=layout, device=task.device)
    code = task.once((kind, s), encode)
    return Sparse(kind, seed, k2, s, layout, bits=PAPER_BITS), code


def _recorded(task: Task, coding: Coding, code: SparseCode | None = None) -> Coded:
    """Latents as a record, with the field that describes it."""
    model, field = _model(task), cast(Modulations, task.field)
    scaled = model.scaled(task.params[LATENTS])
    record = encode_tensor(scaled, coding, code)
    decoded = model.unscaled(decode_tensor(record, scaled.shape, np.float32))
    plan = Plan({LATENTS: coding}, {LATENTS: record}, {LATENTS: decoded}, codes={LATENTS: code})
    figures = {} if code is None else {"s": float(len(code.indices)), "sent": 2.0 * code.indices.size}
    return Coded(plan, figures=figures, field=replace(field, recorded=True))


def _model(task: Task) -> LatentModel:
    if task.base is None or task.base.model is None:
        raise InputError("latents: expected a base with a model of them")
    return task.base.model
