"""Encodings of coordinates before the first layer of a network."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import ClassVar, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sinr_codec.coding.dictionary import make_dictionary
from sinr_codec.errors import InputError, LimitError, MalformedError, quoted
from sinr_codec.fields._numbers import compact, id_and_numbers, is_number
from sinr_codec.fields.activations import AnyActivation, activation_from_header, activation_to_header
from sinr_codec.types import AnyArray, Cbor

MAX_FEATURES: Final = 1 << 16
#: Above this, a float32 argument has no precise phase.
MAX_FREQUENCY: Final = 2.0**23

Encode = Callable[[AnyArray], AnyArray]


class Encoding(Protocol):
    """Interface of the encoding in an `MLP`."""

    ID: ClassVar[int]

    def out_features(self, in_features: int) -> int:
        """Number of features for `in_features` coordinates."""

    def coordinates(self, in_features: int) -> int:
        """Number of features that are the coordinates themselves; they come first."""

    def function(self, xp: ModuleType, in_features: int, device: object = None) -> Encode:
        """The encoding as a function of coords (..., a), with constants on `device`."""

    def numbers(self) -> list[float]:
        """Parameters for the header."""


@dataclass(frozen=True)
class Identity:
    """The coordinates, unchanged."""

    ID: ClassVar[int] = 0

    def out_features(self, in_features: int) -> int:
        """`in_features`."""
        return in_features

    def coordinates(self, in_features: int) -> int:
        """All."""
        return in_features

    def function(self, xp: ModuleType, in_features: int, device: object = None) -> Encode:
        """The identity."""
        return lambda coords: coords

    def numbers(self) -> list[float]:
        """No parameters."""
        return []


@dataclass(frozen=True)
class Octaves:
    """Sines and cosines of ``sigma^i pi c`` for i < L (NeRF, section 5.1; INRIC, section 3.1).

    Parameters
    ----------
    L
        Number of octaves.
    sigma
        Ratio of successive frequencies: 2 in NeRF, 1.4 in INRIC.
    include_input
        Whether the coordinates precede the features.
    order
        ``"coordinate"`` (INRIC, WIRE): for each i, for each coordinate: sin, cos. ``"octave"`` (NeRF): for each i: the
        sines of all coordinates, then their cosines.
    """

    L: int
    sigma: float = 2.0
    include_input: bool = True
    order: Literal["coordinate", "octave"] = "coordinate"

    ID: ClassVar[int] = 1
    _ORDERS: ClassVar[tuple[str, ...]] = ("coordinate", "octave")

    def __post_init__(self) -> None:
        if type(self.L) is not int or not 1 <= self.L <= 64:
            raise InputError(f"encoding: L must be an integer in [1, 64], got {quoted(self.L)}")
        if not is_number(self.sigma) or not 0 < self.sigma <= 16:
            raise InputError(f"encoding: sigma must be a number in (0, 16], got {quoted(self.sigma)}")
        if math.pi * self.sigma ** (self.L - 1) > MAX_FREQUENCY:
            raise InputError(f"encoding: pi sigma^(L-1) must be at most {MAX_FREQUENCY:g}")
        if self.order not in self._ORDERS:
            raise InputError(f"encoding: order must be one of {', '.join(self._ORDERS)}, got {quoted(self.order)}")

    def out_features(self, in_features: int) -> int:
        """``2 L a``, plus ``a`` with the input."""
        return in_features * (2 * self.L + self.include_input)

    def coordinates(self, in_features: int) -> int:
        """All, with the input."""
        return in_features if self.include_input else 0

    def function(self, xp: ModuleType, in_features: int, device: object = None) -> Encode:
        """Coords (..., a) -> (..., out_features(a))."""
        frequencies = xp.asarray((math.pi * self.sigma ** np.arange(self.L)).astype(np.float32)[:, None], device=device)

        def encode(coords: AnyArray) -> AnyArray:
            phase = coords[..., None, :] * frequencies  # (..., L, a)
            # "coordinate" puts the pair on the last axis, "octave" before the coordinates
            pair = xp.stack([xp.sin(phase), xp.cos(phase)], axis=-1 if self.order == "coordinate" else -2)
            waves = xp.reshape(pair, (*coords.shape[:-1], 2 * self.L * in_features))
            return xp.concat([coords, waves], axis=-1) if self.include_input else waves

        return encode

    def numbers(self) -> list[float]:
        """``[L, sigma, include_input + 2 * order]``."""
        return [self.L, self.sigma, int(self.include_input) + 2 * self._ORDERS.index(self.order)]


def _beside_waves(xp: ModuleType, coords: AnyArray, phase: AnyArray) -> AnyArray:
    """Coords (..., a), then sine and cosine of each phase (..., n): (..., a + 2 n)."""
    pair = xp.stack([xp.sin(phase), xp.cos(phase)], axis=-1)
    waves = xp.reshape(pair, (*coords.shape[:-1], 2 * phase.shape[-1]))
    return xp.concat([coords, waves], axis=-1)


@dataclass(frozen=True)
class AxisOctaves:
    """Octaves with a separate count for each coordinate, for axes with different sampling densities.

    The frequencies are ``sigma^i pi``, as in `Octaves`, with i < L_j for coordinate j. The 32 frames of a clip do not
    constrain the high frequencies that its columns need; with them, a network oscillates between the frames.

    Parameters
    ----------
    counts
        L_j of each coordinate, 0 to 64.
    sigma
        Ratio of successive frequencies.
    """

    counts: tuple[int, ...]
    sigma: float = 1.4

    ID: ClassVar[int] = 3

    def __post_init__(self) -> None:
        if not self.counts or any(type(n) is not int or not 0 <= n <= 64 for n in self.counts):
            raise InputError(f"encoding: counts must be integers in [0, 64], got {quoted(self.counts)}")
        Octaves(max(1, *self.counts), self.sigma)  # checks the same limits

    def out_features(self, in_features: int) -> int:
        """``a + 2 sum(L_j)``; `InputError` if the number of counts is not that of coordinates."""
        if len(self.counts) != in_features:
            raise InputError(f"encoding: expected {in_features} counts, one a coordinate, got {len(self.counts)}")
        return in_features + 2 * sum(self.counts)

    def coordinates(self, in_features: int) -> int:
        """All."""
        return in_features

    def function(self, xp: ModuleType, in_features: int, device: object = None) -> Encode:
        """Coords (..., a) -> (..., out_features(a)): the coordinates, then for each j, for each i: sine, cosine."""
        self.out_features(in_features)  # checks the number of coordinates
        powers = (math.pi * self.sigma ** np.arange(max(self.counts))).astype(np.float32)
        rows = [xp.asarray(powers[:count], device=device) for count in self.counts]

        def encode(coords: AnyArray) -> AnyArray:
            phase = xp.concat([coords[..., j : j + 1] * row for j, row in enumerate(rows)], axis=-1)
            return _beside_waves(xp, coords, phase)

        return encode

    def numbers(self) -> list[float]:
        """``[sigma, L_0, L_1, ...]``."""
        return [self.sigma, *self.counts]


@dataclass(frozen=True)
class RotatedOctaves:
    """Octaves of two coordinates along two perpendicular directions, which turn by the golden angle with each octave.

    Waves along the axes alone leave a weave of horizontal and vertical streaks in the flat areas of a picture. Octave i
    has the phases of both directions at the frequency ``sigma^i pi`` of the coordinate with the larger count. For the
    other coordinate, a difference of d in the counts stands for an axis that is ``sigma^d`` times shorter.

    Parameters
    ----------
    counts
        L_j of each of the two coordinates, 0 to 64, as in `AxisOctaves`; there are max(L_0, L_1) octaves.
    sigma
        Ratio of successive frequencies.
    """

    counts: tuple[int, int]
    sigma: float = 1.4

    ID: ClassVar[int] = 4

    def __post_init__(self) -> None:
        AxisOctaves(self.counts, self.sigma).out_features(2)  # checks the same limits

    def out_features(self, in_features: int) -> int:
        """``2 + 4 max(L_j)``; `InputError` unless there are two coordinates."""
        if in_features != 2:
            raise InputError(f"encoding: rotated octaves have 2 coordinates, got {quoted(in_features)}")
        return 2 + 4 * max(self.counts)

    @property
    def frequencies(self) -> NDArray[np.float32]:
        """Frequencies (2, 2 max(L_j)) of each coordinate: all octaves of one direction, then of the other."""
        octave = np.arange(max(self.counts))
        cosines, sines = np.cos(_GOLDEN_ANGLE * octave), np.sin(_GOLDEN_ANGLE * octave)
        directions = np.array([[*cosines, *-sines], [*sines, *cosines]])
        shorter = self.sigma ** (np.array(self.counts) - max(self.counts))[:, None]
        return (directions * np.tile(math.pi * self.sigma**octave, 2) * shorter).astype(np.float32)

    def coordinates(self, in_features: int) -> int:
        """All."""
        return in_features

    def function(self, xp: ModuleType, in_features: int, device: object = None) -> Encode:
        """Coords (..., 2) -> (..., out_features(2)): coordinates, then by direction, then by octave: sine, cosine."""
        self.out_features(in_features)  # checks the number of coordinates
        rows = [xp.asarray(row, device=device) for row in self.frequencies]

        def encode(coords: AnyArray) -> AnyArray:
            phase = coords[..., 0:1] * rows[0] + coords[..., 1:2] * rows[1]
            return _beside_waves(xp, coords, phase)

        return encode

    def numbers(self) -> list[float]:
        """``[sigma, L_0, L_1]``."""
        return [self.sigma, *self.counts]


_GOLDEN_ANGLE: Final = math.pi * (3 - math.sqrt(5))  # no two octaves have the same directions


@dataclass(frozen=True)
class Fourier:
    """Random Fourier features ``[sin(2 pi B c), cos(2 pi B c)]``, ``B ~ N(0, scale^2)`` (Tancik et al. 2020).

    B comes from the integers of a seeded dictionary. A file thus holds only the seed, and the matrix is the same on all
    platforms.
    """

    features: int
    scale: float = 10.0
    seed: int = 0

    ID: ClassVar[int] = 2

    def __post_init__(self) -> None:
        if type(self.features) is not int or not 1 <= self.features <= MAX_FEATURES // 2:
            raise InputError(f"encoding: features must be in [1, {MAX_FEATURES // 2}], got {quoted(self.features)}")
        if not is_number(self.scale) or not 0 < self.scale <= 1e4:
            raise InputError(f"encoding: scale must be a number in (0, 1e4], got {quoted(self.scale)}")
        if type(self.seed) is not int or not 0 <= self.seed < 2**32:
            raise InputError(f"encoding: seed must be an integer in [0, 2^32), got {quoted(self.seed)}")

    def out_features(self, in_features: int) -> int:
        """``2 features``."""
        return 2 * self.features

    def frequencies(self, in_features: int) -> NDArray[np.float32]:
        """``2 pi B`` as (in_features, features)."""
        return _fourier_frequencies(self.features, self.scale, self.seed, in_features)

    def coordinates(self, in_features: int) -> int:
        """None."""
        return 0

    def function(self, xp: ModuleType, in_features: int, device: object = None) -> Encode:
        """Coords (..., a) -> (..., 2 features)."""
        rows = [xp.asarray(row, device=device) for row in self.frequencies(in_features)]

        def encode(coords: AnyArray) -> AnyArray:
            # an explicit sum instead of a matrix product: phases are large, so the rounding of each step matters
            phase = coords[..., 0:1] * rows[0]
            for axis, row in enumerate(rows[1:], start=1):
                phase = phase + coords[..., axis : axis + 1] * row
            return xp.concat([xp.sin(phase), xp.cos(phase)], axis=-1)

        return encode

    def numbers(self) -> list[float]:
        """``[features, scale, seed]``."""
        return [self.features, self.scale, self.seed]


#: Standard deviation of the dictionary's Gaussian integers.
_GAUSSIAN_STD: Final = 4.0


@lru_cache(maxsize=8)
def _fourier_frequencies(features: int, scale: float, seed: int, in_features: int) -> NDArray[np.float32]:
    integers = make_dictionary("gaussian", seed, in_features, features)
    return (integers * (2 * math.pi * scale / _GAUSSIAN_STD)).astype(np.float32)


AnyEncoding = Identity | Octaves | AxisOctaves | RotatedOctaves | Fourier


def encoding_to_header(encoding: AnyEncoding) -> list[int | float]:
    """``[id, numbers...]``."""
    return [encoding.ID, *(compact(x) for x in encoding.numbers())]


def encoding_from_header(value: object) -> AnyEncoding:
    """Inverse of `encoding_to_header`.

    Raises
    ------
    UnknownIdError
        An unknown id.
    MalformedError
        The value is not a list of an id and its numbers, or a number is out of range.
    LimitError
        More features than the reader's limit.
    """
    ids = Identity.ID, Octaves.ID, AxisOctaves.ID, RotatedOctaves.ID, Fourier.ID
    ident, numbers = id_and_numbers(value, "encoding", ids)
    right = len(numbers) == {Identity.ID: 0, AxisOctaves.ID: max(len(numbers), 2)}.get(ident, 3)
    if not right or not all(is_number(x) for x in numbers):
        raise MalformedError("field header: the encoding has a wrong number of parameters")
    try:
        if ident == Identity.ID:
            return Identity()
        if ident == Octaves.ID:
            octaves, sigma, flags = numbers
            if type(flags) is not int or not 0 <= flags < 4:
                raise MalformedError("field header: the flags of octaves must be an integer in [0, 3]")
            order: Literal["coordinate", "octave"] = "octave" if flags & 2 else "coordinate"
            return Octaves(octaves, float(sigma), bool(flags & 1), order)
        if ident == AxisOctaves.ID:
            return AxisOctaves(tuple(numbers[1:]), float(numbers[0]))
        if ident == RotatedOctaves.ID:
            return RotatedOctaves((numbers[1], numbers[2]), float(numbers[0]))
        features, scale, seed = numbers
        if type(features) is int and features > MAX_FEATURES // 2:
            raise LimitError(f"field header: {features} Fourier features are more than {MAX_FEATURES // 2}")
        return Fourier(features, float(scale), seed)
    except InputError as error:
        raise MalformedError(f"field header: {error}") from error


def layers_to_header(activation: AnyActivation, encoding: AnyEncoding) -> list[Cbor]:
    """Activation and encoding at the end of a field's header; the encoding is left out where it is the identity."""
    parts: list[Cbor] = [activation_to_header(activation)]
    return parts if encoding == Identity() else [*parts, encoding_to_header(encoding)]


def layers_from_header(values: Sequence[object]) -> tuple[AnyActivation, AnyEncoding]:
    """Inverse of `layers_to_header`; errors as in `activation_from_header` and `encoding_from_header`."""
    activation = activation_from_header(values[0])
    if len(values) == 1:
        return activation, Identity()
    encoding = encoding_from_header(values[1])
    if encoding == Identity():
        raise MalformedError("field header: an identity encoding is left out, not written")
    return activation, encoding
