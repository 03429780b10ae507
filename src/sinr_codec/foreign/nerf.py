"""The NeRFs of two widespread programs, by the names of their tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType
from typing import ClassVar, Final

import numpy as np

from sinr_codec.fields._numbers import compact
from sinr_codec.fields.activations import ReLU
from sinr_codec.foreign.chain import (
    MAX_OCTAVES,
    Domain,
    Layer,
    State,
    Waves,
    activated,
    box,
    layer_of,
    logistic,
    placing,
)
from sinr_codec.signals.base import Apply
from sinr_codec.types import Array, JsonObject

SCENE: Final = (-1.5, 1.5)
"""Box of the scenes that NeRF's code calls "blender"; cameras stand outside it, at a distance of 4."""
_RAY_SAMPLES: Final = 32
"""Points of a ray within the box: enough to meet every surface, and compared networks meet the same ones."""
_RELU: Final = ReLU()


@dataclass(frozen=True)
class _Naming:
    """How a program names the parts of its NeRF, and where its forward pass has its own ways."""

    trunk: str  # with the number of the layer
    first: str | None  # a layer before the trunk that no ReLU follows
    feature: str
    views: str
    density: str
    colour: str
    joint: str  # without viewing directions: colour and density of one layer
    feature_relu: bool
    skip_first: bool


NERFS: Final = {
    "yenchenlin": _Naming(
        "pts_linears.{}", None, "feature_linear", "views_linears.{}", "alpha_linear", "rgb_linear", "output_linear",
        feature_relu=False, skip_first=True,
    ),
    "krrish94": _Naming(
        "layers_xyz.{}", "layer1", "fc_feat", "layers_dir.{}", "fc_alpha", "fc_rgb", "fc_out",
        feature_relu=True, skip_first=False,
    ),
}  # fmt: skip
"""The two widespread PyTorch programs called nerf-pytorch, by their authors' names on GitHub."""


@dataclass(frozen=True)
class Nerf:
    """A radiance field as NeRF's code builds it: a trunk over positions, density, and a colour that sees directions.

    Compared are pixels: rays through uniform points of the box `domain` in all directions, 32 samples each within the
    box, composited as in NeRF (section 4) to red, green, blue and opacity; peak 1. Comparing colours and densities
    point by point would be strict where nothing is to be seen, in empty space and within objects.
    """

    prefix: str
    style: str
    trunk: tuple[Layer, ...]
    feature: Layer | None
    views: tuple[Layer, ...]
    density: Layer | None
    colour: Layer
    position: Waves
    direction: Waves | None
    domain: Domain = (SCENE,) * 3

    KIND: ClassVar[str] = "nerf"
    POINTS: ClassVar[int] = _RAY_SAMPLES
    in_features: ClassVar[int] = 5
    out_features: ClassVar[int] = 4
    peak: ClassVar[float] = 1.0

    @property
    def _layers(self) -> list[Layer]:
        layers = [*self.trunk, self.feature, *self.views, self.density, self.colour]
        return [layer for layer in layers if layer is not None]

    @property
    def names(self) -> tuple[str, ...]:
        """Keys of the tensors that coding may change."""
        return tuple(name for layer in self._layers for name in layer.names)

    @property
    def widest(self) -> int:
        """Real numbers that one ray takes where the network is widest."""
        return self.POINTS * max(max(layer.fan_in, layer.fan_out) for layer in self._layers)

    @property
    def compared(self) -> str:
        """What is compared, in words."""
        return f"pixels of rays through the box {box(self.domain)}, peak 1"

    def function(self, state: State, xp: ModuleType = np) -> Apply:
        """``f(rays (n, 5) in [-1, 1]^5) -> red, green, blue, opacity (n, 4)``: a point in the box and a direction.

        The state is of arrays of `xp`, and so are the outputs.
        """
        radiance, place = self.radiance(state, xp), placing(self.domain)
        low, high = np.array(self.domain, np.float32).T
        steps = ((np.arange(self.POINTS) + 0.5) / self.POINTS).astype(np.float32)

        def apply(rays: Array) -> Array:
            with np.errstate(all="ignore"):
                point, direction = place(rays[:, :3]), _on_sphere(rays[:, 3:])
                walls = np.stack([(low - point) / direction, (high - point) / direction])
                near, far = walls.min(0).max(1), walls.max(0).min(1)
                along = near[:, None] + steps * (far - near)[:, None]
                x = point[:, None] + along[:, :, None] * direction[:, None]
                colour, density = radiance(x.reshape(-1, 3), direction)
                lengths = xp.asarray(((far - near) / self.POINTS)[:, None])
                passed = xp.exp(-density.reshape(along.shape) * lengths)
                light = xp.cumprod(passed, 1)
                weight = xp.concat([xp.ones_like(light[:, :1]), light[:, :-1]], axis=1) * (1 - passed)
                pixel = (weight[:, :, None] * colour.reshape(*along.shape, 3)).sum(1)
                return xp.concat([pixel, weight.sum(1)[:, None]], axis=1)

        return apply

    def radiance(self, state: State, xp: ModuleType = np) -> Callable[[Array, Array], tuple[Array, Array]]:
        """``f(positions (n m, 3), directions (n, 3)) -> colours (n m, 3), densities (n m, 1)``, both as rendered."""
        style = NERFS[self.style]
        encode = self.position.function(state)
        encode_direction = None if self.direction is None else self.direction.function(state)
        trunk = [layer.affine(state, xp=xp) for layer in self.trunk]
        again = {i for i in range(1, len(trunk)) if self.trunk[i].fan_in != self.trunk[i - 1].fan_out}
        feature = None if self.feature is None else self.feature.affine(state, xp=xp)
        views = [layer.affine(state, xp=xp) for layer in self.views]
        density = None if self.density is None else self.density.affine(state, xp=xp)
        colour = self.colour.affine(state, xp=xp)

        def apply(positions: Array, directions: Array) -> tuple[Array, Array]:
            x = first = xp.asarray(encode(positions))
            for i, layer in enumerate(trunk):
                if i in again:
                    x = xp.concat([first, x] if style.skip_first else [x, first], axis=1)
                x = layer(x)
                if i > 0 or style.first is None:
                    x = activated(_RELU, x, xp)
            if density is None or feature is None or encode_direction is None:
                raw = colour(x)
                return logistic(raw[:, :3], xp), _RELU(xp, raw[:, 3:4])
            sigma, x = density(x), feature(x)
            if style.feature_relu:
                x = activated(_RELU, x, xp)
            seen = xp.asarray(np.repeat(encode_direction(directions), len(x) // len(directions), axis=0))
            x = xp.concat([x, seen], axis=1)
            for layer in views:
                x = layer(x)
                x = activated(_RELU, x, xp)
            return logistic(colour(x), xp), _RELU(xp, sigma)

        return apply

    def describe(self) -> str:
        """One line for people."""
        widths = " ".join(str(layer.fan_out) for layer in self.trunk)
        views = f", directions in {self.direction.octaves} octaves" if self.direction is not None else ""
        return f"NeRF: positions in {self.position.octaves} octaves -> {widths} relu{views} -> colour, density"

    def to_table(self) -> JsonObject:
        """A description from which `network_from_table` makes the same network."""
        domain = [[compact(low), compact(high)] for low, high in self.domain]
        return {"kind": self.KIND, "prefix": self.prefix, "domain": domain}


def find_nerf(state: State, prefix: str) -> Nerf | None:
    """The NeRF whose tensors have this prefix, by the names that one of `NERFS` gives them."""
    for style, names in NERFS.items():
        found = _find_nerf(state, prefix, style, names)
        if found is not None:
            return found
    return None


def _find_nerf(state: State, prefix: str, style: str, names: _Naming) -> Nerf | None:
    def layer(name: str) -> Layer | None:
        keys = f"{prefix}{name}.weight", f"{prefix}{name}.bias"
        return layer_of(state, *keys) if all(key in state for key in keys) else None

    def numbered(name: str) -> list[Layer]:
        found: list[Layer] = []
        while (here := layer(name.format(len(found)))) is not None:
            found.append(here)
        return found

    trunk = numbered(names.trunk)
    if names.first is not None:
        first = layer(names.first)
        trunk = [] if first is None else [first, *trunk]
    position = _deduced(trunk[0].fan_in) if len(trunk) > 1 else None
    if position is None:
        return None
    width, size = trunk[-1].fan_out, trunk[0].fan_in
    if any(here.fan_in not in (before.fan_out, before.fan_out + size) for before, here in pairwise(trunk)):
        return None
    joint = layer(names.joint)
    if joint is not None:
        fits = joint.fan_in == width and joint.fan_out >= 4
        return Nerf(prefix, style, tuple(trunk), None, (), None, joint, position, None) if fits else None
    feature, density, colour, views = (
        layer(names.feature), layer(names.density), layer(names.colour), numbered(names.views)
    )  # fmt: skip
    if feature is None or density is None or colour is None or not views:
        return None
    direction = _deduced(views[0].fan_in - feature.fan_out)
    sizes = [(feature.fan_in, width), (density.fan_in, width), (density.fan_out, 1), (colour.fan_out, 3)]
    sizes += [(after.fan_in, before.fan_out) for before, after in zip(views, [*views[1:], colour])]
    if direction is None or any(found != wanted for found, wanted in sizes):
        return None
    return Nerf(prefix, style, tuple(trunk), feature, tuple(views), density, colour, position, direction)


def _deduced(features: int) -> Waves | None:
    """NeRF's encoding of three coordinates by its size: an odd number of each three says that they are included."""
    each, rest = divmod(features, 3)
    return Waves(each // 2, input=bool(each % 2)) if each > 0 and not rest and each <= 2 * MAX_OCTAVES else None


def _on_sphere(points: Array) -> Array:
    """Unit vectors (n, 3), uniform where the points (n, 2) are in [-1, 1]^2 (Archimedes)."""
    height, angle = points[:, 0], np.float32(math.pi) * points[:, 1]
    radius = np.sqrt(np.maximum(1 - height * height, 0))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)
