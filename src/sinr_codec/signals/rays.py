"""Volume rendering along rays through a box: sampling and quadrature, for both NumPy and torch.

Sampling has two passes. The coarse pass marches along a ray in equal steps and looks each step up in a grid of cells,
with densities computed from the network. Steps that are empty, outside the hull or occluded are dropped without an
evaluation of the network. The fine pass evaluates the network at `fine` points in each remaining step and composites
them (Max 1995; Mildenhall et al. 2020, "NeRF", equation 3).
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

#: A step through a cell is empty at this opacity or less.
LEAST_ALPHA: Final = 0.01
#: Least transmittance up to a step for the step to be evaluated.
LEAST_LIGHT: Final = 1e-3
#: Density per unit of a large raw value, where the unit of length is the box's longest half side.
DENSITY_SCALE: Final = 30.0
#: Initial raw density of a fit.
FOG: Final = -4.0


def density(xp: ModuleType, raw: Any) -> Any:
    """Density ``DENSITY_SCALE * log(1 + exp(raw))`` from a network's output.

    A softplus keeps a gradient where a ReLU has none, and does not diverge as an exponential may.
    """
    return DENSITY_SCALE * (xp.clip(raw, 0.0, None) + xp.log1p(xp.exp(-xp.abs(raw))))


def colour(xp: ModuleType, raw: Any) -> Any:
    """Colours in [0, 1] from a network's output, by the logistic function."""
    return 0.5 + 0.5 * xp.tanh(0.5 * raw)


@dataclass(frozen=True)
class Box:
    """The bounding box of a scene, and the sampling of rays through it.

    Attributes
    ----------
    low, high
        Corners in the world, which map to -1 and 1 along every axis of the network's positions.
    near
        Near distance: where a camera's rays begin.
    steps
        Coarse steps along the box's diagonal.
    fine
        Evaluations of the network in a step.
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
        """Length of a coarse step in units of the longest half side, as the density is."""
        return 2 * self.step / max(high - low for low, high in zip(self.low, self.high))

    def world(self, positions: Array) -> NDArray[np.float64]:
        """World points (n, 3) from positions in [-1, 1]."""
        low, high = np.asarray(self.low), np.asarray(self.high)
        return low + (positions.astype(np.float64) + 1) / 2 * (high - low)


def centres_of(numbers: Array, side: int) -> NDArray[np.float32]:
    """Centres (n, 3) in [-1, 1] of cells of a grid (side, side, side), by index in C order."""
    return ((np.stack(np.unravel_index(numbers, (side,) * 3), 1) + 0.5) * (2 / side) - 1).astype(np.float32)


@dataclass(frozen=True)
class Cells:
    """Lookup tables of the coarse pass: flat arrays of ``cells^3``.

    Attributes
    ----------
    occupied
        Whether a step in the cell may be visible.
    opaque
        Lower bound of the optical thickness of a step in the cell.
    """

    occupied: Any
    opaque: Any


def make_cells(xp: ModuleType, box: Box, densities: Any, hull: Any) -> Cells:
    """Cells from the densities at their centres and the hull, both (cells, cells, cells).

    So that nothing visible is dropped, a cell counts as occupied if it or a neighbour is dense, and is as opaque as its
    least opaque neighbour.
    """
    thickness = densities * box.optical_step
    occupied = (_pool(xp, thickness, xp.maximum) > LEAST_ALPHA) & hull
    # the density is 0 outside the hull
    opaque = _pool(xp, xp.where(hull, thickness, xp.zeros_like(thickness)), xp.minimum)
    return Cells(xp.reshape(occupied, (-1,)), xp.reshape(opaque, (-1,)))


def _pool(xp: ModuleType, grid: Any, extreme: Callable[[Any, Any], Any]) -> Any:
    """Maximum or minimum over the 3 x 3 x 3 cells around each cell."""
    for axis in range(3):
        grid = xp.moveaxis(grid, axis, 0)
        shifted = extreme(xp.concat([grid[1:], grid[-1:]]), xp.concat([grid[:1], grid[:-1]]))
        grid = xp.moveaxis(extreme(grid, shifted), 0, axis)
    return grid


@dataclass(frozen=True)
class Walk:
    """Result of the coarse pass.

    Attributes
    ----------
    keep
        Steps to evaluate, bool (rays, steps).
    start, advance
        In the box's coordinates, (rays, 3): entry points of the rays, and their change for a unit of world length.
    stride
        Number of steps that each kept step stands for.
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
        Result of `walk` for these rays.
    network
        coords (n, 6) -> values (n, 4), see `fields.Radiance`.
    directions
        Unit vectors (rays, 3).
    background
        Background colour (3,).
    jitter
        Function from n to positions of points within their part of a step, in [0, 1), (n, fine). Default: the middle.
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
    """Densities at the centres of the cells inside, 0 elsewhere; float32 of the shape of `inside`."""
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

#: Steps of the optimiser between updates of the grid, and cells evaluated at a time.
REFRESH_STEPS: Final = 64
REFRESH_CELLS: Final = 1 << 17
#: Factor on a cell's earlier density in an update of the grid.
DECAY: Final = 0.8
#: Mean number of steps a ray above which training subsamples steps, until the grid shows empty space.
MOST_STEPS: Final = 16
_CHUNK: Final = 8192


class RayField:
    """A radiance network as a function of rays, for fits: origin and direction (n, 6) -> colours (n, 3).

    Parameters and all attributes not defined here are those of the network. Points are jittered with gradients enabled,
    and in the middle of their parts of a step otherwise.
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
        """Approximate multiply-adds of a forward pass for a ray."""
        a_point = self.network.work
        return a_point * self.box.fine * MOST_STEPS // 2

    def centre(self, params: dict[str, Array], mean: NDArray[np.float32]) -> dict[str, Array]:
        """Parameters that start near the mean colour (3,), with a thin fog everywhere."""
        unit = np.clip(mean.astype(np.float64), 0.02, 0.98)
        return self.network.centre(params, np.append(np.log(unit / (1 - unit)), FOG).astype(np.float32))

    def refresh(self, params: dict[str, Any], step: int) -> None:
        """Update the grid every `REFRESH_STEPS` steps; called before every step, without gradients.

        Densities are only sampled, so a cell keeps a decaying share of its earlier density. All cells of the hull count
        as occupied until the first update.
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
        """Subsample the steps of each ray to bound the cost of a batch; each kept step stands for `stride` steps."""
        import torch

        rays, count = steps.keep.shape
        stride = -(-int(steps.keep.sum()) // (MOST_STEPS * rays))
        if stride <= 1:
            return steps
        device = steps.keep.device
        phase = torch.randint(stride, (rays, 1), generator=self._generator).to(device)
        chosen = (torch.arange(count, device=device) + phase) % stride == 0
        return replace(steps, keep=steps.keep & chosen, stride=stride)
