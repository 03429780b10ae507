"""Pyramids: integer latents at several resolutions, and a small network that makes the samples of a grid from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any, ClassVar, Final, Self, cast

import numpy as np
from numpy.typing import NDArray

from sinr_codec.coding.latents import offsets
from sinr_codec.errors import InputError, MalformedError, UnknownIdError, quoted
from sinr_codec.fields._numbers import built
from sinr_codec.fields.base import FieldDefaults, Params
from sinr_codec.fields.resampling import Resampled
from sinr_codec.fields.synthesis import Synthesis
from sinr_codec.types import AnyArray, Array, Cbor

MAX_AXES: Final = 4
MAX_SIZE: Final = 1 << 24
"""Samples along an axis; float32 coordinates tell so many apart."""
MAX_VALUES: Final = 64
MAX_LEVELS: Final = 16
MAX_CHANNELS: Final = 8
MAX_CAUSAL: Final = 25
MAX_RADIUS: Final = 16
MAX_HIDDEN: Final = 64
MAX_WIDTH: Final = 256
MAX_RESIDUALS: Final = 2

CONTEXT: Final = tuple(f"context.{layer}.{part}" for layer in range(3) for part in ("weight", "bias"))
"""Parameters of the network that predicts latents."""

_RADII: Final = {1: (25, 4, 4), 2: (9, 2, 2), 3: (4, 1, 1), 4: (2, 1, 1)}
_UPSAMPLING: Final = (-144, 1072, 3600, -432)
"""About a cubic convolution at a quarter of a sample, in units of 2^-12."""


@dataclass(frozen=True)
class Pyramid(FieldDefaults):
    """Integer latents at several resolutions, with exact networks that predict them and make the samples from them.

    Level 0 is the grid itself; it has no latents. Level l = 1 .. L has the size ceil(size / 2^min(l, halvings)) along
    each axis, and `channels` planes of latents. The latents of all levels, upsampled to level 1, are the input of a 3^d
    convolution. A second layer makes the 2^p samples of each position of level 1, where p axes are halved, from its
    outputs and once more from the latents. Residual convolutions at full size follow. All of it is integer arithmetic,
    so that samples are the same bits everywhere (`Synthesis`, docs/format.md). Positions between the samples are
    interpolated (`Resampled`).

    The design is that of overfitted codecs of pictures: COOL-CHIC (Ladune et al. 2023) and C3 (Kim et al. 2024).

    Parameters
    ----------
    sizes
        Samples of the grid along each axis, 1 to 4 axes.
    out_features
        Values b of a sample.
    halvings
        How often each axis is halved, at least one of them once. L is the largest.
    channels
        Planes of level 1, 2, ..., L.
    causal, previous, parent
        Squared radii of the neighbours that predict a latent: in its own plane, in the plane before, and in the level
        above.
    hidden
        Width of the network that predicts latents.
    width
        Width of the network that makes samples.
    residuals
        Residual convolutions at full size.

    Raises
    ------
    InputError
        A size outside the limits.
    """

    sizes: tuple[int, ...]
    out_features: int
    halvings: tuple[int, ...]
    channels: tuple[int, ...]
    causal: int
    previous: int
    parent: int
    hidden: int = 16
    width: int = 24
    residuals: int = 2

    ID: ClassVar[int] = 7
    ON_DEVICES: ClassVar[bool] = False
    INTEGERS: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 1 <= len(self.sizes) <= MAX_AXES:
            raise InputError(f"pyramid: sizes must name 1 to {MAX_AXES} axes, got {len(self.sizes)}")
        if len(self.halvings) != len(self.sizes):
            raise InputError(f"pyramid: halvings must have {len(self.sizes)} entries, got {quoted(self.halvings)}")
        for size, halvings in zip(self.sizes, self.halvings):
            _check("sizes", size, 1, MAX_SIZE)
            _check("halvings", halvings, 0, min(MAX_LEVELS, max(1, (size - 1).bit_length())))
        if not any(self.halvings):
            raise InputError("pyramid: at least one axis must be halved")
        if len(self.channels) != self.levels:
            raise InputError(f"pyramid: channels must have {self.levels} entries, got {quoted(self.channels)}")
        for channels in self.channels:
            _check("channels", channels, 1, MAX_CHANNELS)
        for name, least, most in (
            ("out_features", 1, MAX_VALUES),
            ("causal", 1, MAX_CAUSAL),
            ("previous", 0, MAX_RADIUS),
            ("parent", 0, MAX_RADIUS),
            ("hidden", 1, MAX_HIDDEN),
            ("width", 1, MAX_WIDTH),
            ("residuals", 0, MAX_RESIDUALS),
        ):
            _check(name, getattr(self, name), least, most)

    @classmethod
    def for_grid(
        cls, sizes: Sequence[int], values: int, *, channels: Sequence[int] = (3, 1), **sizes_of_networks: int
    ) -> Self:
        """The usual pyramid of a grid: an axis of 8 samples or more is halved until fewer than 16 are left.

        Parameters
        ----------
        sizes, values
            Samples along each axis, and values of a sample.
        channels
            Planes of level 1, 2, ...; further levels have as many as the last.
        sizes_of_networks
            `causal`, `previous`, `parent`, `hidden`, `width`, `residuals`; radii depend on the number of axes unless
            given.
        """
        halvings = [0 if n < 8 else max(1, (n // 8).bit_length() - 1) for n in sizes]
        if not any(halvings) and halvings:
            halvings[int(np.argmax(sizes))] = 1
        levels = min(MAX_LEVELS, max(halvings, default=0))
        planes = (*channels, *[channels[-1]] * levels)[:levels]
        radii = dict(zip(("causal", "previous", "parent"), _RADII.get(len(sizes), _RADII[MAX_AXES])))
        halvings = [min(h, levels) for h in halvings]
        return cls(tuple(sizes), values, tuple(halvings), planes, **(radii | sizes_of_networks))

    # -- the grids

    @property
    def in_features(self) -> int:
        """Number of axes."""
        return len(self.sizes)

    @property
    def levels(self) -> int:
        """Number L of levels with latents."""
        return max(self.halvings)

    @property
    def planes(self) -> int:
        """Planes of all levels together."""
        return sum(self.channels)

    def size(self, level: int) -> tuple[int, ...]:
        """Positions of a level along each axis; level 0 is the grid itself."""
        return tuple(-(-n >> min(level, h)) for n, h in zip(self.sizes, self.halvings))

    def halved(self, level: int) -> tuple[bool, ...]:
        """The axes that are halved from a level to the next coarser one, `level` + 1."""
        return tuple(h > level for h in self.halvings)

    @property
    def phases(self) -> int:
        """Samples of a position of level 1."""
        return int(2 ** sum(self.halved(0)))

    @property
    def inputs(self) -> int:
        """Inputs of the network that predicts latents."""
        d = self.in_features
        own = offsets(d, self.causal, causal=True)
        return len(own) + len(offsets(d, self.previous)) + 1 + len(offsets(d, self.parent))

    # -- parameters

    @cached_property
    def _networks(self) -> dict[str, tuple[int, ...]]:
        hidden, width, values, taps = self.hidden, self.width, self.out_features, (3,) * self.in_features
        shapes: dict[str, tuple[int, ...]] = {
            "context.0.weight": (hidden + 2, self.inputs),
            "context.0.bias": (self.planes, hidden + 2),
            "context.1.weight": (hidden, hidden),
            "context.1.bias": (hidden,),
            "context.2.weight": (2, hidden),
            "context.2.bias": (2,),
        }
        if self.levels > 1:
            shapes["upsampling"] = (4,)
        shapes |= {
            "synthesis.0.weight": (width, self.planes, *taps),
            "synthesis.0.bias": (width,),
            "synthesis.1.weight": (values * self.phases, width + self.planes),
            "synthesis.1.bias": (values * self.phases,),
        }
        for number in range(self.residuals):
            shapes[f"residuals.{number}.weight"] = (values, values, *taps)
            shapes[f"residuals.{number}.bias"] = (values,)
        return shapes

    @property
    def networks(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters that are no latents, by name, in storage order."""
        return dict(self._networks)

    @property
    def latents(self) -> dict[str, tuple[int, ...]]:
        """Shapes (planes, *size) of the latents by name, in storage order: the coarsest level first."""
        return {
            latents_name(level): (self.channels[level - 1], *self.size(level)) for level in range(self.levels, 0, -1)
        }

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name, in storage order: `networks`, then `latents`."""
        return self._networks | self.latents

    def dtypes(self) -> dict[str, np.dtype]:
        """Dtypes by name: int32; parameters of networks are in units of their fractional bits."""
        return dict.fromkeys(self.shapes(), np.dtype(np.int32))

    @property
    def num_params(self) -> int:
        """Number of latents, and of parameters of the networks."""
        return self.network_params + sum(map(math.prod, self.latents.values()))

    @staticmethod
    def fraction(name: str) -> int:
        """Fractional bits of a parameter of the networks."""
        if name.startswith("context"):
            return 8
        return 16 if name == "synthesis.1.bias" or (name.startswith("residuals") and name.endswith("bias")) else 12

    @property
    def network_params(self) -> int:
        """Number of parameters that are no latents."""
        return sum(map(math.prod, self._networks.values()))

    @property
    def work(self) -> int:
        """Multiply-adds a sample, upsampling included."""
        taps, values = 3**self.in_features, self.out_features
        position = self.planes * (taps * self.width + 8 * self.in_features)
        position += (self.width + self.planes) * values * self.phases
        return -(-position // self.phases) + self.residuals * taps * values * values

    @property
    def neurons(self) -> int:
        """None: the activation is a maximum, no more work than a multiply-add."""
        return 0

    @property
    def widest(self) -> int:
        """Real numbers of a position: those that are interpolated, or the hidden layer."""
        return max(self.width, 4**self.in_features * self.out_features)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Parameters of which all samples are 0: a usual upsampling, all else 0. Nothing is random."""
        dtypes = self.dtypes()
        params: dict[str, Array] = {name: np.zeros(shape, dtypes[name]) for name, shape in self.shapes().items()}
        if "upsampling" in params:
            params["upsampling"][:] = _UPSAMPLING
        return params

    def centre(self, params: Mapping[str, Array], mean: NDArray[np.float32]) -> dict[str, Array]:
        """Parameters with the mean (b,) of the values as bias of the second layer."""
        bias = np.repeat(np.rint(np.asarray(mean, np.float64) * 2**16), self.phases)
        return dict(params) | {"synthesis.1.bias": bias.astype(np.int32)}

    def check(self, params: Params) -> None:
        """Raise `InputError` unless the parameters have the names, shapes and dtypes of this field."""
        dtypes = self.dtypes()
        for name, shape in self.shapes().items():
            if name not in params or tuple(params[name].shape) != shape or params[name].dtype != dtypes[name]:
                raise InputError(f"params: {name} must be there and have the shape {shape} and dtype {dtypes[name]}")
        if odd := sorted(set(params) - set(dtypes)):
            raise InputError(f"params: the names must be those of the field; {quoted(odd[0])} is too much")

    # -- the function

    def decoder(self, params: Params) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """A `GridDecoder` on NumPy.

        Raises
        ------
        MalformedError
            Weights so large that a sum may reach 2^53.
        """
        return Resampled(Synthesis(self, params))

    def function(self, xp: ModuleType, device: object = None) -> Callable[[Params, AnyArray], AnyArray]:
        """``f(params, coords (n, a)) -> values (n, b)``, computed by NumPy and not differentiable."""
        return lambda params, coords: xp.asarray(self.decoder(params)(np.asarray(coords, np.float32)))

    def describe(self) -> str:
        """One-line description for users.

        Such as "pyramid of 512 x 768, 6 levels of 3, 1, 1, 1, 1, 1 planes -> 24 -> 3, 2 residuals, context 16".
        """
        sizes, planes = " x ".join(map(str, self.sizes)), ", ".join(map(str, self.channels))
        levels = "1 level" if self.levels == 1 else f"{self.levels} levels"
        residuals = "1 residual" if self.residuals == 1 else f"{self.residuals} residuals"
        networks = f"-> {self.width} -> {self.out_features}, {residuals}, context {self.hidden}"
        return f"pyramid of {sizes}, {levels} of {planes} planes {networks}"

    # -- the header of a file

    def to_header(self) -> list[Cbor]:
        """``[7, b, [size...], [halvings...], [channels...], causal, previous, parent, hidden, width, residuals]``

        The channels end where all further levels have as many as the last one named.
        """
        channels = list(self.channels)
        while len(channels) > 1 and channels[-1] == channels[-2]:
            channels.pop()
        grids: list[Cbor] = [list(self.sizes), list(self.halvings), channels]
        networks = [self.causal, self.previous, self.parent, self.hidden, self.width, self.residuals]
        return [self.ID, self.out_features, *grids, *networks]

    @classmethod
    def from_header(cls, value: object, max_params: int) -> Pyramid:
        """Inverse of `to_header`; nothing is allocated.

        Raises
        ------
        MalformedError
            The value breaks the form above or a range.
        UnknownIdError
            A twelfth entry, 16 bytes: the name of networks that this version does not have.
        LimitError
            More parameters than `max_params`.
        """
        if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not 11 <= len(value) <= 12:
            raise MalformedError("field header: a pyramid is a list of eleven or twelve entries")
        if len(value) == 12:
            if not isinstance(value[11], bytes) or len(value[11]) != 16:
                raise MalformedError("field header: the name of a pyramid's prior has 16 bytes")
            raise UnknownIdError(f"field header: the prior {value[11].hex()} is not known to this version")
        if any(type(x) is not int for x in (*value[:2], *value[5:])) or value[0] != cls.ID:
            raise MalformedError("field header: a pyramid has its id, its values and six sizes of networks, integers")
        if not all(isinstance(x, list) and x and all(type(y) is int for y in x) for x in value[2:5]):
            raise MalformedError("field header: sizes, halvings and channels of a pyramid are lists of integers")
        sizes, halvings, channels = cast("list[tuple[int, ...]]", [tuple(x) for x in value[2:5]])
        levels = max(halvings)
        if len(channels) > 1 and channels[-1] == channels[-2]:
            raise MalformedError("field header: the last channels of a pyramid are not repeated")
        if levels <= MAX_LEVELS and len(channels) < levels:
            channels += (channels[-1],) * (levels - len(channels))
        networks: Any = value[5:]
        return built(lambda: cls(sizes, cast(int, value[1]), halvings, channels, *networks), max_params)


def latents_name(level: int) -> str:
    """Name of a level's latents."""
    return f"latents.{level}"


def _check(name: str, value: object, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise InputError(f"pyramid: {name} must be an integer in [{least}, {most}], got {quoted(value)}")
