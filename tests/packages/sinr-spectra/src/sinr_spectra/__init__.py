"""One-dimensional spectra: an intensity at each of some wavenumbers, wavelengths or masses.

A file is a table of two columns, with commas, semicolons, tabs or spaces between them; lines that begin with no number
are comments. The positions rise or fall. They are kept exactly: evenly spaced ones as two numbers, others in the side
section.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np

from sinr_codec.kinds import (
    Blocking,
    Cut,
    Fields,
    GridSignal,
    GridSpec,
    InputError,
    Kind,
    Levels,
    MalformedError,
    Quality,
    Recipe,
    ScaleLike,
    Sine,
    atomic_write,
    octaves,
    pack,
    psnr,
    unpack,
)

_MOST: Final = 1 << 24  # points of a spectrum


@dataclass(frozen=True)
class Spectrum:
    """Positions x float64 (n,) and intensities y float64 (n,)."""

    x: np.ndarray
    y: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the intensities."""
        return self.y.shape


@dataclass(frozen=True)
class SpectrumSpec(GridSpec):
    """What a file records of a spectrum.

    Attributes
    ----------
    points
        Number of positions.
    levels
        Range of the intensities.
    ends
        First and last position.
    positions
        All positions as bytes of float64, packed, where they are not evenly spaced.
    """

    points: int
    levels: Levels
    ends: tuple[float, float]
    positions: bytes = b""
    cut: Cut | None = None

    KIND: ClassVar[str] = "spectrum"
    UNIT: ClassVar[str] = "point"
    out_features: ClassVar[int] = 1
    suffix: ClassVar[str] = ".csv"

    @property
    def sizes(self) -> tuple[int, ...]:
        """The only axis."""
        return (self.points,)

    @property
    def peak(self) -> float:
        """The range of the intensities."""
        return self.levels.span

    @property
    def side(self) -> bytes:
        """The packed positions."""
        return self.positions

    @property
    def x(self) -> np.ndarray:
        """All positions."""
        if not self.positions:
            return np.linspace(*self.ends, self.points)
        data = unpack(self.positions, "positions", 8 * self.points)
        if len(data) != 8 * self.points:
            raise MalformedError(f"spectrum: expected {self.points} positions, found {len(data)} bytes")
        return np.frombuffer(data, "<f8").astype(np.float64)

    def describe(self) -> dict[str, Any]:
        """Kind, number of points and ends."""
        return {"type": self.KIND, "shape": [self.points], "from": self.ends[0], "to": self.ends[1]}

    def to_header(self) -> list[Any]:
        """["spectrum", points, levels, first, last]."""
        return [self.KIND, self.points, self.levels.to_header(), *self.ends]

    @classmethod
    def from_header(cls, header: Any, side: bytes = b"") -> "SpectrumSpec":
        """Inverse of `to_header`."""
        if len(header) != 5:
            raise MalformedError(f"spectrum header: expected 5 entries, found {len(header)}")
        points, levels, *ends = header[1:]
        if type(points) is not int or not 1 <= points <= _MOST:
            raise MalformedError(f"spectrum points: expected 1 to {_MOST}, found {points!r}")
        if not all(type(end) is float for end in ends):
            raise MalformedError(f"spectrum ends: expected two numbers, found {ends!r}")
        return cls(points, Levels.from_header(levels), (ends[0], ends[1]), side)

    def render(
        self,
        fields: Fields,
        *,
        scale: ScaleLike | None = None,
        low: float | None = None,
        high: float | None = None,
    ) -> Spectrum:
        """Evaluate the network at positions.

        Parameters
        ----------
        fields
            The network.
        scale
            Factor on the number of points. Positions between those of the source are interpolated.
        low
            Least position to render. Default: all.
        high
            Greatest position to render. Default: all.

        Raises
        ------
        InputError : no position between these
        """
        spans = self.window(fields, scale)
        at = (np.arange(spans[0].count) + 0.5) * self.points / spans[0].count - 0.5
        x = np.interp(at, np.arange(self.points), self.x)
        y = self.evaluate(fields, spans)[:, 0].astype(np.float64)
        wanted = (x >= (-np.inf if low is None else low)) & (x <= (np.inf if high is None else high))
        if not wanted.any():
            raise InputError(
                f"low and high: no position between {low} and {high}; they run from {x.min()} to {x.max()}"
            )
        return Spectrum(x[wanted], y[wanted])

    def save(self, decoded: Spectrum, path: str | os.PathLike[str]) -> None:
        """Write a table of two columns, `.csv` with commas and `.xy` with spaces."""
        suffix = Path(path).suffix.lower()
        if suffix not in (".csv", ".xy"):
            raise InputError(f"{path}: expected .csv or .xy")
        with atomic_write(path) as temporary:
            np.savetxt(
                temporary, np.stack([decoded.x, decoded.y], 1), "%.9g", delimiter="," if suffix == ".csv" else " "
            )

    def summary(self, decoded: Spectrum) -> str:
        """Number of points and where they are."""
        return f"{len(decoded.x)} points from {decoded.x[0]:g} to {decoded.x[-1]:g}"


class SpectrumSignal(GridSignal[SpectrumSpec]):
    """A spectrum that was read."""

    BLOCKS = Blocking(8, 4, "points")

    @classmethod
    def load(
        cls, source: Any, like: SpectrumSpec | None = None, *, absorbance: bool = False, column: int = 2
    ) -> "SpectrumSignal":
        """Read a table, or take a `Spectrum`.

        Parameters
        ----------
        source
            A `.csv` or `.xy` file, or a `Spectrum`.
        like
            Taken for every kind; a spectrum needs nothing from it.
        absorbance
            Take -log10 of transmittances in (0, 1].
        column
            Column of a table with the intensities, counted from 1.

        Raises
        ------
        InputError : no table, positions that do not rise or fall, or intensities that are not finite
        """
        if isinstance(source, Spectrum):
            name, x, y = "spectrum", source.x, source.y
        else:
            name = os.fspath(source)
            x, y = _read(Path(source), column)
        if absorbance:
            if not (y > 0).all() or (y > 1).any():
                raise InputError(f"{name}: expected transmittances above 0 and up to 1 for --absorbance")
            y = -np.log10(y)
        steps = np.diff(x)
        if not len(x) or not np.isfinite(x).all() or not ((steps > 0).all() or (steps < 0).all()):
            raise InputError(f"{name}: expected positions that rise or fall from line to line")
        ends = float(x[0]), float(x[-1])
        even = np.array_equal(np.linspace(*ends, len(x)), x)
        positions = b"" if even else pack(x.astype("<f8").tobytes())
        return cls(y, SpectrumSpec(len(x), Levels.of(y, name), ends, positions))

    def quality(self, render: Callable[..., Spectrum]) -> Quality:
        """PSNR over the range of the intensities, and their largest error."""
        decoded = render()
        error = float(np.abs(decoded.y - self.array).max())
        return Quality(psnr(decoded.y, self.array, self.peak), {"max_error": error})


def _read(path: Path, column: int) -> tuple[np.ndarray, np.ndarray]:
    """The first and another column of a table."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
    rows = []
    for line in lines:
        if re.match(r"\s*[-+.\d]", line):
            items = re.split(r"[\s,;]+", line.strip())
            try:
                rows.append((float(items[0]), float(items[column - 1])))
            except (ValueError, IndexError):
                raise InputError(f"{path}: expected numbers in columns 1 and {column}, found {line!r:.60}") from None
    if not rows:
        raise InputError(f"{path}: expected a table of numbers, found none")
    x, y = np.array(rows).T
    return np.ascontiguousarray(x), np.ascontiguousarray(y)


KIND: Final = Kind(
    name="spectrum",
    noun="a spectrum",
    ids=("spectrum",),
    signal=SpectrumSignal,
    spec=SpectrumSpec,
    recipe=Recipe(Sine(20.0), octaves, rate=8.0, db=45.0, fit={"": {"sampling": "error"}}),
    suffixes=(".xy", ".csv"),
    recognises=lambda source: isinstance(source, Spectrum),
)
