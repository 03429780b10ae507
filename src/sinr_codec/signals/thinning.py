"""Subsampling of the empty space around a body for training."""

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.signals.base import Part, SampledPart
from sinr_codec.types import Array

_REACH: Final = 3  # voxels around a body that are kept with it
_THIN: Final = 8  # one in so many voxels of empty space is kept
_THIN_BELOW: Final = 0.75  # thin only where a smaller share of the voxels is left
_THIN_UP_TO: Final = 1 << 27  # voxels; flags and indices take 5 bytes each


class Thinned(SampledPart):
    """The voxels of a volume without most of its empty space, for training.

    Three quarters of a head scan are empty. A network trained on one in `_THIN` of these voxels still leaves them
    empty, and sees the others three times as often: 35.2 dB instead of 32.4 on an MRI template after the same steps.
    """

    def __init__(self, volume: Part, kept: NDArray[np.integer[Any]]) -> None:
        self._volume = volume
        self._kept = kept

    @property
    def whole(self) -> Part:
        """The volume with all its voxels."""
        return self._volume

    @property
    def in_features(self) -> int:
        """As for the volume."""
        return self._volume.in_features

    @property
    def out_features(self) -> int:
        """As for the volume."""
        return self._volume.out_features

    def __len__(self) -> int:
        return len(self._kept)

    def batch(self, index: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Samples of the volume, by index among those kept."""
        return self._volume.batch(self._kept[index].astype(np.int64))

    def errors(self, predicted: Any, values: Any) -> Any:
        """As for the volume."""
        return self._volume.errors(predicted, values)

    def decibels(self, loss: float) -> float:
        """As for the volume, if the omitted voxels were without error."""
        return self._volume.decibels(loss * len(self) / len(self._volume))

    def objective(self, samples: int | None, seed: int) -> Callable[[Any, int], float]:
        """The objective over all voxels, which determines the quality of the file."""
        return self._volume.objective(samples, seed)


def busy(array: Array, channels: bool, order: Any) -> NDArray[np.integer[Any]] | None:
    """Indices of the voxels to train on, in a memory order; None if those are most voxels.

    Voxels are omitted, except for one in `_THIN`, if they and all voxels within `_REACH` are at one end of the range.
    """
    count = math.prod(array.shape[:-1] if channels else array.shape)
    if count > _THIN_UP_TO:
        return None
    others = [array != end for end in (array.min(), array.max())]
    below, above = (_spread(other.any(axis=-1) if channels else other) for other in others)
    flags = (below & above).ravel(order)
    flags[::_THIN] = True
    kept = np.flatnonzero(flags)
    return kept.astype(np.int32) if len(kept) < _THIN_BELOW * count else None


def _spread(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Dilate flags by `_REACH` along all axes."""
    for axis in range(flags.ndim):
        lines = np.moveaxis(flags, axis, 0)
        spread = lines.copy()
        for step in range(1, min(_REACH, len(lines) - 1) + 1):
            spread[step:] |= lines[:-step]
            spread[:-step] |= lines[step:]
        flags = np.moveaxis(spread, 0, axis)
    return flags
