"""Samples themselves, quantised within a bound on their error, and coded under a network that predicts them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, Final, Self, cast

import numpy as np
from numpy.typing import NDArray

from sinr_codec.coding.interlaced import Predictor, taps
from sinr_codec.errors import InputError, MalformedError, quoted
from sinr_codec.fields._numbers import built, compact, is_number
from sinr_codec.fields.base import FieldDefaults, Params
from sinr_codec.fields.resampling import Resampled, Window
from sinr_codec.types import AnyArray, Array, Cbor

MAX_AXES: Final = 4
MAX_SIZE: Final = 1 << 24
"""Samples along an axis; float32 coordinates tell so many apart."""
MAX_VALUES: Final = 64
MAX_HALVINGS: Final = 24
MAX_NEAR: Final = 8
MAX_WIDTH: Final = 64
_WIDTHS: Final = ((1 << 13, 8), (1 << 18, 16), (math.inf, 32))
"""Widths by the most integers that they are for: on a CT, 32 takes 0.7 % less than 16."""
SAMPLES: Final = "samples"
"""Name of the integers."""


@dataclass(frozen=True)
class Interlaced(FieldDefaults):
    """Values at the samples of a grid as integers k, each the value ``origin + step * k``.

    Integers are coded from coarse to fine, under a network that predicts each from those around it
    (`coding.interlaced`). The largest error of a sample is half a step. Positions between the samples are interpolated
    (`Resampled`).

    Parameters
    ----------
    sizes
        Samples of the grid along each axis, 1 to 4 axes.
    out_features
        Values b of a sample.
    halvings
        How often the spacing along each axis is halved on the way to the finest samples, up to the least number for
        which one coarsest sample is left.
    near, far
        The neighbours that predict a sample, `coding.interlaced.taps`.
    width
        Width of the network that predicts.
    steps, origins
        Of each value; steps are above 0.

    Raises
    ------
    InputError
        A size outside the limits, or numbers that are not finite.
    """

    sizes: tuple[int, ...]
    out_features: int
    halvings: tuple[int, ...]
    near: int
    far: int
    width: int
    steps: tuple[float, ...]
    origins: tuple[float, ...]

    ID: ClassVar[int] = 8
    ON_DEVICES: ClassVar[bool] = False
    INTEGERS: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 1 <= len(self.sizes) <= MAX_AXES:
            raise InputError(f"interlaced samples: sizes must name 1 to {MAX_AXES} axes, got {len(self.sizes)}")
        if len(self.halvings) != len(self.sizes):
            raise InputError(f"interlaced samples: halvings must have {len(self.sizes)} entries")
        for size, halvings in zip(self.sizes, self.halvings):
            _check("sizes", size, 1, MAX_SIZE)
            _check("halvings", halvings, 0, min(MAX_HALVINGS, (size - 1).bit_length()))
        _check("out_features", self.out_features, 1, MAX_VALUES)
        _check("near", self.near, 0, MAX_NEAR)
        if self.far not in (1, 3, 5, 7):
            raise InputError(f"interlaced samples: far must be 1, 3, 5 or 7, got {quoted(self.far)}")
        _check("width", self.width, 1, MAX_WIDTH)
        for name, numbers in (("steps", self.steps), ("origins", self.origins)):
            if len(numbers) != self.out_features or not all(is_number(x) for x in numbers):
                raise InputError(f"interlaced samples: {name} must be {self.out_features} finite numbers")
        if not all(2.0**-40 <= step <= 2.0**40 for step in self.steps) or not all(abs(x) <= 2 for x in self.origins):
            raise InputError("interlaced samples: steps must be in 2^-40 .. 2^40 and origins in -2 .. 2")

    @classmethod
    def for_grid(
        cls, sizes: Sequence[int], steps: Sequence[float], origins: Sequence[float], whole: Sequence[int] = ()
    ) -> Self:
        """The usual form for a grid: the more samples, the wider its network.

        The axes `whole` are not halved, since their samples do not tell of each other.
        """
        halvings = tuple(0 if a in whole or n < 4 else (n - 1).bit_length() for a, n in enumerate(sizes))
        near = 4 if len(sizes) < MAX_AXES else 2
        count = len(steps) * math.prod(sizes)
        width = next(width for most, width in _WIDTHS if count <= most)
        return cls(tuple(sizes), len(steps), halvings, near, 3, width, tuple(steps), tuple(origins))

    # -- parameters

    @property
    def in_features(self) -> int:
        """Number of axes."""
        return len(self.sizes)

    @property
    def networks(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters of the network that predicts, in storage order."""
        return Predictor.shapes(self.in_features, self.near, self.far, self.out_features, self.width)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name, in storage order: `networks`, then the samples (b, *sizes)."""
        return self.networks | {SAMPLES: (self.out_features, *self.sizes)}

    def dtypes(self) -> dict[str, np.dtype]:
        """Dtypes by name: int32."""
        return dict.fromkeys(self.shapes(), np.dtype(np.int32))

    def predictor(self, params: Params) -> Predictor:
        """The network that predicts."""
        return Predictor(
            self.in_features, self.near, self.far, self.out_features, *(params[name] for name in self.networks)
        )

    @property
    def num_params(self) -> int:
        """Number of samples' values, and of parameters of the network."""
        return self.network_params + self.out_features * math.prod(self.sizes)

    @property
    def network_params(self) -> int:
        """Number of parameters of the network."""
        return sum(map(math.prod, self.networks.values()))

    @property
    def work(self) -> int:
        """Multiply-adds of a sample: those of its interpolation."""
        return 4 * self.in_features * self.out_features

    @property
    def widest(self) -> int:
        """Real numbers of a position that are interpolated."""
        return int(4**self.in_features) * self.out_features

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Parameters that are all 0. Nothing is random."""
        return {name: np.zeros(shape, np.int32) for name, shape in self.shapes().items()}

    def centre(self, params: Mapping[str, Array], mean: NDArray[np.float32]) -> dict[str, Array]:
        """Parameters with the integers nearest to the mean (b,) of the values."""
        k = np.rint((np.asarray(mean, np.float64) - self.origins) / self.steps).astype(np.int32)
        return dict(params) | {SAMPLES: np.broadcast_to(k.reshape(-1, *[1] * self.in_features), self.shapes()[SAMPLES])}

    def check(self, params: Params) -> None:
        """Raise `InputError` unless the parameters have the names, shapes and dtypes of this field."""
        for name, shape in self.shapes().items():
            if name not in params or tuple(params[name].shape) != shape or params[name].dtype != np.int32:
                raise InputError(f"params: {name} must be there and have the shape {shape} and dtype int32")

    # -- the function

    def decoder(self, params: Params) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """A `GridDecoder` on NumPy."""
        return Resampled(_Samples(self, params))

    def function(self, xp: ModuleType, device: object = None) -> Callable[[Params, AnyArray], AnyArray]:
        """``f(params, coords (n, a)) -> values (n, b)``, computed by NumPy and not differentiable."""
        return lambda params, coords: xp.asarray(self.decoder(params)(np.asarray(coords, np.float32)))

    def describe(self) -> str:
        """One-line description for users, such as "interlaced samples of 122 x 101 x 112, 28 neighbours -> 16"."""
        sizes, neighbours = " x ".join(map(str, self.sizes)), len(taps(self.in_features, 0, self.near, self.far))
        return f"interlaced samples of {sizes}, {neighbours} neighbours -> {self.width}"

    # -- the header of a file

    def to_header(self) -> list[Cbor]:
        """``[8, b, [size...], [halvings...], near, far, width, [step...], [origin...]]``"""
        numbers: list[Cbor] = [[compact(x) for x in each] for each in (self.steps, self.origins)]
        grid: list[Cbor] = [list(self.sizes), list(self.halvings)]
        return [self.ID, self.out_features, *grid, self.near, self.far, self.width, *numbers]

    @classmethod
    def from_header(cls, value: object, max_params: int) -> Interlaced:
        """Inverse of `to_header`; nothing is allocated.

        Raises
        ------
        MalformedError
            The value breaks the form above or a range.
        LimitError
            More parameters than `max_params`.
        """
        if not isinstance(value, list | tuple) or len(value) != 9:
            raise MalformedError("field header: interlaced samples are a list of nine entries")
        if any(type(x) is not int for x in (*value[:2], *value[4:7])) or value[0] != cls.ID:
            raise MalformedError("field header: interlaced samples have an id, values, near, far and width, integers")
        if not all(isinstance(x, list) and x and all(type(y) is int for y in x) for x in value[2:4]):
            raise MalformedError("field header: sizes and halvings of interlaced samples are lists of integers")
        if not all(isinstance(x, list) and all(is_number(y) for y in x) for x in value[7:]):
            raise MalformedError("field header: steps and origins of interlaced samples are lists of numbers")
        sizes, halvings, steps, origins = cast("list[tuple[Any, ...]]", [tuple(value[i]) for i in (2, 3, 7, 8)])
        values, (near, far, width) = cast(int, value[1]), cast("list[int]", value[4:7])
        return built(lambda: cls(sizes, values, halvings, near, far, width, steps, origins), max_params)


class _Samples:
    """The values of the samples of any window, for `Resampled`."""

    def __init__(self, field: Interlaced, params: Params) -> None:
        field.check(params)
        self.field = field
        self.bytes = 16 * field.out_features
        """Memory of a sample while a window is computed."""
        self._integers = params[SAMPLES]

    def window(self, window: Window) -> NDArray[np.float32]:
        """Values (*lengths, b) of a part of the grid."""
        part = self._integers[(slice(None), *(slice(a, b) for a, b in window))]
        values = np.moveaxis(part, 0, -1) * np.array(self.field.steps, np.float64) + np.array(self.field.origins)
        return values.astype(np.float32)


def _check(name: str, value: object, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise InputError(f"interlaced samples: {name} must be an integer in [{least}, {most}], got {quoted(value)}")
