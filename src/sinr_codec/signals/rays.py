"""Rays through a box: where to sample, and what the samples add up to. One text for NumPy and torch.

Sampling has two passes. The coarse pass walks a ray in equal steps and looks each up in a grid of cells whose
densities were computed from the network: steps that are empty, outside the hull, or behind something opaque are
dropped, which costs no evaluation of the network. The fine pass asks the network at `fine` points in each step that is
left, and adds them up (Max 1995; Mildenhall et al. 2020, "NeRF", equation 3).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any, Final

import numpy as np
from array_api_compat import device as device_of
from numpy.typing import NDArray

from sinr_codec.fields.radiance import Radiance, RadianceGrid
from sinr_codec.types import Array

#: A step through a cell of this opacity or less is empty.
LEAST_ALPHA: Final = 0.01
#: Share of the light that a step has to get for being looked at.
LEAST_LIGHT: Final = 1e-3
#: Density, in units of the box's longest half side, that a large raw value of 1 stands for.
DENSITY_SCALE: Final = 30.0
#: Raw density that a fit begins with.
FOG: Final = -4.0


def density(xp: ModuleType, raw: Any) -> Any:
    """``DENSITY_SCALE * log(1 + exp(raw))`` of what the network puts out.

    A softplus keeps a gradient where a ReLU dies, and does not run away as an exponential does.
    """
    return DENSITY_SCALE * (xp.clip(raw, 0.0, None) + xp.log1p(xp.exp(-xp.abs(raw))))


def colour(xp: ModuleType, raw: Any) -> Any:
    """Colours in [0, 1] of what the network puts out: the logistic function."""
    return 0.5 + 0.5 * xp.tanh(0.5 * raw)


@dataclass(frozen=True)
class Box:
    """The part of the world that a scene fills, and how it is walked.

    Attributes
    ----------
    low, high
        Corners in the world; the network's positions are [-1, 1] along every axis.
    near
        Distance from a camera at which its rays begin.
    steps
        Coarse steps along the box's diagonal.
    fine
        Points in a step at which the network is asked.
    cells
        Cells of the grid along every axis.
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    near: float
    steps: int
    fine: int
    cells: int

    @property
    def step(self) -> float:
        """Length of a coarse step in the world."""
        return math.dist(self.low, self.high) / self.steps

    @property
    def optical_step(self) -> float:
        """Length of a coarse step in the unit of the density, the longest half side."""
        return 2 * self.step / max(high - low for low, high in zip(self.low, self.high))

    def world(self, positions: Array) -> NDArray[np.float64]:
        """Points of the world (n, 3) from positions in [-1, 1]."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        return low + (positions.astype(np.float64) + 1) / 2 * (high - low)


def centres_of(numbers: Array, side: int) -> NDArray[np.float32]:
    """Positions (n, 3) in [-1, 1] of cells of a grid (side, side, side) by their numbers in C order."""
    return ((np.stack(np.unravel_index(numbers, (side,) * 3), 1) + 0.5) * (2 / side) - 1).astype(np.float32)


@dataclass(frozen=True)
class Cells:
    """What the coarse pass looks up, flat arrays of ``cells^3``.

    Attributes
    ----------
    occupied
        Whether a step in the cell may be seen at all.
    opaque
        Optical thickness of a step in the cell, at least.
    """

    occupied: Any
    opaque: Any


def make_cells(xp: ModuleType, box: Box, densities: Any, hull: Any) -> Cells:
    """Cells from the densities at their centres and the hull, both (cells, cells, cells).

    To drop nothing that is seen, a cell counts as occupied when it or a neighbour is dense, and is as opaque as the
    emptiest of its neighbours.
    """
    thickness = densities * box.optical_step
    occupied = (_pool(xp, thickness, xp.maximum) > LEAST_ALPHA) & hull
    # the density is 0 outside the hull
    opaque = _pool(xp, xp.where(hull, thickness, xp.zeros_like(thickness)), xp.minimum)
    return Cells(xp.reshape(occupied, (-1,)), xp.reshape(opaque, (-1,)))


def _pool(xp: ModuleType, grid: Any, extreme: Callable[[Any, Any], Any]) -> Any:
    """Greatest or least of the 3 x 3 x 3 cells around each."""
    for axis in range(3):
        grid = xp.moveaxis(grid, axis, 0)
        shifted = extreme(xp.concat([grid[1:], grid[-1:]]), xp.concat([grid[:1], grid[:-1]]))
        grid = xp.moveaxis(extreme(grid, shifted), 0, axis)
    return grid


@dataclass(frozen=True)
class Walk:
    """Rays that were walked coarsely.

    Attributes
    ----------
    keep
        Steps to look at, bool (rays, steps).
    start, advance
        In the box's coordinates, (rays, 3): where rays enter, and what a unit of world length adds.
    stride
        Each step that is kept stands for so many.
    """

    keep: Any
    start: Any
    advance: Any
    stride: int = 1


def walk(xp: ModuleType, box: Box, cells: Cells, origins: Any, directions: Any) -> Walk:
    """The coarse pass over rays from `origins` (n, 3) along unit `directions` (n, 3)."""
    device = device_of(origins)
    low, high = (xp.asarray(np.array(corner, np.float32), device=device) for corner in (box.low, box.high))
    start, advance = (origins - (low + high) / 2) / ((high - low) / 2), directions / ((high - low) / 2)
    slope = xp.where(xp.abs(advance) < 1e-9, xp.full_like(advance, 1e-9), advance)
    one, other = (-1.0 - start) / slope, (1.0 - start) / slope
    enter = xp.clip(xp.max(xp.minimum(one, other), axis=1), box.near, None)
    length = xp.min(xp.maximum(one, other), axis=1) - enter
    start = start + enter[:, None] * advance

    middle = xp.asarray(((np.arange(box.steps) + 0.5) * box.step).astype(np.float32), device=device)
    index = None
    for axis in range(3):
        place = (start[:, axis, None] + middle * advance[:, axis, None] + 1.0) * (box.cells / 2)
        cell = xp.astype(xp.clip(place, 0.0, box.cells - 1.0), xp.int64)
        index = cell if index is None else index * box.cells + cell
    inside = middle < length[:, None]
    opaque = cells.opaque[index] * inside
    light = xp.cumulative_sum(opaque, axis=1) - opaque
    keep = cells.occupied[index] & inside & (light < -math.log(LEAST_LIGHT))
    return Walk(keep, start, advance)


def shade(
    xp: ModuleType,
    box: Box,
    steps: Walk,
    network: Callable[[Any], Any],
    directions: Any,
    background: Any,
    jitter: Callable[[int], Any] | None = None,
) -> Any:
    """The fine pass: colours (rays, 3) in [0, 1].

    Parameters
    ----------
    xp, box
        Array namespace of `array_api_compat`, and the scene.
    steps
        What `walk` gave for these rays.
    network
        coords (n, 6) -> values (n, 4), see `fields.Radiance`.
    directions
        Unit vectors (rays, 3).
    background
        Colour (3,) behind everything.
    jitter
        Gives numbers in [0, 1), (n, fine): places of the points in their part of a step. Without it, the middle.
    """
    rays, count = steps.keep.shape
    ray, number = xp.nonzero(steps.keep)
    device = device_of(directions)
    part = xp.asarray(np.arange(box.fine, dtype=np.float32), device=device)
    within = 0.5 if jitter is None else jitter(ray.shape[0])
    along = (xp.astype(number, xp.float32)[:, None] + (part + within) / box.fine) * box.step  # (n, fine)
    points = steps.start[ray][:, None, :] + along[..., None] * steps.advance[ray][:, None, :]
    views = xp.broadcast_to(directions[ray][:, None, :], points.shape)
    values = network(xp.reshape(xp.concat([points, views], axis=-1), (-1, 6)))

    shape = (-1, box.fine)
    thickness = xp.reshape(density(xp, values[:, 3]), shape) * (steps.stride * box.optical_step / box.fine)
    dense = xp.zeros((rays, count, box.fine), dtype=xp.float32, device=device)
    dense[steps.keep] = thickness
    dense = xp.reshape(dense, (rays, count * box.fine))
    behind = xp.cumulative_sum(dense, axis=1)
    left = xp.exp(-behind)
    weights = xp.reshape(xp.exp(dense - behind) - left, (rays, count, box.fine))[steps.keep]
    seen = xp.sum(weights[..., None] * xp.reshape(colour(xp, values[:, :3]), (*thickness.shape, 3)), axis=1)
    total = xp.zeros((rays, count, 3), dtype=xp.float32, device=device)
    total[steps.keep] = seen
    return xp.sum(total, axis=1) + left[:, -1:] * background


# -- decoding --------------------------------------------------------------------------------------------------


def densities_of(
    apply: Callable[[Array], Array], box: Box, inside: Array, tile: int, each: Callable[..., Any] = map
) -> NDArray[np.float32]:
    """Densities at the centres of the cells that are inside, 0 elsewhere; float32 of the shape of `inside`."""
    result = np.zeros(inside.shape, np.float32)
    numbers = np.flatnonzero(inside)

    def compute(first: int) -> Array:
        positions = centres_of(numbers[first : first + tile], len(inside))
        coords = np.concatenate([positions, np.broadcast_to(np.array([0, 0, 1], np.float32), positions.shape)], axis=1)
        return np.asarray(density(np, apply(coords)[:, 3]))

    starts = range(0, len(numbers), tile)
    for first, found in zip(starts, each(compute, starts)):
        result.reshape(-1)[numbers[first : first + tile]] = found
    return result


# -- training --------------------------------------------------------------------------------------------------

#: Steps of the optimiser between computations of the grid, and cells computed at a time.
REFRESH_STEPS: Final = 64
REFRESH_CELLS: Final = 1 << 17
#: What is left of the density that a cell had before, where it has none now.
DECAY: Final = 0.8
#: Steps a ray, on average, above which training takes longer ones: until the grid knows what is empty.
MOST_STEPS: Final = 16
_CHUNK: Final = 8192


class RayField:
    """A radiance network as a function of rays, for fits: origin and direction (n, 6) -> colours (n, 3).

    The parameters are the network's, and so is everything that is not defined here. Points are jittered where
    gradients are taken and lie in the middle of their parts of a step where not.
    """

    in_features, out_features = 6, 3

    def __init__(
        self, network: Radiance | RadianceGrid, box: Box, hull: Array, background: tuple[float, float, float]
    ) -> None:
        self.network, self.box, self.hull, self.background = network, box, hull, background
        self._cells: Cells | None = None
        self._densities: Any = None
        self._generator: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)

    @property
    def work(self) -> int:
        """Multiply-adds of a forward pass a ray, about."""
        a_point = self.network.work
        return a_point * self.box.fine * MOST_STEPS // 2

    def centre(self, params: dict[str, Array], mean: NDArray[np.float32]) -> dict[str, Array]:
        """Parameters that begin near the mean colour (3,), and with a thin fog everywhere."""
        unit = np.clip(mean.astype(np.float64), 0.02, 0.98)
        return self.network.centre(params, np.append(np.log(unit / (1 - unit)), FOG).astype(np.float32))

    def refresh(self, params: dict[str, Any], step: int) -> None:
        """Compute the grid again every `REFRESH_STEPS` steps; called before every step, without gradients.

        Where and when it is dense is only sampled, so a cell keeps a decaying share of what it was. All cells of the
        hull count as occupied until the first time.
        """
        import torch
        from array_api_compat import torch as xp

        device = next(iter(params.values())).device
        hull = torch.as_tensor(self.hull, device=device)
        if step == 0 or self._cells is None:
            self._generator = torch.Generator().manual_seed(step)
            self._densities = torch.zeros(hull.shape, device=device)
            self._cells = Cells(hull.reshape(-1), torch.zeros(hull.numel(), device=device))
        if step == 0 or step % REFRESH_STEPS:
            return
        places = hull.nonzero()
        if len(places) > REFRESH_CELLS:
            chosen = torch.randint(len(places), (REFRESH_CELLS,), generator=self._generator)
            places = places[chosen.to(device)]
        offset = torch.rand(len(places), 3, generator=self._generator).to(device)
        positions = (places + offset) * (2 / self.box.cells) - 1
        raw = self.network.density(xp, device)
        found = torch.cat([density(xp, raw(params, part)) for part in positions.split(_CHUNK)])
        where = tuple(places.unbind(1))
        self._densities[where] = torch.maximum(self._densities[where] * DECAY, found)
        self._cells = make_cells(xp, self.box, self._densities, hull)

    def function(self, xp: ModuleType, device: Any = None) -> Callable[[Any, Any], Any]:
        """``f(params, rays (n, 6)) -> colours (n, 3)``, for torch."""
        import torch

        network = self.network.function(xp, device)
        background = xp.asarray(np.array(self.background, np.float32), device=device)

        def jitter(count: int) -> Any:
            return torch.rand(count, self.box.fine, generator=self._generator).to(device)

        def f(params: Any, rays: Any) -> Any:
            if self._cells is None:
                self.refresh(params, 0)
            assert self._cells is not None
            directions = rays[:, 3:]
            steps = walk(xp, self.box, self._cells, rays[:, :3], directions)
            trains = torch.is_grad_enabled()
            if trains:
                steps = self._sparser(steps)
            return shade(
                xp, self.box, steps, lambda x: network(params, x), directions, background, jitter if trains else None
            )

        return f

    def _sparser(self, steps: Walk) -> Walk:
        """Keep one of so many steps of each ray that a batch stays affordable, and let it stand for all of them."""
        import torch

        rays, count = steps.keep.shape
        stride = -(-int(steps.keep.sum()) // (MOST_STEPS * rays))
        if stride <= 1:
            return steps
        device = steps.keep.device
        phase = torch.randint(stride, (rays, 1), generator=self._generator).to(device)
        chosen = (torch.arange(count, device=device) + phase) % stride == 0
        return replace(steps, keep=steps.keep & chosen, stride=stride)
