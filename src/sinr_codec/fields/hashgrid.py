"""Multi-resolution grids of features, hashed at fine levels, with a small network."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from types import ModuleType
from typing import ClassVar, Final

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

from sinr_codec.coding.tensor import Direct
from sinr_codec.errors import InputError, MalformedError, quoted
from sinr_codec.fields._numbers import built
from sinr_codec.fields.activations import ReLU
from sinr_codec.fields.base import FieldDefaults, Params
from sinr_codec.fields.exact import INTERPOLATED, Unit, exact_function, fixed, is_exact
from sinr_codec.fields.mlp import MAX_PARAMS, MLP
from sinr_codec.types import AnyArray, Array, Cbor

MAX_AXES: Final = 3
MAX_LEVELS: Final = 32
MAX_CELLS: Final = 1 << 20
MAX_TABLE: Final = 1 << 24
MAX_CHANNELS: Final = 64

#: One for each axis; the first is 1 (Müller et al. 2022, section 3).
PRIMES: Final = (1, 2_654_435_761, 805_459_861)


@dataclass(frozen=True)
class HashGrid(FieldDefaults):
    """Interpolated features of several grid levels over [-1, 1]^a, concatenated, and a ReLU network.

    A level divides the longest axis into a number of cells, the other axes in proportion, and has features at the
    vertices. Each vertex has its own table entry if the table is large enough; finer levels hash their vertices (Müller
    et al. 2022, "Instant neural graphics primitives", section 3; SHACIRA, Girish et al. 2023, section 3.1). A latent
    decoder that is affine in each level, such as SHACIRA's, is absorbed by the network's first layer, because
    interpolation commutes with affine maps.

    Parameters
    ----------
    in_features, out_features
        Coordinates a, at most 3, and values b of one sample.
    cells
        Cells along the longest axis, for each level.
    table
        Most entries of a level, a power of two.
    channels
        Numbers an entry.
    width, hidden_layers
        Size of the network, as in `MLP`.
    extent
        Aspect ratio of the axes, such as height and width of a picture; empty for a cube.

    Raises
    ------
    InputError
        A size outside the limits.
    """

    in_features: int
    out_features: int
    cells: tuple[int, ...]
    table: int
    channels: int
    width: int
    hidden_layers: int
    extent: tuple[int, ...] = ()

    ID: ClassVar[int] = 2
    EXACT: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, most in (("in_features", MAX_AXES), ("table", MAX_TABLE), ("channels", MAX_CHANNELS)):
            _check(name, getattr(self, name), most)
        if self.table & (self.table - 1):
            raise InputError(f"hash grid: table must be a power of two, got {self.table}")
        if not 1 <= len(self.cells) <= MAX_LEVELS:
            raise InputError(f"hash grid: cells must name 1 to {MAX_LEVELS} levels, got {len(self.cells)}")
        for value in self.cells:
            _check("cells", value, MAX_CELLS)
        if self.extent and len(self.extent) != self.in_features:
            given = quoted(self.extent)
            raise InputError(f"hash grid: extent must have {self.in_features} entries or none, got {given}")
        for value in self.extent:
            _check("extent", value, (1 << 31) - 1)
        _ = self.network  # checks the limits of an MLP

    # -- the grid

    @property
    def levels(self) -> int:
        """Number of levels."""
        return len(self.cells)

    @property
    def network(self) -> MLP:
        """The network on the features."""
        return MLP(self.levels * self.channels, self.out_features, self.width, self.hidden_layers, ReLU())

    def vertices(self, level: int) -> tuple[int, ...]:
        """Vertices of a level along each axis: one more than cells, with at least one cell."""
        cells = self.cells[level]
        if not self.extent:
            return (cells + 1,) * self.in_features
        longest = max(self.extent)
        return tuple(1 + max(1, (2 * cells * e + longest) // (2 * longest)) for e in self.extent)

    def entries(self, level: int) -> int:
        """Entries of a level's table."""
        return min(self.table, math.prod(self.vertices(level)))

    def hashed(self, level: int) -> bool:
        """Whether the vertices of a level share entries."""
        return math.prod(self.vertices(level)) > self.table

    def corners(self, xp: ModuleType, level: int, coords: AnyArray) -> Iterator[tuple[AnyArray, AnyArray]]:
        """The 2^a vertices around coords (n, a): for each, entries int64 (n,) and weights (n,). The weights sum to 1.

        Coordinates outside [-1, 1] have the values at the edge.
        """
        near, far, strides = [], [], self._strides(level)
        for axis, count in enumerate(self.vertices(level)):
            position = xp.clip((coords[..., axis] + 1) * ((count - 1) / 2), 0.0, float(count - 1))
            base = xp.clip(xp.floor(position), 0.0, float(count - 2))
            share, index = position - base, xp.astype(base, xp.int64)
            near.append((index * strides[axis], 1 - share))
            far.append(((index + 1) * strides[axis], share))
        for sides in product(*zip(near, far)):
            entry, weight = sides[0]
            for other, factor in sides[1:]:
                entry = entry ^ other if self.hashed(level) else entry + other
                weight = weight * factor
            yield entry & (self.table - 1) if self.hashed(level) else entry, weight

    @property
    def tables(self) -> dict[str, Direct]:
        """Lossless coding of integer tables, by name; entries of levels without hashing have neighbours as contexts."""
        rows = (
            None if self.hashed(level) else self.vertices(level)[-1] * self.channels for level in range(self.levels)
        )
        return {grid_name(level): Direct(step=1.0, row=row) for level, row in enumerate(rows)}

    def _strides(self, level: int) -> tuple[int, ...]:
        """Multipliers of a vertex's index along each axis: primes for hashing, or strides in C order."""
        if self.hashed(level):
            return PRIMES[: self.in_features]
        vertices = self.vertices(level)
        return tuple(math.prod(vertices[axis + 1 :]) for axis in range(self.in_features))

    # -- parameters

    @property
    def layers(self) -> int:
        """Affine layers of the network."""
        return self.network.layers

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name, in storage order: ``grid.0`` (entries, channels), ...; then those of the network."""
        grids = {grid_name(level): (self.entries(level), self.channels) for level in range(self.levels)}
        return grids | self.network.shapes()

    def dtypes(self) -> dict[str, np.dtype]:
        """Dtypes by name: float32."""
        return dict.fromkeys(self.shapes(), np.dtype(np.float32))

    @property
    def num_params(self) -> int:
        """Number of parameters in all tables and the network."""
        return sum(map(self.entries, range(self.levels))) * self.channels + self.network.num_params

    @property
    def network_params(self) -> int:
        """Number of parameters outside the tables."""
        return self.network.num_params

    @property
    def work(self) -> int:
        """Multiply-adds a sample."""
        return self.levels * 2**self.in_features * (self.channels + self.in_features) + self.network.num_params

    @property
    def neurons(self) -> int:
        """Those of the network."""
        return self.network.neurons

    @property
    def widest(self) -> int:
        """Real numbers of a sample in the widest layer."""
        return self.network.widest

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Initial parameters: tables uniform in +-0.1 (SHACIRA), the network as in `MLP`."""
        grids = {
            grid_name(level): rng.uniform(-0.1, 0.1, (self.entries(level), self.channels)).astype(np.float32)
            for level in range(self.levels)
        }
        return grids | self.network.init(rng)

    def centre(self, params: Mapping[str, Array], mean: NDArray[np.float32]) -> dict[str, Array]:
        """Parameters with the mean (b,) of the values to fit as last bias."""
        return self.network.centre(params, mean)

    def check(self, params: Params) -> None:
        """Raise `InputError` unless the parameters have the names and shapes of this field."""
        self.network.check({name: value for name, value in params.items() if not name.startswith("grid.")})
        for level in range(self.levels):
            name, shape = grid_name(level), (self.entries(level), self.channels)
            if name not in params or tuple(params[name].shape) != shape:
                raise InputError(f"params: {name} must be there and have the shape {shape}")
        if odd := sorted(set(params) - set(self.shapes())):
            raise InputError(f"params: the names must be those of the field; {quoted(odd[0])} is too much")

    # -- the function

    def features(self, xp: ModuleType, params: Params, coords: AnyArray) -> AnyArray:
        """Interpolated entries (n, levels x channels) at coords (n, a), level by level."""
        levels = []
        for level in range(self.levels):
            table = params[grid_name(level)]
            corners = self.corners(xp, level, coords)
            levels.append(sum(xp.take(table, entry, axis=0) * weight[..., None] for entry, weight in corners))
        return xp.concat(levels, axis=-1)

    def function(self, xp: ModuleType, device: object = None) -> Callable[[Params, AnyArray], AnyArray]:
        """``f(params, coords (n, a)) -> values (n, b)`` in an array namespace; see `MLP.function`."""
        network = self.network.function(xp, device)
        return lambda params, coords: network(params, self.features(xp, params, coords))

    def apply(self, params: Params, coords: AnyArray) -> AnyArray:
        """Values (..., b) at coords (..., a), for NumPy arrays and torch tensors alike."""
        xp = array_namespace(coords)
        flat = xp.reshape(coords, (-1, self.in_features))
        return xp.reshape(self.function(xp, device(coords))(params, flat), (*coords.shape[:-1], self.out_features))

    def decoder(self, params: Params) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """``f(coords (n, a)) -> values (n, b)`` on NumPy; see `MLP.decoder`."""
        network = self.network.decoder(params)
        return lambda coords: network(self.features(np, params, coords))

    def is_exact(self, params: Params) -> bool:
        """See `base.Exact`."""
        most = 2.0 ** (INTERPOLATED.bits - INTERPOLATED.fraction)
        entries = (np.abs(params[grid_name(level)]).max() for level in range(self.levels))
        return max(entries) <= most and is_exact(self.network, params, self._inputs)

    def exact(self, xp: ModuleType, params: Params, device: object = None) -> Callable[[AnyArray], AnyArray]:
        """See `base.Exact`; entries are interpolated in float32."""
        network = exact_function(xp, self.network, params, device, self._inputs)
        tables = {name: xp.asarray(params[name], device=device) for name in map(grid_name, range(self.levels))}
        return lambda coords: network(fixed(xp, self.features(xp, tables, coords), INTERPOLATED))

    @property
    def _inputs(self) -> list[Unit]:
        return [INTERPOLATED] * self.network.in_features

    def describe(self) -> str:
        """One-line description for users.

        Such as "hash grid 2 -> 6 levels of 8..256 cells, at most 65536 x 1 -> 1 x 16 relu -> 3".
        """
        cells = f"{self.cells[0]}..{self.cells[-1]}" if self.levels > 1 else f"{self.cells[0]}"
        return (
            f"hash grid {self.in_features} -> {self.levels} levels of {cells} cells, at most {self.table} x "
            f"{self.channels} -> {self.hidden_layers} x {self.width} relu -> {self.out_features}"
        )

    # -- the header of a file

    def to_header(self) -> list[Cbor]:
        """``[2, a, b, k, l, channels, log2 table, [cells, ...], extent]``; the extent is omitted for a cube."""
        header = [self.ID, self.in_features, self.out_features, self.width, self.hidden_layers, self.channels]
        parts: list[Cbor] = [self.table.bit_length() - 1, list(self.cells)]
        return [*header, *parts, *([list(self.extent)] if self.extent else [])]

    @classmethod
    def from_header(cls, value: object, max_params: int = MAX_PARAMS) -> HashGrid:
        """Inverse of `to_header`; nothing is allocated.

        Raises
        ------
        MalformedError
            The value breaks the form above or a range.
        LimitError
            More parameters than `max_params`.
        """
        if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not 8 <= len(value) <= 9:
            raise MalformedError("field header: a hash grid is a list of eight or nine entries")
        if any(type(x) is not int for x in value[:7]) or value[0] != cls.ID:
            raise MalformedError("field header: a hash grid starts with its id and six sizes, integers")
        if not all(isinstance(x, list) and all(type(y) is int for y in x) for x in value[7:]) or value[-1] == []:
            raise MalformedError("field header: cells and extent of a hash grid are lists of integers")
        _, in_features, out_features, width, hidden_layers, channels, bits = value[:7]
        cells, extent = tuple(value[7]), tuple(value[8]) if len(value) == 9 else ()
        if not 0 <= bits <= MAX_TABLE.bit_length() - 1:
            raise MalformedError(f"field header: a table of a hash grid has at most {MAX_TABLE} entries")
        sizes = in_features, out_features, cells, 1 << bits, channels, width, hidden_layers, extent
        return built(lambda: cls(*sizes), max_params)


def grid_name(level: int) -> str:
    """Name of a level's table."""
    return f"grid.{level}"


def _check(name: str, value: object, most: int) -> None:
    if type(value) is not int or not 1 <= value <= most:
        raise InputError(f"hash grid: {name} must be an integer in [1, {most}], got {quoted(value)}")
