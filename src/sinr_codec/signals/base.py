"""What the fit, the plan and the codec need to know of a signal, whatever it is.

A `Signal` is a source that was read; its `Spec` is what a file records of it and all that a decoder needs besides
the networks. A signal has one `Part` for each network: one, unless it is long and cut into blocks.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from sinr_codec.signals.levels import Levels
from sinr_codec.tiles import map_tiles
from sinr_codec.types import Array, PathLike

Apply = Callable[[NDArray[np.float32]], Array]
"""A decoded network: coords float32 (n, a) -> values (n, b); called from several threads at once."""

MAX_SAMPLES: Final = 2**30
"""Values that a renderer fills unless it is told otherwise."""
TILE: Final = 2048
"""Positions evaluated at once: a few MB of activations at common widths, which stay in the cache."""


@dataclass(frozen=True)
class Fields:
    """The networks of a file, as a renderer gets them.

    Attributes
    ----------
    parts
        One function a network, decoded when it is first taken.
    tile
        Positions a call.
    max_samples
        Largest number of values to fill; more is a `LimitError` before anything is allocated.
    threads
        Tiles computed at once; default: the cores this process may use.
    """

    parts: Sequence[Apply]
    tile: int = TILE
    max_samples: int = MAX_SAMPLES
    threads: int | None = None


@dataclass(frozen=True)
class Quality:
    """How near a decoded signal is to its source.

    Attributes
    ----------
    db
        The figure that targets and reports go by, such as a PSNR; more is better.
    figures
        Further measures by name, such as "snr_db", "max_error" or "iou".
    """

    db: float
    figures: dict[str, float] = field(default_factory=dict)


class Spec(Protocol):
    """What a decoder needs to know of a signal besides the networks; immutable."""

    KIND: ClassVar[str]
    """Name of the kind: "image", "audio", ..."""
    UNIT: ClassVar[str]
    """What a rate counts: "pixel", "sample", "voxel", ..."""
    MEASURE: ClassVar[str]
    """What the quality in dB is: "PSNR", ..."""

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
        """Positions in the source."""

    @property
    def values(self) -> int:
        """Numbers in a full decoding, checked against the reader's limit."""

    @property
    def side(self) -> bytes:
        """Bytes of the side section; empty where there is none."""

    @property
    def suffix(self) -> str:
        """Extension of the file that decoding makes by itself."""

    def describe(self) -> dict[str, Any]:
        """Description ready for JSON, with "type" and "shape"."""

    def to_header(self) -> list[Any]:
        """CBOR-ready description that starts with the signal's id."""

    @classmethod
    def from_header(cls, header: Any, side: bytes = b"") -> Self:
        """Inverse of `to_header` and `side`; refuses what they cannot have written."""

    # A renderer has options of its own; they are checked by name.
    @property
    def render(self) -> Callable[..., Any]:
        """`render(fields, **options)`: the decoded signal."""

    def save(self, decoded: Any, path: PathLike) -> None:
        """Write a decoded signal, in the format that the extension names."""

    def summary(self, decoded: Any) -> str:
        """One line on a decoded signal."""


class Part(Protocol):
    """Samples for one network: coordinates in [-1, 1]^a and values about [-1, 1]^b.

    It may have a method ``trainable(network)``: the network with something around it, such as the rendering of rays,
    where that is what puts out its values.
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
        """Samples by their numbers, int64 (n,): coords float32 (n, a) and values float32 (n, b)."""

    def errors(self, predicted: Any, values: Any) -> Any:
        """What each of (n, b) against (n, b) adds to the loss, (n,), on NumPy arrays or torch tensors."""

    def loss(self, predicted: Any, values: Any) -> Any:
        """Mean of the errors: a mean squared error."""

    def decibels(self, loss: float) -> float:
        """Quality in dB that a loss stands for, roughly; for progress."""

    def objective(self, samples: int | None, seed: int) -> Callable[[Apply, int], float]:
        """``f(apply, tile)``, the error of a network, 10^(-dB / 10), on at most so many fixed samples."""


class Signal(Protocol):
    """A source that was read.

    It may have a method ``in_blocks()``: itself as it is best encoded where the user names no network, which is in
    blocks where it is large.
    """

    @property
    def spec(self) -> Spec:
        """What a file records."""

    @property
    def notes(self) -> tuple[str, ...]:
        """One-line remarks on what reading left out or changed."""

    @property
    def source_bytes(self) -> int:
        """Bytes of the source's samples, uncompressed, in its dtype."""

    @property
    def parts(self) -> Sequence[Part]:
        """The samples of each network."""

    @classmethod
    def load(cls, source: Any, like: Any = None) -> Self:
        """Read a source; `like` is a `Spec` whose conventions (grid, resolution) are taken over."""

    def quality(self, render: Callable[..., Any]) -> Quality:
        """Quality of a decoding; ``render(**options)`` renders it, with the options of `Spec.render`."""


class MeanOfErrors:
    """A part whose loss is the mean of its errors; a base class."""

    def errors(self, predicted: Any, values: Any) -> Any:
        """See `Part.errors`."""
        raise NotImplementedError

    def loss(self, predicted: Any, values: Any) -> Any:
        """See `Part.loss`."""
        return self.errors(predicted, values).mean()


class SampledPart(MeanOfErrors):
    """A part whose error is the mean squared error of independent samples; a base class.

    Subclasses have `in_features`, `out_features`, `__len__`, `batch`, and either `levels` and `peak` or
    `to_samples` and `peak` of their own.
    """

    levels: Levels
    """How samples map to values."""
    peak: float
    """Peak of the PSNR."""

    def to_samples(self, values: Array) -> Array:
        """Values (n, b) as samples of the source's dtype, in units of which `peak` is the peak."""
        return self.levels.to_samples(values)

    def __len__(self) -> int:
        raise NotImplementedError

    def batch(self, index: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `Part.batch`."""
        raise NotImplementedError

    def errors(self, predicted: Any, values: Any) -> Any:
        """Mean squared error of each sample in the units of [-1, 1], on NumPy arrays or torch tensors."""
        return ((predicted - values) ** 2).mean(-1)

    def decibels(self, loss: float) -> float:
        """PSNR in dB that a mean squared error on values in [-1, 1] stands for, before rounding."""
        span = self.levels.high - self.levels.low
        if loss <= 0 or span == 0:
            return math.inf
        return 10 * math.log10((2 * self.peak / span) ** 2 / loss)

    def objective(self, samples: int | None, seed: int) -> Callable[[Apply, int], float]:
        """Mean squared error of decoded samples, rounded as they will be, over the squared peak."""
        total = len(self)
        index = None
        if samples is not None and samples < total:
            # A fixed choice without pattern: equal for all candidates, and no grid that the signal could repeat.
            index = np.sort(np.random.default_rng(seed).choice(total, samples, replace=False))
        count = total if index is None else len(index)

        def chunk(start: int, tile: int) -> tuple[Array, Array]:
            stop = min(start + tile, count)
            coords, values = self.batch(np.arange(start, stop) if index is None else index[start:stop])
            return coords, self.to_samples(values).astype(np.float64)

        # Read once: reading costs as much as a small network.
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
