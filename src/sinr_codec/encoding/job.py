"""A job: a signal, a request, and all settings that follow from them before a fit."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Final, cast

from sinr_codec.bases import Base, load_signal, read_base
from sinr_codec.container import DEFAULT_LIMITS
from sinr_codec.devices import CPU, is_cpu
from sinr_codec.encoding.request import Request
from sinr_codec.errors import InputError
from sinr_codec.fields import Field
from sinr_codec.methods import METHODS, Method, interlaced, method_named
from sinr_codec.methods.base import PROBE_SAMPLES, SEARCH_SAMPLES
from sinr_codec.presets import preset_named
from sinr_codec.progress import Progress
from sinr_codec.sections import Source
from sinr_codec.signals import registry
from sinr_codec.signals.base import Quality, Signal, Spec
from sinr_codec.signals.grids import GridSignal
from sinr_codec.signals.kinds import Kind
from sinr_codec.signals.metadata import Metadata, packed_within, sizes
from sinr_codec.signals.options import check_options
from sinr_codec.signals.recipe import Preset, Recipe
from sinr_codec.types import Options, Params, PathLike

MAX_DROP: Final = 0.1
"""Default loss by coding in `encode`, in dB below the unquantised fit."""
_METADATA_SHARE: Final = 4  # metadata take at most this part of a file: a quarter,
_METADATA_FREE: Final = 4096  # or as many bytes where the user does not say how large the file may be
PLANES: Final = 3
"""Planes of low-order bits in a progressive file. With four, the beginning of a file shows nothing."""


@dataclass(frozen=True)
class Job:
    """All settings of an encoding except the network.

    Attributes
    ----------
    signal, request, progress
        The source, the user's request, and the receiver of progress.
    preset, recipe
        Fitting time and search effort; the network of the kind. With a method, they are the method's.
    method, base
        The method for coding, if one is named, and the base it starts from.
    rated
        Whether networks are trained for their byte budget.
    checkpoint
        Path for the state of a fit.
    psnr
        Quality to reach, in dB; None without one.
    bits
        Rate in bits a sample, for a method that trains its network for a rate.
    name
        What the source is called.
    noun
        What its kind is called.
    numbers
        Of the fits, from 1 on.
    kept
        Checkpoints of all fits, which stay until the file is written.
    metadata
        Packed metadata of the source for the file.
    notes
        One-line remarks on the settings.
    """

    signal: Signal
    request: Request
    progress: Progress
    preset: Preset
    recipe: Recipe
    method: Method | None
    base: Base | None
    rated: bool
    checkpoint: PathLike | None
    psnr: float | None = None
    bits: float | None = None
    name: str = "the data"
    noun: str = "signal"
    kept: list[Path] = dataclasses.field(default_factory=list)
    numbers: Iterator[int] = dataclasses.field(default_factory=lambda: count(1))
    metadata: bytes = b""
    notes: tuple[str, ...] = ()

    @property
    def spec(self) -> Spec:
        """Description of the signal for the file."""
        return self.signal.spec

    @property
    def seed(self) -> int:
        """Random seed."""
        return self.request.seed

    @property
    def device(self) -> str:
        """PyTorch device for fits; those of pyramids are on the CPU."""
        return CPU if self.method is not None and self.method.training.weighted else self.request.device

    @property
    def planes(self) -> int:
        """Number of low-order bits of the weights stored at the end of the file."""
        return PLANES if self.request.progressive else 0

    @property
    def max_drop(self) -> float:
        """Allowed loss by coding, in dB."""
        return MAX_DROP if self.request.max_drop is None else self.request.max_drop

    @property
    def budget(self) -> int | None:
        """Byte budget of the file; None without a requested rate or size."""
        return self.request.budget(self.spec.samples)

    @property
    def bits_a_param(self) -> float:
        """Assumed bits a parameter."""
        if self.rated and self.recipe.rated_bits is not None:
            return self.recipe.rated_bits
        return self.recipe.bits_a_param(self.preset)

    @property
    def steps(self) -> int:
        """Steps of a fit under the preset or the method."""
        steps: int = self.recipe.settings(self.preset).get("steps") or 0
        return steps

    @property
    def samples(self) -> int:
        """Number of samples for the loss of each part."""
        return max(SEARCH_SAMPLES // self.spec.parts, PROBE_SAMPLES)

    def network(self, width: int) -> Field:
        """The network of a given width, with the user's depth and activation if given."""
        return self.recipe.network(self.spec, width, depth=self.request.depth, activation=self.request.activation)

    def mark(self, number: int) -> str:
        """Name of a part among several."""
        count = self.spec.parts
        return f" {number + 1}/{count}" if count > 1 else ""

    def with_checkpoint(self, mark: str) -> "Job":
        """The job with a separate checkpoint for one of several fits."""
        return replace(self, checkpoint=beside(self.checkpoint, mark))

    def discard_checkpoints(self) -> None:
        """Remove the checkpoints of all fits."""
        if self.kept:
            from sinr_codec.fit.checkpoint import discard

            for path in self.kept:
                discard(path)


@dataclass(frozen=True)
class Fitted:
    """A network fitted to each part of a signal.

    Attributes
    ----------
    network, params
        The field, and the parameters for each part.
    steps
        Fewest steps of a part, including those of the fit it continues.
    quality
        Quality of the uncoded networks, in dB.
    budgets
        Byte budget for the records of each part.
    interrupted
        Whether a fit was stopped early.
    notes
        One-line remarks.
    """

    network: Field
    params: Sequence[Params]
    steps: int
    quality: float
    budgets: list[int | None]
    interrupted: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Coded:
    """Fitted networks, coded as a file."""

    field: Field
    blob: bytes
    quality: Quality
    fit_quality: float
    sections: dict[str, int]
    interrupted: bool
    notes: tuple[str, ...]


def job_for(
    source: object,
    request: Request,
    base: Base | Source | None,
    options: Options,
    progress: Progress,
    name: str = "the data",
) -> Job:
    """Read a signal, which messages call `name`, and determine the settings of its fit and coding.

    Raises
    ------
    InputError : an invalid source or argument
    MissingExtraError : the library of a file format is not installed
    """
    if request.method is not None:
        _base_for(method_named(request.method), base, request)
    progress.start("read", 0)
    kind = registry.kind_of(source) if request.kind is None else registry.kind_named(request.kind)
    method = request.method_for(kind.recipe)
    shared = _base_for(method, base, request)
    if request.progressive and shared is not None:
        raise InputError("progressive: a file that begins from a base has no planes; leave it out")
    check_options(kind.signal.load, options, f"{kind.name} input")
    signal = _signal(source, kind, options, shared)
    if request.bounded:
        signal = bounded(signal, kind.noun)
    planned = method is None or method.training.weighted
    if planned and request.width is None and "block" not in options:
        # Networks chosen by the user or a method are not divided.
        signal = getattr(signal, "in_blocks", lambda: signal)()
    spec = signal.spec
    alone = not planned and not request.bounded and method is not None and method.training.network is not None
    if alone and method is not None and spec.parts > 1:
        raise InputError(f"block: method {method.name} takes a picture in one piece; leave it out")
    DEFAULT_LIMITS.check("max_samples", spec.values)
    preset = preset_named(request.preset)
    recipe = getattr(signal, "suited", lambda recipe: recipe)(kind.recipe.under(preset))
    if method is not None:
        recipe, preset = _under_method(method, recipe, preset, kind.name)
    elif request.activation is not None:
        recipe = recipe.activated(spec, request.activation)
    free = request.width is None and recipe.width is None and request.max_drop is None
    psnr = _quality_for(signal, request)
    wanted = free or psnr is not None or request.budget(spec.samples) is not None
    rated = method is None and recipe.rated(preset) and wanted
    metadata, notes = _metadata(signal, request.budget(spec.samples), recipe.rate)
    if method is not None and method.training.weighted and not is_cpu(request.device):
        notes += (f"a pyramid is fitted on the CPU, not on {request.device}; field mlp uses it",)
    return Job(
        *(signal, request, progress, preset, recipe, method, shared, rated, request.checkpoint, psnr),
        name=name,
        noun=kind.noun.split(" ", 1)[-1],
        metadata=metadata,
        notes=notes,
    )


def _metadata(signal: Signal, budget: int | None, rate: float) -> tuple[bytes, tuple[str, ...]]:
    """Packed metadata in a share of the file, and a remark on what is left out for it."""
    found: Metadata = getattr(signal, "metadata", {})
    most = max(_METADATA_FREE, int(rate * signal.spec.samples / 8 / _METADATA_SHARE))
    data, left_out = packed_within(found, most if budget is None else budget // _METADATA_SHARE)
    if not left_out:
        return data, ()
    items = ", ".join(f"{name} ({size:,} bytes)" for name, size in sizes(found).items() if name in left_out)
    return data, (f"metadata are left out, too large for this file: {items}",)


def beside(path: PathLike | None, mark: str) -> Path | None:
    """Path of the checkpoint for one of several fits."""
    return None if path is None else Path(path).with_stem(Path(path).stem + mark)


def _base_for(method: Method | None, base: Base | Source | None, request: Request) -> Base | None:
    """The base for a method that starts from one; None for other methods."""
    if method is None or (learning := method.training.base) is None:
        if base is not None:
            based = (name for name, other in METHODS.items() if other.training.base is not None)
            raise InputError(f"base: only the methods {', '.join(based)} begin from one")
        return None
    if base is None:
        raise InputError(f"method {method.name}: expected a base, which `sinr learn` makes")
    if (given := request.following_from_base()) is not None:
        raise InputError(f"{given}: follows from the base; leave it out")
    found = base if isinstance(base, Base) else read_base(base)
    learned = "coinpp" if found.field.latents else "inric-meta"
    if learned != learning["method"]:
        raise InputError(f"base: was learned for {learned}")
    return found


def _signal(source: object, kind: Kind, options: Options, base: Base | None) -> Signal:
    if base is None:
        return registry.load(source, kind.name, **options)
    signal: Signal = load_signal(source, kind.name, options)
    features = base.field.in_features, base.field.out_features
    if features != (signal.spec.in_features, signal.spec.out_features):
        raise InputError(
            f"base: is for {features[0]} coordinates and {features[1]} values, but the signal has "
            f"{signal.spec.in_features} and {signal.spec.out_features}"
        )
    return signal


def bounded(signal: Signal, noun: str) -> Signal:
    """The signal in blocks for a bound on the error. InputError for a kind that has none."""
    if not isinstance(signal, GridSignal):
        kinds = "pictures, volumes and videos"
        raise InputError(f"max_error and lossless: are for {kinds}, not for {noun}; name a quality with psnr")
    unblended: Signal = cast(Any, signal).unblended(interlaced.LARGEST)
    return unblended


def _quality_for(signal: Signal, request: Request) -> float | None:
    """The requested quality in dB, as the signal's kind measures it."""
    if request.snr is None:
        return request.psnr
    if not hasattr(signal, "psnr_at"):
        raise InputError(f"snr: is for sounds; name the quality of {signal.spec.KIND} signals with psnr")
    psnr: float = signal.psnr_at(request.snr)
    return psnr


def _under_method(method: Method, recipe: Recipe, preset: Preset, kind: str) -> tuple[Recipe, Preset]:
    """Recipe and preset with a method's network, training and rate."""
    training = method.training
    if training.network is not None:
        return replace(recipe, fit={"": training.settings(preset.name, kind)}), replace(preset, fit={}, paper=False)
    fit = dict(training.published) if preset.paper else recipe.settings(preset)
    fit |= {"l1": training.l1} if training.l1 else {}
    recipe = replace(recipe, fit={"": fit}, bits=None)
    if kind == "image":
        recipe = replace(recipe, activation=training.activation, encoding=training.encoding)
    return recipe, replace(preset, fit={}, bits=method.bits, paper=False)
