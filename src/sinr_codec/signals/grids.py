"""A signal on a regular grid of any dimension, whole or in blocks: what pictures, volumes, videos and shapes share.

`GridSpec` renders: a region, at a scale, from the networks of the blocks that the region touches. `GridSignal` trains:
samples by their numbers, of the whole or of each block. A kind adds its axes, its samples, its header and its files.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Literal, Self, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import MalformedError, quoted
from sinr_codec.signals import cut as cuts
from sinr_codec.signals import lattice
from sinr_codec.signals.base import Fields, Part, SampledPart
from sinr_codec.signals.cut import Blocking, Cut
from sinr_codec.signals.grammar import RegionLike, ScaleLike, SizeLike
from sinr_codec.signals.grid import CENTRES, Grid
from sinr_codec.signals.lattice import Span
from sinr_codec.signals.levels import Levels, max_error
from sinr_codec.signals.metadata import Metadata
from sinr_codec.types import Array

_SLAB: Final = 1 << 22  # samples rendered at once to find the largest error
_AXIS_BYTES: Final = 32  # of a coordinate while it is computed
MAX_SIDE: Final = 2**31 - 1
"""Samples along an axis that a header may tell."""


class GridSpec:
    """What a decoder needs to know of samples on a grid besides the networks; a base class of frozen dataclasses.

    Subclasses have `sizes`, samples along each axis, `out_features`, values a sample, `levels`, how samples map to
    values in [-1, 1], and `cut`, how the grid is cut into blocks, None in one piece.
    """

    KIND: ClassVar[str]
    UNIT: ClassVar[str]
    MEASURE: ClassVar[str] = "PSNR"

    if TYPE_CHECKING:
        # Fields of some subclasses and properties of others.
        @property
        def sizes(self) -> tuple[int, ...]:
            """Samples along each axis of the source."""
            raise NotImplementedError

        @property
        def out_features(self) -> int:
            """Values a sample."""
            raise NotImplementedError

        @property
        def levels(self) -> Levels:
            """How samples map to values in [-1, 1]."""
            raise NotImplementedError

        @property
        def cut(self) -> Cut | None:
            """How the grid is cut into blocks; None in one piece."""
            raise NotImplementedError

    @property
    def grid(self) -> Grid:
        """Where the samples lie in the field's domain; of blocks the default."""
        return CENTRES

    @property
    def in_features(self) -> int:
        """A coordinate an axis."""
        return len(self.sizes)

    @property
    def axes(self) -> tuple[int, ...]:
        """Samples along each coordinate of a network."""
        return tuple(self.grid.ordered(self.sizes)) if self.cut is None else self.cut.extents

    @property
    def parts(self) -> int:
        """A network for each block, or one."""
        return 1 if self.cut is None else self.cut.parts

    @property
    def samples(self) -> int:
        """Number of samples, such as pixels, of the source."""
        return math.prod(self.sizes)

    @property
    def values(self) -> int:
        """Numbers in a full decoding."""
        return self.samples * self.out_features

    @property
    def side(self) -> bytes:
        """A plain grid has no side section."""
        return b""

    @property
    def peak(self) -> float:
        """Peak of the PSNR: the dtype's range where it has 8 or 16 unsigned bits, else the range that occurs."""
        return self.levels.dtype_peak

    def described(self, about: dict[str, Any]) -> dict[str, Any]:
        """A description with the blocks by axis and their fade, where there are any."""
        return about if self.cut is None else about | self.cut.describe()

    def with_cut(self, cut: Cut | None, **changes: Any) -> Self:
        """Itself in the blocks of a cut, or in one piece where that has one block."""
        changed: Self = replace(cast(Any, self), cut=cut if cut is not None and cut.parts > 1 else None, **changes)
        return changed

    def part(self, sizes: tuple[int, ...]) -> Self:
        """The description of a block of so many samples by axis."""
        return self.with_cut(None, sizes=sizes)

    @classmethod
    def from_header(cls, header: Any, side: bytes = b"") -> Self:
        """See `Spec.from_header`."""
        raise NotImplementedError

    @classmethod
    def parts_in(cls, header: Any) -> int:
        """Number of networks that a header declares."""
        return cls.from_header(header).parts

    # -- rendering

    def window(
        self,
        fields: Fields,
        scale: ScaleLike | None = None,
        size: SizeLike | None = None,
        region: RegionLike | None = None,
    ) -> tuple[Span, ...]:
        """Which samples of each axis a rendering has, within the limit of values (`lattice.window`)."""
        most = fields.max_samples // self.out_features
        spans = lattice.window(self.sizes, scale=scale, size=size, region=region, most=most, noun=self.UNIT)
        fields.check_bytes(_AXIS_BYTES * sum(map(len, spans)), f"the coordinates of {self.UNIT}s")
        return spans

    @property
    def value_bytes(self) -> int:
        """Bytes of a value of a rendering."""
        return int(np.dtype(self._dtype).itemsize)

    @property
    def _dtype(self) -> Any:
        """Dtype of the samples of `evaluate`."""
        return self.levels.dtype

    def _finish(self, values: Array) -> Array:
        """Values (n, b) as samples."""
        return self.levels.to_samples(values)

    def _clip(self, values: Array) -> Array:
        """Values (n, b) of one block before they are blended with those of another."""
        return cuts.to_unit(values)

    def evaluate(self, fields: Fields, spans: Sequence[Span]) -> Array:
        """Samples of a window, (*lengths, values), from the networks of the blocks that it touches."""
        values, finish, dtype = self.out_features, self._finish, self._dtype
        if self.cut is not None:
            return cuts.render(fields, self.cut, spans, values, finish, dtype, self.UNIT, self._clip)
        axes = lattice.axes_of(self.grid, spans)
        to_coords = self.grid.product if self.grid.xy else lattice.points
        return lattice.render(fields, axes, values, finish, dtype, to_coords=to_coords, noun=self.UNIT)


S = TypeVar("S", bound=GridSpec)


class GridSignal(SampledPart, Generic[S]):
    """Samples on a grid, numbered: coordinates, and values in [-1, 1]; a base class.

    Attributes
    ----------
    array
        The source's samples: the axes, and possibly one more of values.
    spec
        What a decoder needs.
    notes
        One-line remarks on what reading left out.
    metadata
        What the source tells besides the samples.
    """

    BLOCKS: ClassVar[Blocking] = Blocking(least=8, fade=4, noun="samples")
    """How the kind is cut."""
    order: Literal["C", "F"] = "C"
    """How samples are numbered: the last axis first, or the first one."""

    def __init__(
        self,
        array: Array,
        spec: S,
        notes: tuple[str, ...] = (),
        axes: Sequence[NDArray[np.float32]] | None = None,
    ) -> None:
        self.array = array
        self.spec = spec
        self.notes = notes
        self.metadata: Metadata = {}
        self.levels, self.peak = spec.levels, spec.peak
        self._axes = lattice.axes_of(spec.grid, lattice.window(spec.sizes)) if axes is None else axes

    # -- blocks

    def in_blocks(self) -> Self:
        """The signal as it is best encoded: in blocks where it is large."""
        blocks = self.BLOCKS
        if self.spec.cut is not None or blocks.largest is None or len(self) <= blocks.largest:
            return self
        return self._with(blocks.cut(self.spec.sizes, blocks.side))

    def unblended(self, largest: int) -> Self:
        """The signal in one piece up to so many samples, or in blocks that do not overlap."""
        blocks, cut = self.BLOCKS, self.spec.cut
        if cut is None and len(self) > largest:
            cut = blocks.cut(self.spec.sizes, blocks.side)
        return self if cut is None else self._with(replace(cut, fade=0))

    def largest_error(self, render: Callable[..., Array]) -> float:
        """The largest difference between the samples and what ``render(region=...)`` gives, in slabs."""
        sizes = self.spec.sizes
        thick, worst = max(1, _SLAB * sizes[0] // self.spec.samples), 0.0
        for start in range(0, sizes[0], thick):
            slab = (start, min(start + thick, sizes[0]))
            decoded = np.asarray(render(region=[slab, *((0, n) for n in sizes[1:])]))
            wanted = np.asarray(self.array[slice(*slab)])
            worst = max(worst, max_error(decoded.reshape(wanted.shape), wanted))
        return worst

    def cut_like(self, like: GridSpec | None, block: float | None) -> Self:
        """The signal cut as that of a file of the same sizes, or into blocks of about so many samples a side."""
        if like is not None and like.sizes == self.spec.sizes:
            return self if like.cut is None else self._with(like.cut)
        return self._with(self.BLOCKS.cut(self.spec.sizes, block)) if block else self

    def _with(self, cut: Cut) -> Self:
        signal = type(self)(self.array, self.spec.with_cut(cut), self.notes)
        signal.metadata = self.metadata
        return signal

    @property
    def parts(self) -> Sequence[Part]:
        """What each network stands for: the blocks, each with the samples that it fades over, or the whole signal."""
        cut = self.spec.cut
        if cut is None:
            return [self._trained()]
        return Parts(cut.parts, lambda number: self._block(cut, number)._trained())

    def _block(self, cut: Cut, number: int) -> Self:
        array = self.array[cut.area(number)]
        return type(self)(array, self.spec.part(array.shape[: len(cut.sizes)]), axes=cut.axes(number))

    def _trained(self) -> Part:
        """What is trained on, of a signal in one piece."""
        return self

    # -- samples

    @property
    def in_features(self) -> int:
        """A coordinate an axis."""
        return self.spec.in_features

    @property
    def out_features(self) -> int:
        """Values a sample."""
        return self.spec.out_features

    def __len__(self) -> int:
        return self.spec.samples

    def batch(self, index: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Samples by number, int64 (n,): coords float32 (n, a) and values float32 (n, b)."""
        place = np.unravel_index(index, self.spec.sizes, order=self.order)
        coords = self.spec.grid.points(*(axis[i] for axis, i in zip(self._axes, place)))
        return coords, self.levels.to_values(np.asarray(self.array[place])).reshape(len(index), -1)

    @property
    def source_bytes(self) -> int:
        """Bytes of the samples."""
        return self.array.nbytes


class Parts(Sequence[Part]):
    """The parts of a signal in blocks, each made when it is asked for: what is kept of one may take megabytes."""

    def __init__(self, count: int, make: Callable[[int], Part]) -> None:
        self._count, self._make = count, make

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return [self._make(each) for each in range(*number.indices(self._count))]
        if not -self._count <= number < self._count:
            raise IndexError(number)
        return self._make(number % self._count)


def id_of(header: Any) -> int:
    """The signal's id, with which every header starts."""
    if type(header) is not list or not header or type(header[0]) is not int:
        raise MalformedError("signal header: expected a list that starts with the signal's id")
    number: int = header[0]
    return number


def check_sides(sides: dict[str, Any], kind: str) -> None:
    """Raise `MalformedError` for sizes in a header, by their names, that are none."""
    for name, value in sides.items():
        if type(value) is not int or not 1 <= value <= MAX_SIDE:
            raise MalformedError(f"{kind} {name}: expected 1 to {MAX_SIDE}, found {quoted(value)}")
