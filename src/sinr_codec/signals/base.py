"""The interfaces of signals, for fits, plans and the codec.

A `Signal` is a source opened for encoding. Its `Spec` is the description in the file: all that a decoder needs besides
the networks. A signal has one `Part` for each network: a single one, unless it is cut into blocks.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from sinr_codec.container import remedy
from sinr_codec.errors import LimitError
from sinr_codec.signals.levels import Levels
from sinr_codec.tiles import map_tiles
from sinr_codec.types import Array, PathLike

Apply = Callable[[NDArray[np.float32]], Array]
"""A decoded network: coords float32 (n, a) -> values (n, b); must be thread-safe."""

MAX_SAMPLES: Final = 2**33
"""Default limit of the values in a rendering."""
TILE: Final = 2048
"""Positions evaluated at once: at common widths, activations take a few MB and stay in the cache."""


@dataclass(frozen=True)
class Fields:
    """The networks of a file, for a renderer.

    Attributes
    ----------
    parts
        A function for each network, decoded on first access.
    tile
        Positions in each call.
    max_samples
        Limit of the values in a rendering; more raise `LimitError` before allocation.
    threads
        Tiles computed in parallel; default: the cores this process may use.
    max_positions
        Limit of the evaluations of a network in a rendering, or in one view of a scene.
    max_bytes
        Limit of the memory of intermediate arrays, in bytes.
    """

    parts: Sequence[Apply]
    tile: int = TILE
    max_samples: int = MAX_SAMPLES
    threads: int | None = None
    max_positions: int = 2**62
    max_bytes: int = 2**62

    def check_positions(self, count: int, what: str) -> None:
        """Raise `LimitError` where something takes more evaluations of a network than `max_positions`."""
        if count > self.max_positions:
            most = f"this reader makes {self.max_positions:,}"
            raise LimitError(f"{what} takes up to {count:,} evaluations of the network; {most}; {remedy('max_work')}")

    def check_bytes(self, count: int, what: str) -> None:
        """Raise `LimitError` where something takes more memory than `max_bytes`."""
        if count > self.max_bytes:
            most = f"this reader takes {self.max_bytes:,}"
            raise LimitError(f"{what} takes about {count:,} bytes; {most}; {remedy('max_bytes')}")


_SPELLED: Final = {"psnr": "PSNR", "snr": "SNR", "iou": "IoU", "rgb": "RGB"}


@dataclass(frozen=True)
class Quality:
    """Quality of a decoded signal against its source.

    Attributes
    ----------
    db
        The figure for targets and reports, such as the PSNR; higher is better.
    figures
        Further measures by name, such as "snr_db", "max_error" or "iou"; of one variable, "NAME.max_error".
    units
        Units of the figures that have one. Those whose names end in "_db" are in dB without being listed.
    headline
        Names of the figures that lead a report, before the figure in dB: those that users of the kind judge by.
    """

    db: float
    figures: dict[str, float] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    headline: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        units = {name: "dB" if name.endswith("_db") else self.units.get(name, "") for name in self.figures}
        object.__setattr__(self, "units", {name: unit for name, unit in units.items() if unit})

    def leading(self) -> list[tuple[str, str]]:
        """The figures of the headline, as names and values in words."""
        return [self._in_words(name) for name in self.headline if name in self.figures]

    def further(self) -> list[tuple[str, str]]:
        """All other figures but for the PSNR, which `db` is wherever it is listed."""
        return [self._in_words(name) for name in self.figures if name not in (*self.headline, "psnr_db")]

    def brief(self, measure: str) -> str:
        """The quality in one line: the first figure of the headline, or else the figure in dB named `measure`."""
        name, value = next(iter(self.leading()), (measure, f"{self.db:.2f} dB"))
        return f"{name} {value}"

    def _in_words(self, name: str) -> tuple[str, str]:
        value, unit = self.figures[name], self.units.get(name, "")
        number = f"{value:.2f}" if unit == "dB" else f"{value:,.0f}" if unit == "bytes" else f"{value:.5g}"
        variable, dot, figure = name.rpartition(".")
        words = figure.removesuffix("_db").split("_")
        return variable + dot + " ".join(_SPELLED.get(word, word) for word in words), f"{number} {unit}".rstrip()


class Spec(Protocol):
    """Description of a signal: all that a decoder needs besides the networks; immutable.

    It may have a method ``write(fields, path, **options)``: `render` and `save` together, where a file holds more than
    what `render` returns.
    """

    KIND: ClassVar[str]
    """Name of the kind: "image", "audio", ..."""
    UNIT: ClassVar[str]
    """Unit of the rate: "pixel", "sample", "voxel", ..."""
    MEASURE: ClassVar[str]
    """Name of the quality in dB: "PSNR", ..."""

    @property
    def in_features(self) -> int:
        """Number of coordinates a."""

    @property
    def out_features(self) -> int:
        """Number of values b."""

    @property
    def parts(self) -> int:
        """Number of networks."""

    @property
    def samples(self) -> int:
        """Number of positions in the source."""

    @property
    def values(self) -> int:
        """Number of values in a full decoding, which the reader's limit applies to."""

    @property
    def side(self) -> bytes:
        """Content of the side section; empty for none."""

    @property
    def suffix(self) -> str:
        """Extension of the default output file."""

    def describe(self) -> dict[str, Any]:
        """Description ready for JSON, with "type" and "shape"."""

    def to_header(self) -> list[Any]:
        """CBOR-ready description that starts with the signal's id."""

    @classmethod
    def from_header(cls, header: Any, side: bytes = b"") -> Self:
        """Inverse of `to_header` and `side`; refuses anything they cannot have written."""

    # Each kind's renderer has its own options; they are checked by name.
    @property
    def render(self) -> Callable[..., Any]:
        """`render(fields, **options)`: the decoded signal."""

    def save(self, decoded: Any, path: PathLike) -> None:
        """Write a decoded signal; the extension selects the format."""

    def summary(self, decoded: Any) -> str:
        """A decoded signal in one line."""


class Part(Protocol):
    """Samples for one network: coordinates in [-1, 1]^a and values about [-1, 1]^b.

    A part may have a method ``trainable(network)``, which wraps the network in a function whose outputs are the values,
    such as the rendering of rays.
    """

    @property
    def in_features(self) -> int:
        """Number of coordinates a."""

    @property
    def out_features(self) -> int:
        """Number of values b."""

    def __len__(self) -> int:
        """Number of samples."""

    def batch(self, index: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Samples by index, int64 (n,): coords float32 (n, a) and values float32 (n, b)."""

    def errors(self, predicted: Any, values: Any) -> Any:
        """Error (n,) of each sample, from predictions and values (n, b); NumPy arrays or torch tensors."""

    def loss(self, predicted: Any, values: Any) -> Any:
        """Mean of the errors, such as the mean squared error."""

    def decibels(self, loss: float) -> float:
        """Approximate quality in dB for a loss; for progress."""

    def objective(self, samples: int | None, seed: int) -> Callable[[Apply, int], float]:
        """``f(apply, tile)``: the error of a network, 10^(-dB / 10), on at most `samples` fixed samples."""


class Signal(Protocol):
    """A source opened for encoding.

    It may have a method ``in_blocks()``: the same signal, cut into blocks if it is large; the default for encoding
    where the user names no network. It may have a method ``psnr_at(snr)``: the quality in dB at an SNR in dB. It may
    have a method ``suited(recipe)``: the recipe with the network that suits its samples. It may
    have ``metadata``, a mapping of names to CBOR-ready items, the most important first: what the source tells besides
    its samples (`signals.metadata`). The `save` of its `Spec` then has a keyword argument ``metadata`` and writes what
    the format holds.
    """

    @property
    def spec(self) -> Spec:
        """Description for the file."""

    @property
    def notes(self) -> tuple[str, ...]:
        """One-line remarks on omissions and changes in reading."""

    @property
    def source_bytes(self) -> int:
        """Bytes of the source's samples, uncompressed, in its dtype."""

    @property
    def parts(self) -> Sequence[Part]:
        """The samples of each network."""

    @classmethod
    def load(cls, source: Any, like: Any = None) -> Self:
        """Read a source, with the conventions (grid, resolution) of the `Spec` `like` where it is given."""

    def quality(self, render: Callable[..., Any]) -> Quality:
        """Quality of a decoding, which ``render(**options)`` renders with the options of `Spec.render`."""


class MeanOfErrors:
    """Base class of parts whose loss is the mean of the errors."""

    def errors(self, predicted: Any, values: Any) -> Any:
        """See `Part.errors`."""
        raise NotImplementedError

    def loss(self, predicted: Any, values: Any) -> Any:
        """See `Part.loss`."""
        return self.errors(predicted, values).mean()


class SampledPart(MeanOfErrors):
    """Base class of parts whose error is the mean squared error of independent samples.

    Subclasses define `in_features`, `out_features`, `__len__`, `batch`, `peak`, and either `levels` or `to_samples`.
    """

    levels: Levels
    """How samples map to values."""
    peak: float
    """Peak value for the PSNR."""

    def to_samples(self, values: Array) -> Array:
        """Values (n, b) as samples of the source's dtype, in the units of `peak`."""
        return self.levels.to_samples(values)

    def __len__(self) -> int:
        raise NotImplementedError

    def batch(self, index: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `Part.batch`."""
        raise NotImplementedError

    def errors(self, predicted: Any, values: Any) -> Any:
        """Mean squared error of each sample on the scale of [-1, 1]; NumPy arrays or torch tensors."""
        return ((predicted - values) ** 2).mean(-1)

    def decibels(self, loss: float) -> float:
        """PSNR in dB for a mean squared error of values in [-1, 1], before rounding."""
        span = self.levels.high - self.levels.low
        if loss <= 0 or span == 0:
            return math.inf
        return 10 * math.log10((2 * self.peak / span) ** 2 / loss)

    def objective(self, samples: int | None, seed: int) -> Callable[[Apply, int], float]:
        """Mean squared error of decoded, rounded samples over the squared peak."""
        total = len(self)
        index = None
        if samples is not None and samples < total:
            # Fixed random samples: the same for all candidates, and without a period that could alias with the signal.
            index = np.sort(np.random.default_rng(seed).choice(total, samples, replace=False))
        count = total if index is None else len(index)

        def chunk(start: int, tile: int) -> tuple[Array, Array]:
            stop = min(start + tile, count)
            coords, values = self.batch(np.arange(start, stop) if index is None else index[start:stop])
            return coords, self.to_samples(values).astype(np.float64)

        # Read only once: reading costs as much as evaluating a small network.
        kept = [chunk(start, 1 << 14) for start in range(0, count, 1 << 14)] if index is not None else None

        def error(apply: Apply, tile: int) -> float:
            def squares(work: Any) -> float:
                coords, wanted = chunk(work, tile) if isinstance(work, int) else work
                total = 0.0
                for i in range(0, len(coords), tile):
                    with np.errstate(all="ignore"):
                        got = self.to_samples(np.asarray(apply(coords[i : i + tile]))).astype(np.float64)
                    total += float(np.mean((got - wanted[i : i + tile]) ** 2)) * len(got)
                return total

            work: list[Any] | range = range(0, count, tile) if kept is None else kept
            return sum(map_tiles(squares, work)) / (count * self.peak**2)

        return error
