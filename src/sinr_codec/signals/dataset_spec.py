"""What a file records of a dataset, and how its fields are rendered."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, LimitError, MalformedError, UnknownIdError, listed, quoted
from sinr_codec.files import atomic_write
from sinr_codec.signals import cut as cuts
from sinr_codec.signals import dataset_files as files
from sinr_codec.signals import dataset_output as output
from sinr_codec.signals import lattice
from sinr_codec.signals.base import Fields
from sinr_codec.signals.cut import Cut
from sinr_codec.signals.dataset_globe import Globe, Grids, between, is_earth
from sinr_codec.signals.dataset_side import Content, Gap, Variable, expect, read_side
from sinr_codec.signals.grammar import Range, Region, RegionLike, Scale, ScaleLike
from sinr_codec.signals.grids import id_of
from sinr_codec.types import Array, PathLike

DATASET: Final = 3
DATASET_IN_BLOCKS: Final = 11
"""The ids of datasets among the signals a file can hold: of those in one piece, and of those cut into blocks."""
_NETCDF: Final = (".nc", ".nc4", ".netcdf", ".cdf")
_SLAB: Final = 1 << 22  # cells of a mask that are unpacked at once


@dataclass(frozen=True)
class DatasetSpec:
    """What a decoder needs besides the networks: everything but the fields' values.

    Coordinates of a network are, in this order: one for each of `dims` that latitude and longitude do not depend on,
    ``(2 p + 1) / n - 1`` at position p of n; then three on the sphere. A variable without some dimension lies at 0 of
    it, and in the first blocks along it. Values are the fields in the dataset's order.

    Attributes
    ----------
    side
        Everything, packed.
    cut
        How the grid of `dims` is cut into blocks; None in one piece.
    """

    side: bytes
    cut: Cut | None = None

    KIND: ClassVar[str] = "dataset"
    UNIT: ClassVar[str] = "cell"
    MEASURE: ClassVar[str] = "PSNR"

    @cached_property
    def content(self) -> Content:
        """The side section, read and checked."""
        return read_side(self.side)

    @cached_property
    def variables(self) -> tuple[Variable, ...]:
        """The fields: variables that the network represents."""
        return tuple(v for v in self.content.variables if v.levels is not None)

    @cached_property
    def dims(self) -> tuple[str, ...]:
        """Dimensions of the fields together, in the order of the field with most of them."""
        return tuple(dict.fromkeys(d for v in sorted(self.variables, key=lambda v: -len(v.dims)) for d in v.dims))

    @cached_property
    def groups(self) -> dict[tuple[str, ...], list[int]]:
        """Numbers of the fields by their dimensions."""
        groups: dict[tuple[str, ...], list[int]] = {}
        for number, v in enumerate(self.variables):
            groups.setdefault(v.dims, []).append(number)
        return groups

    @cached_property
    def _globe(self) -> Globe | None:
        earth = self.content.earth
        named = self.content.named
        return None if earth is None else Globe(named(earth[0]), named(earth[1]), self.content.steady)

    @cached_property
    def _globes(self) -> dict[int, Globe]:
        """Of blocks that were met."""
        return {}

    def _globe_of(self, part: int | None) -> Globe:
        """The globe in the domain of a network."""
        assert self._globe is not None
        if part is None:
            return self._globe
        if part not in self._globes:
            self._globes[part] = self._globe.of_area(self.area(part))
        return self._globes[part]

    @cached_property
    def _sphere(self) -> tuple[str, ...]:
        """Dimensions that the sphere stands for."""
        content = self.content
        dims = (d for name in content.earth or () if content.sphere for d in content.named(name).dims)
        return tuple(dict.fromkeys(d for d in dims if d not in content.steady))

    @property
    def in_features(self) -> int:
        """One coordinate a dimension, three for latitude and longitude together."""
        return sum(d not in self._sphere for d in self.dims) + (3 if self._sphere else 0)

    @property
    def axes(self) -> tuple[int, ...]:
        """Samples along each coordinate; along those of a sphere, as many as there would be if it had them evenly."""
        sizes = self.content.dims if self.cut is None else dict(zip(self.dims, self.cut.extents))
        own = [sizes[d] for d in self.dims if d not in self._sphere]
        cells = math.prod(sizes[d] for d in set(self._sphere))
        # A block is a nearly flat part of it.
        around = math.sqrt(cells / math.pi if self.cut is None else cells)
        return (*own, *([max(1, round(around))] * 3 if self._sphere else []))

    @property
    def out_features(self) -> int:
        """Number of fields."""
        return len(self.variables)

    @property
    def parts(self) -> int:
        """A network for all fields of each block, or one."""
        return 1 if self.cut is None else self.cut.parts

    @property
    def samples(self) -> int:
        """Cells of the fields' grids, missing ones included; fields over the same dimensions share theirs."""
        return sum(math.prod(self.content.shape(dims)) for dims in self.groups)

    @property
    def values(self) -> int:
        """Numbers in a full decoding."""
        return sum(math.prod(self.content.shape(v.dims)) for v in self.content.variables)

    @property
    def value_bytes(self) -> int:
        """Memory that a rendering takes for each value: what the network gives, as stored, and as xarray shows it."""
        return 16

    @property
    def suffix(self) -> str:
        """Datasets are written as netCDF."""
        return ".nc"

    def describe(self) -> dict[str, Any]:
        """Description ready for JSON."""
        content, dims = self.content, self.dims
        about = {
            "type": self.KIND,
            "shape": list(content.shape(dims)),
            "dims": list(dims),
            "dtype": ", ".join(dict.fromkeys(v.dtype for v in self.variables)),
            "variables": [v.name if v.dims == dims else f"{v.name}({', '.join(v.dims)})" for v in self.variables],
            "masked": [v.name for v in self.variables if v.gaps],
            "exact": [v.name for v in content.variables if v.levels is None],
            "sphere": bool(self._sphere),
        }
        return about if self.cut is None else about | self.cut.describe()

    def to_header(self) -> list[Any]:
        """``[3]``, in blocks ``[11, blocks by dimension, fade]``: all else is in the side section."""
        return [DATASET] if self.cut is None else [DATASET_IN_BLOCKS, list(self.cut.counts), self.cut.fade]

    @classmethod
    def from_header(cls, header: Any, side: bytes = b"") -> "DatasetSpec":
        """Inverse of `to_header` and `side`.

        Raises
        ------
        MalformedError, UnknownIdError, LimitError, TruncatedError : for what no writer can have written
        """
        number = id_of(header)
        if number == DATASET_IN_BLOCKS:
            cls.parts_in(header)
            spec = cls.from_header([DATASET], side)
            if len(header[1]) != len(spec.dims):
                raise MalformedError(f"dataset blocks: expected a number for each dimension, found {quoted(header[1])}")
            return replace(spec, cut=Cut.from_header(spec.shape, header[1], header[2]))
        if number != DATASET:
            raise UnknownIdError(f"signal id {number}: not that of a dataset")
        if len(header) != 1:
            raise MalformedError("dataset header: expected the id alone")
        spec = cls(bytes(side))
        content = spec.content
        expect(is_earth(content, *content.earth, content.steady) if content.earth is not None else not content.steady)
        return spec

    @classmethod
    def parts_in(cls, header: Any) -> int:
        """Number of networks that a header declares; what its side section holds is not looked at."""
        if id_of(header) != DATASET_IN_BLOCKS:
            return 1
        if len(header) != 3 or type(header[1]) is not list or not all(type(n) is int and n >= 1 for n in header[1]):
            raise MalformedError("dataset header: expected id, blocks by dimension and fade")
        return math.prod(header[1])

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples along each of `dims`."""
        return self.content.shape(self.dims)

    def with_cut(self, cut: Cut | None) -> "DatasetSpec":
        """Itself in the blocks of a cut, or in one piece where that has one block."""
        return replace(self, cut=cut if cut is not None and cut.parts > 1 else None)

    # -- blocks ------------------------------------------------------------------------------------------------

    def area(self, part: int) -> dict[str, slice]:
        """The samples along each dimension that a block has a share in."""
        assert self.cut is not None
        return dict(zip(self.dims, self.cut.area(part)))

    def part_at(self, dims: Sequence[str], place: Sequence[int]) -> int:
        """The block at a place along some dimensions, which is the first one along all others."""
        assert self.cut is not None
        known = dict(zip(dims, place))
        return self.cut.number([known.get(d, 0) for d in self.dims])

    def cut_along(self, dims: Sequence[str]) -> Cut:
        """How the grid of some dimensions is cut."""
        assert self.cut is not None
        counts = dict(zip(self.dims, self.cut.counts))
        return Cut(self.content.shape(tuple(dims)), tuple(counts[d] for d in dims), self.cut.fade)

    # -- coordinates -------------------------------------------------------------------------------------------

    def features(self, grids: Grids, sphere: Array | None = None, part: int | None = None) -> NDArray[np.float32]:
        """Coordinates (..., a) of a network at positions by dimension, or of points `sphere` (..., 3)."""
        columns = [
            self._coordinate(d, grids[d], part) if d in grids else np.zeros(())
            for d in self.dims
            if d not in self._sphere
        ]
        if self._sphere:
            columns += list(np.moveaxis(self._globe_of(part).at(grids) if sphere is None else sphere, -1, 0))
        return np.stack(np.broadcast_arrays(*columns), -1).astype(np.float32)

    def _coordinate(self, dim: str, positions: Array, part: int | None) -> Array:
        if part is None:
            return (2 * positions + 1.0) / self.content.dims[dim] - 1
        assert self.cut is not None
        axis = self.dims.index(dim)
        return self.cut.coords(axis, self.cut.place(part)[axis], positions + 0.5)

    def coords(self, part: int | None = None, /, **where: Any) -> NDArray[np.float32]:
        """Coordinates of points, for a network of an opened file.

        Parameters
        ----------
        part
            Of a dataset in blocks: the number of the block.
        where
            Numbers or arrays, which broadcast together, by dimension: values of its coordinate in the units that
            a decoded dataset shows (times too), positions where it has none. Latitude and longitude go by the
            names of their variables, or as `lat` and `lon`, in degrees.

        Returns
        -------
        float32 (..., a); feed them to the file and its outputs to `physical`.

        Raises
        ------
        InputError : an unknown name, a missing one, or a value outside of its coordinate
        """
        if (part is None) != (self.cut is None) or not 0 <= (part or 0) < self.parts:
            parts = f"0 to {self.parts - 1}" if self.cut is not None else "no number: the dataset is in one piece"
            raise InputError(f"coords: block {quoted(part)}: expected {parts}")
        where = dict(where)
        sphere = None
        if self._sphere:
            angles = []
            for usual, name in zip(("lat", "lon"), self.content.earth or ()):
                if (key := next((k for k in (name, usual) if k in where), None)) is None:
                    raise InputError(f"coords: expected {name}, in degrees")
                angles.append(np.asarray(where.pop(key), dtype=np.float64))
            sphere = self._globe_of(part).points(*angles)
        grids = {}
        for d in self.dims:
            if d in self._sphere:
                continue
            if d in where:
                grids[d] = self._positions(d, where.pop(d))
            elif self.content.dims[d] == 1:
                grids[d] = np.zeros(())
            else:
                raise InputError(f"coords: expected {d} as well")
        if where:
            raise InputError(f"coords: unknown {listed(where)}; expected {listed(self.dims)}")
        return self.features(grids, sphere, part)

    def _positions(self, dim: str, values: Any) -> NDArray[np.float64]:
        """Where values lie along the coordinate of a dimension."""
        wanted, axis = np.asarray(values), self.content.find(dim)
        if axis is None or axis.read is None or not axis.is_number or axis.dims != (dim,):
            ticks = np.arange(self.content.dims[dim], dtype=np.float64)
        else:
            ticks = axis.data.astype(np.float64)
            if wanted.dtype.kind in "MO":
                wanted = files.encoded_times(wanted, axis.attrs)
            else:
                ticks = axis.physical(ticks)
        if wanted.dtype.kind not in "iuf":
            raise InputError(f"{dim}: expected numbers, found {wanted.dtype}")
        rising = np.diff(ticks)
        if not ((rising > 0).all() or (rising < 0).all()):
            raise InputError(f"{dim}: its coordinate is not in order, so that a value has no position")
        order = 1 if len(ticks) < 2 or rising[0] > 0 else -1
        low, high = min(ticks[0], ticks[-1]), max(ticks[0], ticks[-1])
        if not ((wanted >= low) & (wanted <= high)).all():
            raise InputError(f"{dim}: expected values from {low:g} to {high:g}, as stored")
        return np.interp(wanted, ticks[::order], np.arange(len(ticks), dtype=np.float64)[::order])

    def physical(self, values: Array) -> dict[str, NDArray[np.float64]]:
        """Outputs (..., b) of the network in the variables' units, by name; not rounded, clipped or masked."""
        result = {}
        for number, v in enumerate(self.variables):
            assert v.levels is not None
            unit = (values[..., number].astype(np.float64) + 1) / 2
            result[v.name] = v.physical(unit * (v.levels.high - v.levels.low) + v.levels.low)
        return result

    # -- rendering ---------------------------------------------------------------------------------------------

    def render(
        self,
        fields: Fields,
        *,
        variables: str | Sequence[str] | None = None,
        region: RegionLike | None = None,
        scale: ScaleLike | None = None,
        decode_cf: bool = True,
    ) -> Any:
        """Render the dataset, or a part of it.

        Parameters
        ----------
        fields
            The network.
        variables
            Names of the data variables wanted; default: all.
        region
            Part of the dataset: (start, stop) by dimension, in samples of the source, or for the dimensions of the
            fields in order.
        scale
            Factor on the resolution by dimension, or for each in order, or one number for latitude and longitude
            (without them, for the last two dimensions). Samples of the source that stay keep their place: scale 2 puts
            one between every two. Coordinates are interpolated, masks are those of the nearest cell, and other
            variables along such a dimension are left out.
        decode_cf
            Unpack numbers, make times of times and NaN of fill values, as xarray does when it opens a file; without
            it, numbers as they are stored. Variables that xarray cannot decode stay as they are stored, with a warning.

        Returns
        -------
        xarray.Dataset

        Raises
        ------
        InputError : an unknown name, a region outside of the source, a scale that has no meaning
        LimitError : more values than a rendering may have, before they are computed
        MissingExtraError : xarray is not installed
        """
        xr = files.import_xarray()
        content = self.content
        wanted = None if variables is None else files.names_in(variables, content.by_name)
        if wanted is not None and (unknown := [n for n in wanted if not isinstance(n, str) or content.find(n) is None]):
            names = listed(v.name for v in content.variables)
            raise InputError(f"variables: {quoted(unknown[0])} is not in the file; expected some of {names}")
        spans = self._spans(region, scale)
        chosen = [n for n, v in enumerate(self.variables) if wanted is None or v.name in wanted]
        count = sum(math.prod(spans[d].count for d in self.variables[n].dims) for n in chosen)
        if count > fields.max_samples:
            raise LimitError(f"a rendering of {count:,} values: above the limit of {fields.max_samples:,}")
        fields.check_bytes(4 * content.unpacked, "what is stored exactly")
        # Only now, and only dimensions of what is rendered, may take memory.
        used = {d for n in chosen for d in self.variables[n].dims}
        used |= {d for v in content.variables if v.read is not None for d in v.dims}
        where = {d: span.positions() for d, span in spans.items() if d in used}
        scaled = {d for d, span in spans.items() if span.factor != 1}
        arrays = self._exact(where, scaled) | self._fields(fields, where, chosen)
        stored = output.assembled(xr, content, arrays)
        if not decode_cf:
            return stored if wanted is None else files.restricted(stored, wanted, "variables")
        decoded = output.decoded(xr, stored)
        return decoded if wanted is None else decoded[wanted]

    def _spans(self, region: RegionLike | None, scale: ScaleLike | None) -> dict[str, "_Span"]:
        """What to render of each dimension."""
        globe = self._globe
        regions = {} if region is None or region == {} else Region.parse(region).by_name(self.dims)
        usual = sum(globe.dims, ()) if globe is not None else self.dims[-2:]
        factors = {} if scale is None or scale == {} else Scale.parse(scale).by_name(self.dims, usual)
        for d, factor in factors.items():
            if factor != 1 and globe is not None and not globe.separable and d in globe.dims[0]:
                raise InputError(f"scale of {d}: its latitudes and longitudes are not axes, so they have no between")
        spans = {}
        for d, n in self.content.dims.items():
            (start, stop), factor = regions.get(d, Range(0, n)).within(n, "sample", f"region {d}"), factors.get(d, 1)
            # After the last meridian the first one follows: there is room between them.
            closed = globe is not None and globe.cyclic and d in globe.dims[1] and stop == n
            first = math.ceil(start * factor)
            last = math.ceil(stop * factor) if closed else math.floor((stop - 1) * factor) + 1
            spans[d] = _Span(first, max(last - first, 1), factor)
        return spans

    def _exact(self, where: Grids, scaled: set[str]) -> dict[str, Array]:
        """Variables that are stored exactly, at positions."""
        arrays = {}
        earth = self.content.earth or ()
        for v in self.content.variables:
            if v.read is None:
                continue
            if not scaled & set(v.dims):
                arrays[v.name] = v.data[np.ix_(*(where[d] for d in v.dims))] if v.dims else v.data
            elif v.is_number and (v.dims == (v.name,) or (v.name in earth and len(v.dims) == 1)):
                cyclic = v.name in earth[1:]
                data = v.data
                samples = np.unwrap(data.astype(np.float64), period=360) if cyclic else data
                values = between(samples, where[v.dims[0]])
                exact = data.dtype.kind == "f" or (values == np.rint(values)).all()
                arrays[v.name] = values.astype(data.dtype) if exact else values
        return arrays

    def _fields(self, fields: Fields, where: Grids, chosen: Sequence[int]) -> dict[str, Array]:
        """Fields at positions, as stored, fill values included."""
        arrays: dict[str, Array] = {}
        taken = set(chosen)
        for dims, members in self.groups.items():
            numbers = [n for n in members if n in taken]
            if not numbers:
                continue

            values = self._group(fields, where, dims, numbers)
            for column, number in enumerate(numbers):
                v = self.variables[number]
                assert v.levels is not None
                samples = v.levels.to_samples(values[..., column])
                arrays[v.name] = samples.view(v.dtype)
                for gap in v.gaps:
                    self._fill(arrays[v.name], gap, v.dims, where)
        return arrays

    def _group(self, fields: Fields, where: Grids, dims: tuple[str, ...], numbers: list[int]) -> Array:
        """Values (*lengths, fields) of fields over the same dimensions, at positions."""

        def coords_at(axes: Sequence[Array], part: int | None = None) -> Array:
            grids = dict(zip(dims, np.meshgrid(*axes, indexing="ij", sparse=True)))
            coords = np.broadcast_to(self.features(grids, part=part), (*map(len, axes), self.in_features))
            return coords.reshape(-1, self.in_features)

        def outputs(coords: Array, part: int = 0) -> Array:
            return lattice.evaluated(fields.parts[part], coords, self.out_features)[:, numbers]

        def outputs_at(place: tuple[int, ...], at: Sequence[Array]) -> Array:
            part = self.part_at(dims, place)
            return outputs(coords_at([x - 0.5 for x in at], part), part)

        axes, count = [where[d] for d in dims], len(numbers)
        if self.cut is None:
            alone = replace(fields, parts=[outputs])
            return lattice.render(alone, axes, count, _as_is, np.float32, to_coords=coords_at, noun="cell")
        middles = [axis + 0.5 for axis in axes]
        return cuts.blended(fields, self.cut_along(dims), middles, count, outputs_at, _as_is, np.float32, "cell")

    def _fill(self, array: Array, gap: Gap, dims: tuple[str, ...], where: Grids) -> None:
        """Put a number into the cells of a field that hold it; the nearest cell of the source decides."""
        size = self.content.dims
        axes = [np.rint(where[d]).astype(np.int64) % size[d] for d in gap.dims]
        # In slabs along the first dimension of the mask.
        rows = max(1, _SLAB // math.prod(map(len, axes[1:])))
        for start in range(0, len(axes[0]), rows):
            part = slice(start, start + rows)
            mask = gap.mask.at([axes[0][part], *axes[1:]])
            some = array[tuple(part if d == gap.dims[0] else slice(None) for d in dims)]
            some[spread(mask, gap.dims, dims, some.shape)] = gap.number

    # -- output ------------------------------------------------------------------------------------------------

    def write(self, fields: Fields, path: PathLike, **options: Any) -> Any:
        """Render the dataset, or a part of it, and write it as `save` does; options as for `render`.

        netCDF and Zarr get the numbers and attributes as they are stored, without the detour over what xarray makes of
        them.

        Returns
        -------
        What `render` returns.
        """
        if Path(path).suffix.lower() not in (*_NETCDF, ".zarr"):
            decoded = self.render(fields, **options)
            self.save(decoded, path)
            return decoded
        stored = self.render(fields, **options | {"decode_cf": False})
        self._save_stored(stored, path)
        if not options.get("decode_cf", True):
            return stored
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what xarray cannot decode is in the file as it should be
            return output.decoded(files.import_xarray(), stored)

    def save(self, decoded: Any, path: PathLike) -> None:
        """Write a decoded dataset: .nc (.nc4, .netcdf), .zarr, .npz (arrays alone), or a .png of first slices.

        Raises
        ------
        InputError : another extension, or a place that cannot be written
        """
        suffix = Path(path).suffix.lower()
        if suffix in (*_NETCDF, ".zarr"):
            self._save_stored(files.encoded(files.import_xarray(), decoded, []), path)
        elif suffix == ".npz":
            output.save_npz(decoded, path)
        elif suffix == ".png":
            maps = output.maps(decoded, [v.name for v in self.variables if v.name in decoded])
            with atomic_write(path) as temporary:
                maps.save(temporary, format="PNG")
        else:
            raise InputError(f"{path}: expected an extension among .nc, .zarr, .npz and .png for a dataset")

    def _save_stored(self, stored: Any, path: PathLike) -> None:
        """Write a dataset as it is stored."""
        if Path(path).suffix.lower() == ".zarr":
            output.save_zarr(stored, Path(path))
        else:
            output.save_netcdf(stored, self.content, path)

    def summary(self, decoded: Any) -> str:
        """One line: variables and sizes."""
        names = [v.name for v in self.variables if v.name in decoded]
        shown = ", ".join(names[:6]) + (", ..." if len(names) > 6 else "")
        return f"{shown} over " + ", ".join(f"{name} {size}" for name, size in decoded.sizes.items())


@dataclass(frozen=True)
class _Span:
    """Samples to render along a dimension: at positions ``i / factor`` for `count` numbers i from `first` on."""

    first: int
    count: int
    factor: float

    def positions(self) -> Array:
        """Positions in samples of the source, integers where nothing lies between."""
        numbers = np.arange(self.first, self.first + self.count)
        return numbers if self.factor == 1 else numbers / self.factor


def _as_is(values: Array) -> Array:
    return values


def spread(mask: Array, dims: Sequence[str], over: Sequence[str], shape: tuple[int, ...]) -> Array:
    """A mask over some dimensions as a view over all of a variable's."""
    order = np.transpose(mask, [dims.index(d) for d in over if d in dims])
    return np.broadcast_to(order.reshape([n if d in dims else 1 for d, n in zip(over, shape)]), shape)
