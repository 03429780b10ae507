"""The table of coders for streams of integers, by the ids in files."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from sinr_codec.coding import adaptive, context, parametric, words
from sinr_codec.coding.model import SHAPES, UNIFORM
from sinr_codec.coding.varint import Reader, write_zigzag
from sinr_codec.errors import UnknownIdError
from sinr_codec.types import Ints

__all__ = ["ADAPTIVE", "BROTLI", "CODERS", "CONSTANT", "CONTEXT", "RANGE", "Coder", "Stream", "coder_of"]


@dataclass(frozen=True)
class Stream:
    """Integers to code, and what is known about them.

    Attributes
    ----------
    values
        int64 (n,).
    row
        Length of the rows that they form, at most n; None for integers without rows.
    neighbours
        Whether neighbours on the grid of these rows have similar magnitudes.
    trellis
        Whether they may be levels of a trellis along the rows.
    exponents
        Exponents of their units in quarter octaves, int64 (n,), which the decoder knows.
    """

    values: Ints
    row: int | None = None
    neighbours: bool = False
    trellis: bool = False
    exponents: Ints | None = None

    @cached_property
    def constant(self) -> bool:
        """Whether all integers are the same, or there are none."""
        return self.values.size == 0 or bool((self.values == self.values[0]).all())

    @cached_property
    def parametric(self) -> tuple[parametric.Model, float]:
        """The best single distribution and the bits of its stream, for integers that are not constant."""
        return parametric.fit(self.values)

    @cached_property
    def adaptive(self) -> adaptive.Fit | None:
        """The best model that adapts to the rows; None for integers without rows, or that it cannot code."""
        return None if self.row is None else adaptive.fit(self.values, self.row, self.trellis, self.exponents)

    @property
    def bits(self) -> float:
        """Length of the shortest stream of a constant, parametric or adaptive coder, without coding it."""
        if self.constant:
            return 8.0 * len(_constant(self.values))
        bits = self.parametric[1]
        return bits if self.adaptive is None else min(bits, self.adaptive.bits)


class Coder(ABC):
    """A coder of streams.

    Attributes
    ----------
    id
        Its number in files, four bits.
    name
        Its name in reports.
    """

    id: int
    name: str

    @abstractmethod
    def encode(self, stream: Stream, limit: float) -> bytes | None:
        """The coded stream; None where the coder does not apply, or does not expect fewer than `limit` bytes."""

    @abstractmethod
    def decode(self, reader: Reader, count: int, exponents: Ints | None = None) -> Ints:
        """The integers, int64 (count,), fresh or read-only; `exponents` are those of the stream.

        Raises
        ------
        TruncatedError, MalformedError, LimitError
            The stream is damaged, or too short for so many integers.
        """

    @abstractmethod
    def skip(self, reader: Reader, count: int, exponents: Ints | None = None) -> None:
        """Move the reader past a stream, without decoding a long one. Raises what `decode` raises."""

    def follows_trellis(self, reader: Reader) -> bool:
        """Whether the stream at the reader's position, which stays, holds levels of a trellis."""
        return False


class _Constant(Coder):
    """One integer for all."""

    id, name = 0, "constant"

    def encode(self, stream: Stream, limit: float) -> bytes | None:
        return _constant(stream.values) if stream.constant else None

    def decode(self, reader: Reader, count: int, exponents: Ints | None = None) -> Ints:
        return np.broadcast_to(np.int64(reader.zigzag()), (count,))  # costs no memory, whatever the count

    def skip(self, reader: Reader, count: int, exponents: Ints | None = None) -> None:
        reader.zigzag()


class _Brotli(Coder):
    """Words under Brotli, where a fast compression suggests that the best one beats a parametric model."""

    id, name = 1, "brotli"

    def encode(self, stream: Stream, limit: float) -> bytes | None:
        _, bits = stream.parametric
        if 8 * words.rough_size(stream.values) >= 1.1 * bits:
            return None
        width, signed = words.narrowest(stream.values)
        body = words.encode(stream.values, width, signed, interleaved=False)
        return body if body and 8 * len(body) < bits else None

    def decode(self, reader: Reader, count: int, exponents: Ints | None = None) -> Ints:
        return words.decode(reader, count)

    def skip(self, reader: Reader, count: int, exponents: Ints | None = None) -> None:
        words.skip(reader)


class _Context(Coder):
    """Each integer in the context of its neighbours; slow."""

    id, name = 2, "range/context"

    def encode(self, stream: Stream, limit: float) -> bytes | None:
        if stream.row is None or not stream.neighbours:
            return None
        return context.encode(stream.values, stream.row)

    def decode(self, reader: Reader, count: int, exponents: Ints | None = None) -> Ints:
        return context.decode(reader, count)

    def skip(self, reader: Reader, count: int, exponents: Ints | None = None) -> None:
        context.skip(reader, count)


class _Adaptive(Coder):
    """A distribution whose scale adapts to the rows; it makes use of a trellis and of known units."""

    id, name = 3, "range/adaptive"

    def encode(self, stream: Stream, limit: float) -> bytes | None:
        fit = stream.adaptive
        return fit.encode() if fit is not None and fit.bits < 8 * limit else None

    def decode(self, reader: Reader, count: int, exponents: Ints | None = None) -> Ints:
        return adaptive.decode(reader, count, exponents)

    def skip(self, reader: Reader, count: int, exponents: Ints | None = None) -> None:
        adaptive.skip(reader, count, exponents)

    def follows_trellis(self, reader: Reader) -> bool:
        return adaptive.follows_trellis(reader)


class _Parametric(Coder):
    """One distribution of a given shape for all integers."""

    def __init__(self, shape: int) -> None:
        self.shape = shape
        self.id = RANGE + shape
        self.name = "range/uniform" if shape == UNIFORM else f"range/gg{SHAPES[shape]:g}"

    def encode(self, stream: Stream, limit: float) -> bytes | None:
        model, bits = stream.parametric
        return parametric.encode(stream.values, model) if model.shape == self.shape and bits < 8 * limit else None

    def decode(self, reader: Reader, count: int, exponents: Ints | None = None) -> Ints:
        return parametric.decode(reader, self.shape, count)

    def skip(self, reader: Reader, count: int, exponents: Ints | None = None) -> None:
        parametric.skip(reader, self.shape, count)


def _constant(values: Ints) -> bytes:
    return write_zigzag(int(values[0]) if values.size else 0)


RANGE: Final = 8
"""Id of the parametric coder of shape 0; further shapes follow."""

_ALL: Final = (
    _Constant(),
    _Brotli(),
    *(_Parametric(shape) for shape in (*range(len(SHAPES)), UNIFORM)),
    _Adaptive(),
    _Context(),
)
CODERS: Final[dict[int, Coder]] = {coder.id: coder for coder in _ALL}
"""By id, in the order of trial: each coder must beat the shortest stream of those before it."""

CONSTANT: Final = _Constant.id
BROTLI: Final = _Brotli.id
CONTEXT: Final = _Context.id
ADAPTIVE: Final = _Adaptive.id


def coder_of(reader: Reader, number: int) -> Coder:
    """The coder with this id in a file. Raises `UnknownIdError`."""
    if number not in CODERS:
        raise UnknownIdError(f"{reader.name}: coder id {number} is unknown to this version")
    return CODERS[number]
