"""Gridded science data: netCDF and Zarr files, and xarray's `Dataset` and `DataArray`.

A dataset is taken as the CF conventions store it: packed integers, times as numbers, fill values, attributes. Its
large numeric variables, the *fields*, are the outputs of one network over their dimensions; every other variable, all
attributes and the masks of missing values go into the side section exactly. Decoding gives the same dataset back,
with the values of the fields approximated.
"""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, quoted
from sinr_codec.fields import Sine
from sinr_codec.signals import dataset_choice as choice
from sinr_codec.signals import dataset_files as files
from sinr_codec.signals import formats
from sinr_codec.signals.base import Apply, MeanOfErrors, Part, Quality
from sinr_codec.signals.claims import folder, is_zarr, is_zarr_group, made_by
from sinr_codec.signals.cut import Blocking
from sinr_codec.signals.dataset_globe import find_earth, follows_grid
from sinr_codec.signals.dataset_side import write_side
from sinr_codec.signals.dataset_spec import DATASET, DATASET_IN_BLOCKS, DatasetSpec, spread
from sinr_codec.signals.grids import Parts
from sinr_codec.signals.kinds import Kind
from sinr_codec.signals.recipe import Recipe, octaves
from sinr_codec.tiles import map_tiles
from sinr_codec.types import Array

MISSING: Final = 2.0
"""Stands for a missing value in a batch: outside of [-1, 1], and finite, so that means of batches are."""

_BLOCK: Final = 1 << 20  # samples compared at once


class Cells(MeanOfErrors):
    """Samples of a dataset's fields: the cells, of all or of a block, where any of the fields has a value.

    Attributes
    ----------
    spec
        Of the whole dataset.
    stored
        Samples of the fields by name, as the file stores them (packed).
    missing
        By the number of a field, where it has no value; absent for those that have one everywhere.
    """

    def __init__(
        self, spec: DatasetSpec, stored: Mapping[str, Array], missing: Mapping[int, Array], block: int | None = None
    ) -> None:
        self.spec, self.stored, self.missing, self._block = spec, stored, missing, block
        sizes = spec.content.dims
        self._area = {d: slice(0, sizes[d]) for d in spec.dims} if block is None else spec.area(block)
        #: Of each group: its number of samples, and their positions where some cells are missing.
        self._cells: list[tuple[int, Array | None]] = []
        known: list[int] = []
        for dims, members in spec.groups.items():
            area = tuple(self._area[d] for d in dims)
            count = math.prod(self._lengths(dims)) if self._has(dims) else 0
            gaps = {n: missing[n][area] for n in members if n in missing and count}
            if count and len(gaps) == len(members):
                positions = np.flatnonzero(~np.logical_and.reduce(list(gaps.values())))
                self._cells.append((len(positions), positions))
            else:
                self._cells.append((count, None))
            known += [count - (int(np.count_nonzero(gaps[n])) if n in gaps else 0) for n in members]
        self._starts = np.cumsum([0, *(count for count, _ in self._cells)])
        #: Whether every sample has all values, so that the loss needs no mask.
        self._whole = all(count == len(self) for count in known)

    def _has(self, dims: Sequence[str]) -> bool:
        """Whether fields over some dimensions are here: in blocks they are in the first ones along all others."""
        return self._block is None or all(self._area[d].start == 0 for d in self.spec.dims if d not in dims)

    def _lengths(self, dims: Sequence[str]) -> tuple[int, ...]:
        """Samples along some dimensions."""
        return tuple(self._area[d].stop - self._area[d].start for d in dims)

    @property
    def in_features(self) -> int:
        """Coordinates of a cell."""
        return self.spec.in_features

    @property
    def out_features(self) -> int:
        """Number of fields."""
        return self.spec.out_features

    def __len__(self) -> int:
        return int(self._starts[-1])

    def batch(self, index: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Cells by number: coords float32 (n, a) and values float32 (n, b), `MISSING` where there is none."""
        coords = np.empty((len(index), self.in_features), np.float32)
        values = np.full((len(index), self.out_features), MISSING, np.float32)
        group = np.searchsorted(self._starts, index, side="right") - 1
        for g, (dims, members) in enumerate(self.spec.groups.items()):
            rows = np.flatnonzero(group == g)
            if not len(rows):
                continue
            cells, kept = index[rows] - self._starts[g], self._cells[g][1]
            within = np.unravel_index(cells if kept is None else kept[cells], self._lengths(dims))
            place = tuple(i + self._area[d].start for d, i in zip(dims, within))
            coords[rows] = self.spec.features(dict(zip(dims, place)), part=self._block)
            for n in members:
                v = self.spec.variables[n]
                assert v.levels is not None
                samples = self.stored[v.name][place].view(v.levels.dtype)
                known = ~self.missing[n][place] if n in self.missing else slice(None)
                values[rows[known], n] = v.levels.to_values(samples[known])
        return coords, values

    def errors(self, predicted: Any, values: Any) -> Any:
        """Squared errors of the values that are there, in the units of [-1, 1], as shares of their mean."""
        if self._whole:
            return ((predicted - values) ** 2).mean(-1)
        known = values < (1 + MISSING) / 2
        return (((predicted - values) * known) ** 2).sum(-1) * (len(values) / known.sum())

    def decibels(self, loss: float) -> float:
        """PSNR in dB that a mean squared error on values in [-1, 1] stands for, before rounding."""
        return 10 * math.log10(4 / loss) if loss > 0 else math.inf

    def objective(self, samples: int | None, seed: int) -> Callable[[Apply, int], float]:
        """Mean over the values that are there of (error / range of the variable) squared, after rounding."""
        total = len(self)
        index = np.arange(total)
        if samples is not None and samples < total:
            index = np.sort(np.random.default_rng(seed).choice(total, samples, replace=False))
        levels = [v.levels for v in self.spec.variables if v.levels is not None]

        def rounded(values: Array) -> NDArray[np.float64]:
            columns = [level.to_samples(values[:, n]) / level.span for n, level in enumerate(levels)]
            return np.stack(columns, -1).astype(np.float64)

        def error(apply: Apply, tile: int) -> float:
            def squares(start: int) -> tuple[float, int]:
                coords, values = self.batch(index[start : start + tile])
                known = values < (1 + MISSING) / 2
                with np.errstate(all="ignore"):
                    difference = rounded(np.asarray(apply(coords))) - rounded(values)
                return float(np.sum(difference[known] ** 2)), int(np.count_nonzero(known))

            sums = list(map_tiles(squares, range(0, len(index), tile)))
            return sum(s for s, _ in sums) / sum(n for _, n in sums)

        return error


class DatasetSignal(Cells):
    """A dataset that was read; in one piece its only part.

    Attributes
    ----------
    notes
        One-line remarks on what reading found.
    source_bytes
        Bytes of all variables, uncompressed.
    """

    BLOCKS: ClassVar[Blocking] = Blocking(least=8, fade=2, noun="cells")

    def __init__(self, spec: DatasetSpec, stored: Mapping[str, Array], notes: Sequence[str], source_bytes: int) -> None:
        self.notes = tuple(notes)
        self.source_bytes = source_bytes
        missing = {
            number: reduce(
                np.logical_or,
                [spread(gap.mask.unpack(), gap.dims, v.dims, spec.content.shape(v.dims)) for gap in v.gaps],
            )
            for number, v in enumerate(spec.variables)
            if v.gaps
        }
        super().__init__(spec, stored, missing)

    @property
    def parts(self) -> Sequence[Part]:
        """What each network stands for: the blocks, each with the cells that it fades over, or the whole dataset."""
        return [self] if self.spec.cut is None else Parts(self.spec.cut.parts, self._part)

    def _part(self, number: int) -> Part:
        cells = Cells(self.spec, self.stored, self.missing, number)
        return cells if len(cells) else _Nothing(self.in_features, self.out_features)

    @classmethod
    def load(
        cls,
        source: Any,
        like: DatasetSpec | None = None,
        *,
        sphere: bool | None = None,
        variables: Sequence[str] | None = None,
        without: Sequence[str] = (),
        exact: Sequence[str] = (),
        group: str | None = None,
        block: float | None = None,
    ) -> "DatasetSignal":
        """Read a dataset.

        Parameters
        ----------
        source
            A netCDF file, a Zarr group, an `xarray.Dataset` or `xarray.DataArray`.
        like
            Description of a file to compare with: what it holds in its network is taken for that here.
        sphere
            Give the network points of the sphere instead of latitude and longitude along axes; default: unless a
            field is the component of a vector, such as the eastward wind.
        variables
            Names of the data variables to keep; default: all that can be stored.
        without
            Names of variables to leave out.
        exact
            Names of variables to store exactly, not by the network.
        group
            The group of the file to read, as "forecast/surface"; default: the root group.
        block
            Cells of the blocks along each dimension, at least 8. 0 and None keep the dataset in one piece.

        Raises
        ------
        InputError : not a dataset, a damaged one, or one without a variable to represent
        MissingExtraError : xarray, or a library it needs for the file, is not installed
        """
        cls.BLOCKS.check(block)
        xr = files.import_xarray()
        name = str(source) if isinstance(source, str | os.PathLike) else "dataset"
        notes: list[str] = []
        raw = files.opened(xr, source, group, notes)
        wanted, left, precise = (files.names_in(names, raw.variables) for names in (variables, without, exact))
        files.check_names(raw, [*left, *precise], name)
        raw = raw.drop_vars(left)
        if variables is not None:
            raw = files.restricted(raw, wanted, name)
        stored = choice.stored_in(raw, wanted, name, notes)
        if like is None:
            chosen = choice.choose(raw, stored, precise, name, notes)
        else:
            chosen = [v.name for v in like.variables]
            if lost := [n for n in chosen if n not in stored]:
                raise InputError(f"{name}: has no variable {quoted(lost[0])}, which the file to compare with has")
        choice.check_exact(stored, chosen, name)
        content, holes = choice.described(raw, stored, chosen, name, notes)
        earth, steady = find_earth(content) or (None, ())
        if like is not None:
            sphere = like.content.sphere
        elif sphere is None:
            sphere = not any(v.levels is not None and follows_grid(v) for v in content.variables)
        content = replace(content, earth=earth, sphere=sphere, steady=steady)
        spec = DatasetSpec(write_side(content, holes))
        spec = spec.with_cut(like.cut if like is not None else cls.BLOCKS.cut(spec.shape, block) if block else None)
        return cls(spec, {n: stored[n] for n in chosen}, notes, sum(a.nbytes for a in stored.values()))

    def quality(self, render: Callable[..., Any]) -> Quality:
        """PSNR of the decoded dataset: errors over each variable's own range, all values that are there together.

        The figures are, by variable, "NAME.max_error" and "NAME.mean_error" in its units, and "NAME.psnr_db".
        """
        decoded = render(decode_cf=False)
        figures: dict[str, float] = {}
        units: dict[str, str] = {}
        total, count = 0.0, 0
        for n, v in enumerate(self.spec.variables):
            assert v.levels is not None
            if v.name not in decoded or decoded[v.name].shape != self.stored[v.name].shape:
                raise InputError(f"{v.name}: the decoded dataset has no such variable of that shape")
            stored, got = self.stored[v.name], decoded[v.name].values
            if got.dtype != stored.dtype:
                raise InputError(f"{v.name}: expected {stored.dtype}, the decoded dataset has {got.dtype}")
            squares, sums, values, largest = 0.0, 0.0, 0, 0.0
            rows = max(1, len(stored) * _BLOCK // stored.size)
            for i in range(0, len(stored), rows):
                part = slice(i, i + rows)
                known = ~self.missing[n][part] if n in self.missing else np.ones(stored[part].shape, bool)
                wide = [a[part][known].view(v.levels.dtype).astype(np.float64) for a in (stored, got)]
                difference = np.abs(wide[0] - wide[1])
                squares += float(np.sum((difference / v.levels.span) ** 2))
                sums += float(np.sum(difference))
                values += difference.size
                largest = max(largest, float(difference.max(initial=0.0)))
            in_units = {"max_error": largest, "mean_error": sums / max(values, 1)}
            named = {f"{v.name}.{name}": error * abs(v.scale[0]) for name, error in in_units.items()}
            figures |= named
            units |= dict.fromkeys(named, v.units)
            figures[f"{v.name}.psnr_db"] = -10 * math.log10(squares / values) if squares else math.inf
            total, count = total + squares, count + values
        db = -10 * math.log10(total / count) if total else math.inf
        return Quality(db, figures, units, tuple(name for name in figures if name.endswith("_error")))


class _Nothing(MeanOfErrors):
    """The part of a block in which no field has a value: a network is to put out zeros at one point."""

    def __init__(self, in_features: int, out_features: int) -> None:
        self.in_features, self.out_features = in_features, out_features

    def __len__(self) -> int:
        return 1

    def batch(self, index: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Zeros, as often as asked for."""
        return np.zeros((len(index), self.in_features), np.float32), np.zeros(
            (len(index), self.out_features), np.float32
        )

    def errors(self, predicted: Any, values: Any) -> Any:
        """Mean squared error of each."""
        return ((predicted - values) ** 2).mean(-1)

    def decibels(self, loss: float) -> float:
        """Nothing is wrong, whatever the loss."""
        return math.inf

    def objective(self, samples: int | None, seed: int) -> Callable[[Apply, int], float]:
        """No error, whatever the network."""
        return lambda apply, tile: 0.0


def recognises(source: Any) -> bool:
    """Whether a source is an object of xarray, or a group of zarr arrays in a folder."""
    path = folder(source)
    return made_by(source, "xarray") or (path is not None and is_zarr(path) and is_zarr_group(path))


# Importance sampling gains 0.1 to 0.6 dB on sea temperatures.
KIND: Final = Kind(
    "dataset",
    "a dataset",
    (DATASET, DATASET_IN_BLOCKS),
    DatasetSignal,
    DatasetSpec,
    Recipe(
        Sine(20.0),
        octaves,
        published=Sine(30.0),
        rate=0.3,
        bits=8.0,
        rated_bits=6.0,
        db=46.0,
        fit={"": {"sampling": "error"}},
    ),
    suffixes=(".nc", ".nc3", ".nc4", ".netcdf", ".cdf", ".h5", ".hdf5", ".he5", *files.GRIB),
    recognises=recognises,
    writes=formats.checked(
        {
            ".npz .png": (),
            ".nc .nc4 .netcdf .cdf": (formats.Library("netCDF4", "science"),),
            ".zarr": (formats.Library("zarr", "science"),),
        }
    ),
)
