"""Statistics of the latents of many signals: quantisation levels and their frequencies."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from sinr_codec.coding.rangecoder import TOTAL, RangeDecoder, least_bytes, open_body, range_encode, write_body
from sinr_codec.coding.tensor import Raw, decode_tensor, encode_tensor
from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.errors import MalformedError
from sinr_codec.types import Array

MAX_LEVELS: Final = 1 << 10
"""Most levels of a latent."""


@dataclass(frozen=True)
class LatentModel:
    """Quantisation and level frequencies of latents, independently for each latent.

    Attributes
    ----------
    mean, reach
        float32 (d,): mean over the training signals, and distance of the outermost levels from it.
    counts
        int64 (d, levels): frequency of each level among the training signals.
    """

    mean: Array
    reach: Array
    counts: Array

    def quantised(self, latents: Array) -> Array:
        """Levels int64 (n, d) of latents (n, d), clipped to the outermost levels."""
        levels = self.counts.shape[1]
        return np.clip(np.rint((self._shares(latents) + 1) * (levels - 1) / 2), 0, levels - 1).astype(np.int64)

    def dequantised(self, symbols: Array) -> Array:
        """Latents float32 (n, d) of levels, computed in float64 and rounded once."""
        levels = self.counts.shape[1]
        return self.unscaled(2 * symbols.astype(np.float64) / (levels - 1) - 1)

    def scaled(self, latents: Array) -> Array:
        """Latents (m, d) as stored in a record: float32 (m, d), relative to the mean and in units of the reach."""
        return self._shares(latents).astype(np.float32)

    def _shares(self, latents: Array) -> Array:
        return (latents.astype(np.float64) - self.mean) / self.reach.astype(np.float64)

    def unscaled(self, scaled: Array) -> Array:
        """Inverse of `scaled`: float32 (m, d), computed in float64 and rounded once."""
        return (scaled.astype(np.float64) * self.reach.astype(np.float64) + self.mean).astype(np.float32)

    def encode(self, latents: Array) -> bytes:
        """The section of a signal: range-coded levels of latents (m, d), latent by latent."""
        symbols = self.quantised(latents)
        coded = range_encode(
            (starts[level], starts[level + 1] - starts[level], TOTAL)
            for starts, column in zip(self._cumulative, symbols.T.tolist())
            for level in column
        )
        return write_body(coded.ljust(least_bytes(symbols.size), b"\0"), symbols.size)

    def decode(self, section: bytes, patches: int) -> Array:
        """Inverse of `encode`: float32 (m, d)."""
        reader = Reader(section, "latents")
        count = patches * len(self.mean)
        body = open_body(reader, count)
        decoder = RangeDecoder(body, most=max(len(section), 8))
        symbols = np.array([decoder.symbols(starts, patches) for starts in self._cumulative], np.int64)
        decoder.finish()
        if body.position < least_bytes(count) and any(body.take(least_bytes(count) - body.position)):
            raise MalformedError("latents: what fills a short stream must be zeros")
        body.end()
        reader.end()
        return self.dequantised(symbols.T)

    @cached_property
    def _cumulative(self) -> list[list[int]]:
        """Cumulative frequencies of levels for each latent, up to TOTAL: proportional to the counts, at least 1."""
        levels = self.counts.shape[1]
        sums = np.maximum(self.counts.sum(1, keepdims=True), 1)
        freqs = 1 + self.counts * (TOTAL - levels) // sums
        rows = np.arange(len(freqs))
        freqs[rows, freqs.argmax(1)] += TOTAL - freqs.sum(1)
        return [[0, *row] for row in np.cumsum(freqs, 1).tolist()]

    def to_bytes(self) -> bytes:
        """The number of levels, then records of mean, reach and counts."""
        records = (encode_tensor(value, Raw()) for value in (self.mean, self.reach, self.counts))
        return b"".join([write_varint(self.counts.shape[1]), *records])

    @classmethod
    def from_reader(cls, reader: Reader, latents: int) -> "LatentModel":
        """Inverse of `to_bytes`; `MalformedError` for data that no encoder writes."""
        levels = reader.varint(MAX_LEVELS)
        mean, reach = (decode_tensor(reader, (latents,), np.float32) for _ in range(2))
        counts = decode_tensor(reader, (latents, levels), np.int64)
        if not (np.isfinite(mean).all() and np.isfinite(reach).all() and (reach > 0).all()):
            raise MalformedError("base: mean and reach of latents must be finite, and the reach positive")
        if levels < 2 or not ((counts >= 0).all() and (counts < 1 << 32).all()):
            raise MalformedError("base: the histogram of a latent has at least two levels, and counts below 2^32")
        return cls(mean, reach, counts)
