"""Tasks for meta-learning: random crops of signals, all on one device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sinr_codec.devices import check_device
from sinr_codec.errors import InputError
from sinr_codec.fit.samples import Samples
from sinr_codec.signals.base import Part


class Tasks(Protocol):
    """Source of the tasks of `learn`."""

    generator: torch.Generator
    """Source of all randomness. Checkpoints store its state."""

    @property
    def in_features(self) -> int:
        """Number of coordinates a."""

    @property
    def out_features(self) -> int:
        """Number of values b."""

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """A batch of tasks: coords (n, a) shared by all, or (count, n, a); and values (count, n, b)."""


class Crops:
    """Random boxes of signals on regular grids, randomly mirrored; the coordinates of a box span [-1, 1].

    Parameters
    ----------
    arrays
        Values in [-1, 1] of each signal, float32 (*sizes, b).
    shape
        Samples of a box along each axis (patches, of which all samples are taken). None for boxes of the signal's
        aspect ratio.
    least
        For boxes without a shape: their smallest size, as a share of the signal's sides.
    samples
        For boxes without a shape: how many positions to draw from each, independently and uniformly.
    mirror
        For each axis, whether boxes may be mirrored.
    mix
        For boxes without a shape: permute axes and channels at random, which makes more tasks of few signals.
    seed, device
        Seed of the generator, and the device that holds the arrays.

    Raises
    ------
    InputError
        No arrays, arrays of unequal dimensions, one that is smaller than a patch, or a device that cannot be used.
    """

    def __init__(
        self,
        arrays: Sequence[NDArray[np.float32]],
        shape: Sequence[int] | None = None,
        *,
        least: float = 1.0,
        samples: int = 4096,
        mirror: Sequence[bool] | None = None,
        mix: bool = False,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        check_device(device)
        if not arrays:
            raise InputError("signals: expected at least one to learn from")
        if len({(a.ndim, a.shape[-1]) for a in arrays}) != 1:
            raise InputError("signals: expected as many axes and channels of each")
        sizes = np.array([a.shape[:-1] for a in arrays], np.int64)
        if shape is not None and (len(shape) != sizes.shape[1] or (sizes < np.array(shape)).any()):
            raise InputError(f"patch: expected one that fits into every signal, got {'x'.join(map(str, shape))}")
        self._shape = None if shape is None else tuple(shape)
        self._least, self._samples, self._mix = least, samples, mix
        self.in_features, self.out_features = int(sizes.shape[1]), int(arrays[0].shape[-1])
        steps = np.stack([np.append(np.cumprod(s[:0:-1])[::-1], 1) for s in sizes])  # of a row-major array
        counts = sizes.prod(1)
        self._values = torch.from_numpy(np.concatenate([a.reshape(-1, a.shape[-1]) for a in arrays])).to(device)
        self._sizes, self._steps = torch.from_numpy(sizes).to(device), torch.from_numpy(steps).to(device)
        self._offsets = torch.from_numpy(np.cumsum(counts) - counts).to(device)
        self._shares = torch.from_numpy(counts / counts.sum()).to(device)
        self._mirror = torch.tensor(mirror if mirror is not None else [False] * self.in_features, device=device)
        self.generator = torch.Generator(device).manual_seed(seed)
        if self._shape is not None:
            axes = [torch.arange(n, device=device) for n in self._shape]
            self._places = torch.cartesian_prod(*axes).reshape(-1, self.in_features)

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(shape, generator=self.generator, device=self._values.device, dtype=torch.float64)

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """See `Tasks.draw`. Signals are drawn in proportion to their number of samples."""
        which = torch.multinomial(self._shares, count, replacement=True, generator=self.generator)
        sizes, axes = self._sizes[which][:, None], self.in_features
        if self._shape is not None:
            extents = torch.tensor(self._shape, device=sizes.device).expand_as(sizes)
            places = self._places.expand(count, -1, -1)
            coords = local_coords(self._places, torch.tensor(self._shape, device=sizes.device))
        else:
            share = self._least + (1 - self._least) * self._uniform(count, 1, 1)
            extents = (sizes * share).round().long().clamp(min=1)
            places = (self._uniform(count, self._samples, axes) * extents).long()
            coords = local_coords(places, extents)
        corner = (self._uniform(count, 1, axes) * (sizes - extents + 1)).long()
        turned = (self._uniform(count, 1, axes) < 0.5) & self._mirror
        places = corner + torch.where(turned, extents - 1 - places, places)
        rows = (places * self._steps[which][:, None]).sum(-1) + self._offsets[which][:, None]
        values = self._values[rows]
        if self._mix and self._shape is None:
            coords, values = self._shuffled(coords), self._shuffled(values)
        return coords, values

    def _shuffled(self, columns: Tensor) -> Tensor:
        """The columns of (count, n, c), permuted for each task."""
        order = self._uniform(len(columns), 1, columns.shape[-1]).argsort(-1)
        return columns.gather(-1, order.expand(columns.shape))


def local_coords(places: Any, extents: Any) -> Tensor:
    """Sample indices (..., a) from 0 on, of a box of `extents` -> centres of the samples, float32 in [-1, 1]."""
    coords: Tensor = ((2 * places + 1).double() / extents - 1).float()
    return coords


def box_coords(shape: Sequence[int]) -> Tensor:
    """Coordinates float32 (n, a) of all samples of a box, in C order."""
    axes = [torch.arange(n) for n in shape]
    return local_coords(torch.cartesian_prod(*axes).reshape(-1, len(shape)), torch.tensor(tuple(shape)))


class Tables:
    """Random samples of whole signals without a grid, such as points on a sphere.

    Parameters
    ----------
    parts
        Signals. Their own coordinates are used.
    samples
        How many positions to draw from each, independently and uniformly.
    seed, device
        As for `Crops`.

    Raises
    ------
    InputError
        As `Crops`.
    """

    def __init__(self, parts: Sequence[Part], samples: int = 4096, seed: int = 0, device: str = "cpu") -> None:
        if not parts or len({(part.in_features, part.out_features) for part in parts}) != 1:
            raise InputError("signals: expected at least one, and as many coordinates and values of each")
        self.in_features, self.out_features = parts[0].in_features, parts[0].out_features
        self._samples, self._tables = samples, [Samples(part, device) for part in parts]
        self.generator = torch.Generator().manual_seed(seed)

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """See `Tasks.draw`. All signals are equally likely."""
        which = torch.randint(len(self._tables), (count,), generator=self.generator).tolist()
        drawn = [
            self._tables[i].take(torch.randint(len(self._tables[i]), (self._samples,), generator=self.generator))
            for i in which
        ]
        return torch.stack([coords for coords, _ in drawn]), torch.stack([values for _, values in drawn])


def patches_of(values: NDArray[Any], shape: Sequence[int]) -> NDArray[Any]:
    """Cut a signal (*sizes, b) into patches (m, n, b), both patches and samples in C order.

    The signal is padded by reflection to whole patches, as in COIN++ (section 3.3), which also codes the padding.
    """
    sizes, axes = values.shape[:-1], len(shape)
    counts = [math.ceil(n / k) for n, k in zip(sizes, shape)]
    margin = [(0, c * k - n) for n, k, c in zip(sizes, shape, counts)]
    padded = np.pad(values, [*margin, (0, 0)], mode="reflect")
    split = padded.reshape(*(x for pair in zip(counts, shape) for x in pair), values.shape[-1])
    order = [*range(0, 2 * axes, 2), *range(1, 2 * axes, 2), 2 * axes]
    return np.ascontiguousarray(split.transpose(order)).reshape(math.prod(counts), math.prod(shape), -1)


def joined(patches: NDArray[Any], sizes: Sequence[int], shape: Sequence[int]) -> NDArray[Any]:
    """Inverse of `patches_of`: the signal (*sizes, b) without the padding."""
    axes = len(shape)
    counts = [math.ceil(n / k) for n, k in zip(sizes, shape)]
    split = patches.reshape(*counts, *shape, patches.shape[-1])
    order = [axis for pair in zip(range(axes), range(axes, 2 * axes)) for axis in pair]
    whole = split.transpose([*order, 2 * axes]).reshape(*(c * k for c, k in zip(counts, shape)), -1)
    return np.ascontiguousarray(whole[tuple(slice(n) for n in sizes)])
