"""Samples of a signal as torch tensors: minibatches for training, chunks for evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sinr_codec.devices import check_device
from sinr_codec.errors import InputError
from sinr_codec.signals.base import Part

#: Signals up to this size (as float32) are kept in memory; larger ones are read batch by batch.
PRELOAD_BYTES: Final = 1 << 29
CHUNK: Final = 8192
#: `BatchesByError`: least samples of a run, most runs, share of a batch that is sampled evenly, and weight of the
#: latest errors in the running mean.
_LEAST_RUN: Final = 64
_MOST_RUNS: Final = 4096
_EVEN: Final = 0.5
_FORGET: Final = 0.2


class Samples:
    """Random access to (coords, values) of a signal on a device.

    Raises
    ------
    InputError
        The device cannot be used.
    """

    def __init__(self, signal: Part, device: str = "cpu", preload_bytes: int = PRELOAD_BYTES) -> None:
        check_device(device)
        self.signal = signal
        self.device = device
        self._width = signal.in_features
        self._table: Tensor | None = None
        columns = signal.in_features + signal.out_features
        if 4 * columns * len(signal) <= preload_bytes:
            # one row per sample, so that a batch is one gather
            table = torch.empty(len(signal), columns)
            for start in range(0, len(signal), 1 << 18):
                index = np.arange(start, min(start + (1 << 18), len(signal)))
                coords, values = signal.batch(index)
                table[start : start + len(index), : self._width] = torch.from_numpy(coords)
                table[start : start + len(index), self._width :] = torch.from_numpy(values)
            self._table = table.to(device)

    def __len__(self) -> int:
        return len(self.signal)

    def take(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Samples by number: int64 (n,) on the CPU -> coords (n, a), values (n, b)."""
        if self._table is not None:
            rows = self._table.index_select(0, index.to(self.device))
            return rows[:, : self._width], rows[:, self._width :]
        coords, values = self.signal.batch(index.numpy())
        return torch.from_numpy(coords).to(self.device), torch.from_numpy(values).to(self.device)

    @staticmethod
    def stacked(samples: Sequence[Samples]) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """`take` for several signals of equal length: coords (m, n, a), values (m, n, b).

        If all are in memory, this is one gather.
        """
        tables = [one._table for one in samples if one._table is not None]
        if len(tables) < len(samples):

            def gathered(index: Tensor) -> tuple[Tensor, Tensor]:
                coords, values = zip(*(one.take(index) for one in samples))
                return torch.stack(coords), torch.stack(values)

            return gathered
        table, width = torch.stack(tables), samples[0]._width
        for one, rows in zip(samples, table):
            one._table = rows  # a view, so that nothing is stored twice

        def taken(index: Tensor) -> tuple[Tensor, Tensor]:
            rows = table.index_select(1, index.to(table.device))
            return rows[..., :width], rows[..., width:]

        return taken

    def chunks(self, index: NDArray[np.int64] | None = None, size: int = CHUNK) -> Iterator[tuple[Tensor, Tensor]]:
        """All samples, or those in `index`, a chunk at a time."""
        if self._table is not None and index is None:
            for rows in self._table.split(size):
                yield rows[:, : self._width], rows[:, self._width :]
            return
        numbers = torch.arange(len(self)) if index is None else torch.from_numpy(index)
        for part in numbers.split(size):
            yield self.take(part)


class Batches:
    """Stratified minibatches: the samples are divided into `size` equal runs, and one is drawn from each.

    This covers the signal evenly, so the gradient is less noisy than with independent draws. It needs no permutation
    of the samples, and reads memory in order.
    """

    weights: Tensor | None = None
    """Importance weights of the last batch, float32 (size,); None if all are equal."""

    def __init__(self, samples: int, size: int, seed: int) -> None:
        edges = torch.arange(size + 1, dtype=torch.int64) * samples // size
        self._first = edges[:-1]
        self._length = (edges[1:] - edges[:-1]).to(torch.float64)
        self.generator = torch.Generator().manual_seed(seed)

    def draw(self) -> Tensor:
        """Sample numbers, int64 (size,), increasing."""
        u = torch.rand(len(self._first), generator=self.generator, dtype=torch.float64)
        return self._first + (u * self._length).to(torch.int64)


class BatchesByError(Batches):
    """Minibatches by importance sampling: samples with larger errors are drawn more often.

    Half of each batch is sampled evenly, half in proportion to the latest errors, averaged over runs of consecutive
    samples. Importance weights keep the loss and its gradient unbiased, and the gradient is less noisy.
    """

    weights: Tensor

    def __init__(self, samples: int, size: int, seed: int) -> None:
        super().__init__(samples, max(1, min(samples // _LEAST_RUN, _MOST_RUNS)), seed)
        self.size = size
        self.weights = torch.ones(size)
        #: Running mean error of each run, equal at first.
        self.errors = torch.ones(len(self._first), dtype=torch.float64)
        self.share = self._length / samples

    def draw(self) -> Tensor:
        """Sample numbers, int64 (size,), increasing by runs."""
        wrong = self.share * self.errors
        chances = _EVEN * self.share + (1 - _EVEN) * wrong / wrong.sum().clamp_min(1e-300)
        u = torch.rand(2, self.size, generator=self.generator, dtype=torch.float64)
        places = (torch.arange(self.size) + u[0]) / self.size * chances.sum()
        self._runs = torch.searchsorted(chances.cumsum(0), places).clamp_max_(len(chances) - 1)
        self.weights = (self.share / chances)[self._runs].float()
        return self._first[self._runs] + (u[1] * self._length[self._runs]).to(torch.int64)

    def learn(self, errors: Tensor) -> None:
        """Update the running errors by those (size,) of the last batch."""
        count = len(self.errors)
        seen = torch.bincount(self._runs, minlength=count)
        total = torch.bincount(self._runs, errors.double().cpu(), minlength=count)
        place = seen > 0
        self.errors[place] += _FORGET * (total[place] / seen[place] - self.errors[place])


def even_subset(samples: int, most: int) -> NDArray[np.int64] | None:
    """At most `most` sample numbers, evenly spaced; None for all samples."""
    if samples <= most:
        return None
    return np.arange(most, dtype=np.int64) * samples // most


def weighted_mean(losses: list[tuple[Any, int]]) -> float:
    """Mean of chunk means, weighted by chunk length, in float64."""
    total = sum(count for _, count in losses)
    return sum(float(loss) * count for loss, count in losses) / total


def grid_values(signal: Part, sizes: tuple[int, ...]) -> NDArray[np.float32]:
    """Values (*sizes, b) of samples at centres of a grid over [-1, 1]^a; its outer ones repeated where it has more.

    A block at the edge of a signal has no samples beyond. A volume without most of its empty space is taken whole.

    Raises
    ------
    InputError : other positions of samples, such as points on a sphere
    """
    signal = getattr(signal, "whole", signal)
    places = np.empty((len(signal), len(sizes)), np.int32)
    values = np.empty((len(signal), signal.out_features), np.float32)
    for start in range(0, len(signal), 1 << 18):
        some = slice(start, min(start + (1 << 18), len(signal)))
        coords, values[some] = signal.batch(np.arange(some.start, some.stop))
        exact = ((coords.astype(np.float64) + 1) * sizes - 1) / 2
        places[some] = np.rint(exact)
        if np.abs(exact - places[some]).max() > 0.25:
            raise InputError("field: expected samples at the centres of a grid over [-1, 1]")
    first, last = places.min(0), places.max(0)
    if first.min() < 0 or (last >= sizes).any() or math.prod((last - first + 1).tolist()) != len(signal):
        raise InputError("field: expected samples that fill a part of a grid over [-1, 1]")
    found = np.empty((*(last - first + 1), signal.out_features), np.float32)
    found[tuple((places - first).T)] = values
    around = [(int(a), n - 1 - int(b)) for a, b, n in zip(first, last, sizes)]
    return np.pad(found, [*around, (0, 0)], mode="edge")
