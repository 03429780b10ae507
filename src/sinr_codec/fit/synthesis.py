"""The synthesis of a pyramid in real numbers, for training: what `fields.synthesis` computes exactly.

All layers work at the resolution of level 1, where the samples of a position are its phases: a fraction of the
positions, with channels enough for fast convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from sinr_codec.errors import InputError
from sinr_codec.fields.pyramid import Pyramid
from sinr_codec.fit.tiles import Tile, tiles_of

LEAK: Final = 0.125
"""Slope of the activation of negative numbers."""
MAX_AXES: Final = 3
"""PyTorch has convolutions of as many axes."""


class Synthesis:
    """Values at the samples of a pyramid, or of a tile of it, differentiable by latents and networks.

    Raises
    ------
    InputError
        More than `MAX_AXES` axes.
    """

    def __init__(self, field: Pyramid, tile: Tile | None = None, device: str = "cpu", fast: bool = True) -> None:
        if field.in_features > MAX_AXES:
            raise InputError(f"pyramid: can be fitted to at most {MAX_AXES} axes, found {field.in_features}")
        self.field, self.device = field, device
        rounded = fast and _rounds(device)
        self._dtype = torch.bfloat16 if rounded else torch.float32
        d = field.in_features
        self._convolution: Any = (functional.conv1d, functional.conv2d, functional.conv3d)[d - 1]
        formats = (torch.contiguous_format, torch.channels_last, torch.channels_last_3d)
        self._format = formats[d - 1] if rounded else torch.contiguous_format
        self.tile = tile or tiles_of(field)[0]
        around = self.tile.around
        self._ups = [
            [
                _taps(mine, theirs, size, device) if h else None
                for mine, theirs, size, h in zip(around[k - 1], around[k], field.size(k + 1), field.halved(k))
            ]
            for k in range(1, field.levels)
        ]
        inner = [slice(a - c, b - c) for (a, b), (c, _) in zip(self.tile.parts[0], around[0])]
        self._inner = (slice(None), slice(None), *inner)
        self._taps = _phase_taps(field.halved(0), device)

    def __call__(self, latents: Sequence[Tensor], networks: Mapping[str, Tensor]) -> Tensor:
        """Values (1, b * phases, *part of level 1), from latents (channels, *size) around the tile of each level."""
        x = latents[-1]
        for level in reversed(range(1, self.field.levels)):
            x = torch.cat([latents[level - 1], self._doubled(x, level, networks["upsampling"])])
        x = x[None].to(self._dtype).contiguous(memory_format=self._format)
        h = self._conv(x, networks["synthesis.0.weight"], networks["synthesis.0.bias"])
        h = functional.leaky_relu(h, LEAK)
        weight, width = networks["synthesis.1.weight"], self.field.width
        x = self._pointwise(x, weight[:, width:]) + self._pointwise(h, weight[:, :width], networks["synthesis.1.bias"])
        for number in range(self.field.residuals):
            kernel = self._by_phases(networks[f"residuals.{number}.weight"])
            bias = networks[f"residuals.{number}.bias"].repeat_interleave(self.field.phases)
            change = self._conv(x, kernel, bias)
            x = x + (functional.leaky_relu(change, LEAK) if number + 1 < self.field.residuals else change)
        return x[self._inner].float()

    def samples(self, values: Tensor) -> Tensor:
        """Values of `__call__` as (b, *sizes)."""
        field = self.field
        halved = field.halved(0)
        shape = [2 if h else 1 for h in halved]
        x = values[0].contiguous().view(field.out_features, *shape, *values.shape[2:])
        d = field.in_features
        order = [0, *(i for a in range(d) for i in (1 + d + a, 1 + a))]
        x = x.permute(order).reshape(field.out_features, *(n * s for n, s in zip(values.shape[2:], shape)))
        return x[(slice(None), *map(slice, field.sizes))]

    def targets(self, values: NDArray[np.float32]) -> Tensor:
        """Values (*sizes, b) in the form of `__call__`; an odd side ends with its last samples twice."""
        field = self.field
        d, halved = field.in_features, field.halved(0)
        x = np.pad(values, [*((0, n & int(h)) for n, h in zip(field.sizes, halved)), (0, 0)], mode="edge")
        x = x.reshape(*(k for n, h in zip(x.shape, halved) for k in ((n // 2, 2) if h else (n, 1))), -1)
        x = x.transpose(2 * d, *range(1, 2 * d, 2), *range(0, 2 * d, 2))
        x = np.ascontiguousarray(x).reshape(1, -1, *field.size(1))
        return torch.tensor(x, device=self.device).contiguous(memory_format=self._format)

    # -- layers

    def _conv(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        padded = functional.pad(x, (1,) * (2 * self.field.in_features), mode="replicate")
        return self._convolution(padded, weight.to(self._dtype), bias.to(self._dtype))

    def _pointwise(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        weight = weight.to(self._dtype)[(..., *[None] * self.field.in_features)]
        return self._convolution(x, weight, None if bias is None else bias.to(self._dtype))

    def _doubled(self, x: Tensor, level: int, kernel: Tensor) -> Tensor:
        """Latents of a level's parents, upsampled to it: a product with a banded matrix for each axis."""
        for axis, taps in enumerate(self._ups[level - 1], 1):
            if taps is not None:
                places, which, shape = taps
                matrix = torch.zeros(math.prod(shape), device=x.device).index_add(0, places, kernel[which]).view(shape)
                rest = x.shape[axis + 1 :]
                wide = matrix @ x.reshape(math.prod(x.shape[:axis]), shape[1], -1) if rest else x @ matrix.T
                x = wide.reshape(*x.shape[:axis], shape[0], *rest)
        return x

    def _by_phases(self, weight: Tensor) -> Tensor:
        """A convolution b -> b of samples as one b * phases -> b * phases of positions."""
        field = self.field
        b, phases = field.out_features, field.phases
        to, of, at, tap = self._taps
        channels = torch.arange(b, device=weight.device)
        kernel = torch.zeros(b, phases, b, phases, 3**field.in_features, device=weight.device)
        index = (channels[:, None, None], to[None, None], channels[None, :, None], of[None, None], at[None, None])
        kernel = kernel.index_put(index, weight.reshape(b, b, -1)[:, :, tap])
        return kernel.reshape(b * phases, b * phases, *(3,) * field.in_features)


def _rounds(device: str) -> bool:
    """Whether convolutions in bfloat16, with channels last, are the fast ones.

    A processor with a unit for them takes a fraction of the time. On others they take 4 times the time of float32.
    """
    return torch.device(device).type != "cpu" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _taps(
    window: tuple[int, int], above: tuple[int, int], parents: int, device: str
) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Where the kernel's numbers go in the matrix of an upsampling, which each is, and the shape.

    The matrix has the positions of a window as rows, and those of a window of their `parents` as columns.
    """
    (start, stop), (first, last) = window, above
    row, tap = torch.meshgrid(torch.arange(start, stop), torch.arange(4), indexing="ij")
    away = torch.where(row % 2 == 0, tap - 2, 2 - tap)
    column = (row // 2 + away).clamp(0, parents - 1) - first
    shape = (stop - start, last - first)
    places = (row - start) * shape[1] + column
    return places.flatten().to(device), tap.flatten().to(device), shape


def _phase_taps(halved: Sequence[bool], device: str) -> list[Tensor]:
    """Of each tap of a convolution of samples: phase to, phase of, tap of positions, tap of samples; each (n,)."""
    axes = [range(2) if h else range(1) for h in halved]
    found = []
    for (to, mine), (of, theirs) in product(enumerate(product(*axes)), repeat=2):
        for at, offset in enumerate(product((-1, 0, 1), repeat=len(halved))):
            tap = [2 * o + t - m if h else o for o, t, m, h in zip(offset, theirs, mine, halved)]
            if max(map(abs, tap)) <= 1:
                number = sum((t + 1) * 3 ** (len(halved) - 1 - a) for a, t in enumerate(tap))
                found.append((to, of, at, number))
    return list(torch.tensor(found, device=device).T)
