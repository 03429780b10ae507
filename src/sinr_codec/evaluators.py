"""Evaluation of networks in tiles, on the CPU by NumPy or on an accelerator by PyTorch."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, Protocol, cast

import array_api_compat.numpy as xnumpy
import numpy as np

from sinr_codec.devices import CPU, is_cpu
from sinr_codec.fields import Decodable, Field
from sinr_codec.fields.base import Exact, GridDecoder, TiledDecoder
from sinr_codec.signals.base import TILE, Apply
from sinr_codec.tiles import map_tiles
from sinr_codec.types import Array

_TILE_NUMBERS: Final = 1 << 19  # outputs of a layer for a tile
_EXACT_NUMBERS: Final = 1 << 18  # the same for an evaluation by integers, in float64
_DEVICE_NUMBERS: Final = 1 << 24  # the same on an accelerator


_NEURON: Final = 32  # multiply-adds that an evaluation of an activation takes as long as


def cost_of(field: Decodable) -> int:
    """Multiply-adds that take as long as the evaluation of a field at one position."""
    return field.work + _NEURON * field.neurons


class _Wide(Protocol):
    @property
    def widest(self) -> int: ...


def tile_of(field: _Wide, device: str = CPU, exact: bool = False) -> int:
    """Samples to evaluate at once, so that activations fit a CPU's cache, or fill an accelerator."""
    if not is_cpu(device):
        return max(16, _DEVICE_NUMBERS // field.widest)
    return max(16, min(TILE, (_EXACT_NUMBERS if exact else _TILE_NUMBERS) // field.widest))


def decoder_on(field: Decodable, params: Mapping[str, Array], device: str = CPU, exact: bool = False) -> Apply:
    """`Field.decoder` on the CPU; the same function by PyTorch on an accelerator, with NumPy arrays in and out.

    Networks of patches stay on the CPU, because positions in patches are computed in float64. With `exact`, it is the
    function of `fields.base.Exact`.
    """
    if is_cpu(device) or not field.ON_DEVICES:
        with np.errstate(all="ignore"):
            return _quiet(cast(Exact, field).exact(xnumpy, params) if exact else field.decoder(params))
    import torch
    from array_api_compat import torch as xtorch

    on = torch.device(device)
    if exact:
        function = cast(Exact, field).exact(xtorch, params, on)
    else:
        tensors = {name: torch.tensor(w, device=device) for name, w in params.items()}
        function = partial(cast(Field, field).function(xtorch, on), tensors)

    def decode(coords: Array) -> Array:
        with torch.inference_mode():
            values: Array = function(torch.tensor(coords, device=device)).cpu().numpy()
        return values

    return decode


def _quiet(decode: Apply) -> Apply:
    """A decoder without warnings: the weights of a damaged file may overflow, and give what they give."""
    if hasattr(decode, "over"):
        return _QuietTiles(cast(TiledDecoder, decode))
    if hasattr(decode, "on_grid"):
        return _QuietGrid(cast(GridDecoder, decode))

    def apply(coords: Array) -> Array:
        with np.errstate(all="ignore"):
            return decode(coords)

    return apply


class _QuietGrid:
    """The same for a `GridDecoder`."""

    def __init__(self, decode: GridDecoder) -> None:
        self._decode, self.tile = decode, decode.tile

    def __call__(self, coords: Array) -> Array:
        with np.errstate(all="ignore"):
            return self._decode(coords)

    def on_grid(self, axes: Sequence[Array]) -> Array:
        """See `GridDecoder.on_grid`."""
        with np.errstate(all="ignore"):
            return self._decode.on_grid(axes)


class _QuietTiles(_QuietGrid):
    """The same for a `TiledDecoder`."""

    _decode: TiledDecoder

    def over(self, axes: Sequence[Array]) -> GridDecoder:
        """See `TiledDecoder.over`."""
        return _QuietGrid(self._decode.over(axes))


def evaluate(apply: Apply, coords: Array, tile: int) -> Array:
    """Values (n, b) of a decoded network at coords (n, a), in tiles."""
    tiles = (coords[i : i + tile] for i in range(0, len(coords), tile))
    return np.concatenate(list(map_tiles(apply, tiles)))
