"""A job: a signal, what is asked for, and what follows from both before anything is fitted."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sinr_codec.bases import Base, load_signal, read_base
from sinr_codec.container import DEFAULT_LIMITS
from sinr_codec.encoding.request import Request
from sinr_codec.errors import InputError
from sinr_codec.fields import Field
from sinr_codec.methods import METHODS, Method, method_named
from sinr_codec.presets import preset_named
from sinr_codec.progress import Progress
from sinr_codec.sections import Source
from sinr_codec.signals import registry
from sinr_codec.signals.base import Quality, Signal, Spec
from sinr_codec.signals.kinds import Kind
from sinr_codec.signals.options import check_options
from sinr_codec.signals.recipe import Preset, Recipe
from sinr_codec.types import Options, Params, PathLike

MAX_DROP: Final = 0.1
"""dB that coding may cost `encode`, under the unquantised fit."""
PLANES: Final = 3
"""Planes of last bits in a progressive file. With four, the beginning of a file shows nothing."""

_SEARCH_SAMPLES: Final = 1 << 19  # samples that a planner's loss is measured on; the file itself is measured on all
PROBE_SAMPLES: Final = 1 << 16
"""Samples of a planner's probes; also the fewest of a part, where there are many parts."""


@dataclass(frozen=True)
class Job:
    """Everything about an encoding but the network.

    Attributes
    ----------
    signal, request, progress
        The source, what the user asks for, and who listens.
    preset, recipe
        How long to fit and how hard to look for a small coding; the network of the kind. Those of the method, where
        there is one.
    method, base
        The method that codes, where one is named, and the base that it begins from.
    rated
        Whether networks are trained for their bytes.
    checkpoint
        Where a fit leaves its state.
    bits
        Bits a sample of a network whose method trains it for a rate.
    kept
        Checkpoints of blocks that are fitted.
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
    bits: float | None = None
    kept: list[Path] = dataclasses.field(default_factory=list)

    @property
    def spec(self) -> Spec:
        """What a file records of the signal."""
        return self.signal.spec

    @property
    def seed(self) -> int:
        """Seed of everything random."""
        return self.request.seed

    @property
    def device(self) -> str:
        """Where PyTorch fits."""
        return self.request.device

    @property
    def planes(self) -> int:
        """Last bits of the weights that come behind all else."""
        return PLANES if self.request.progressive else 0

    @property
    def max_drop(self) -> float:
        """DB that coding may lose."""
        return MAX_DROP if self.request.max_drop is None else self.request.max_drop

    @property
    def budget(self) -> int | None:
        """Bytes that the file may take; None where neither a rate nor a size is asked for."""
        return self.request.budget(self.spec.samples)

    @property
    def bits_a_param(self) -> float:
        """Bits a parameter to reckon with."""
        if self.rated and self.recipe.rated_bits is not None:
            return self.recipe.rated_bits
        return self.recipe.bits_a_param(self.preset)

    @property
    def samples(self) -> int:
        """Samples of each part that its loss is measured on."""
        return max(_SEARCH_SAMPLES // self.spec.parts, PROBE_SAMPLES)

    def network(self, width: int) -> Field:
        """The network of a width, with the user's depth and activation where there are any."""
        return self.recipe.network(self.spec, width, depth=self.request.depth, activation=self.request.activation)

    def mark(self, number: int) -> str:
        """Which part is meant, where there are several."""
        count = self.spec.parts
        return f" {number + 1}/{count}" if count > 1 else ""

    def with_checkpoint(self, mark: str) -> "Job":
        """The job with a checkpoint of its own for one of several fits."""
        return replace(self, checkpoint=beside(self.checkpoint, mark))

    def discard_checkpoints(self) -> None:
        """Remove the checkpoints of blocks, which only an interrupted fit would need."""
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
        The field, and its parameters for each part.
    steps
        The least of a part, with those of the fit that it went on from.
    quality
        dB of the uncoded networks.
    budgets
        Bytes for the records of each part.
    interrupted
        Whether a fit was stopped before its time.
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
    """Fitted networks as a file."""

    field: Field
    blob: bytes
    quality: Quality
    fit_quality: float
    sections: dict[str, int]
    interrupted: bool
    notes: tuple[str, ...]


def job_for(source: object, request: Request, base: Base | Source | None, options: Options, progress: Progress) -> Job:
    """Read a signal, and settle how it is fitted and coded.

    Raises
    ------
    InputError : a source or an argument that cannot be used
    MissingExtraError : the library of a file format is not installed
    """
    method = None if request.method is None else method_named(request.method)
    shared = _base_for(method, base, request)
    if request.progressive and shared is not None:
        raise InputError("progressive: a file that begins from a base has no planes; leave it out")
    progress.start("read", 0)
    kind = registry.kind_of(source) if request.kind is None else registry.kind_named(request.kind)
    check_options(kind.signal.load, options, f"{kind.name} input")
    signal = _signal(source, kind, options, shared)
    if method is None and request.width is None and "block" not in options:
        # Other networks are what the user or a method makes of them.
        signal = getattr(signal, "in_blocks", lambda: signal)()
    spec = signal.spec
    if method is not None and method.training.network is not None and spec.KIND == "image" and spec.parts > 1:
        raise InputError(f"block: method {method.name} takes a picture in one piece; leave it out")
    DEFAULT_LIMITS.check("max_samples", spec.values)
    preset = preset_named(request.preset)
    recipe = kind.recipe.under(preset)
    if method is not None:
        recipe, preset = _under_method(method, recipe, preset, kind.name)
    elif request.activation is not None:
        recipe = recipe.activated(spec, request.activation)
    free = request.width is None and recipe.width is None and request.max_drop is None
    wanted = free or request.psnr is not None or request.budget(spec.samples) is not None
    rated = method is None and recipe.rated(preset) and wanted
    return Job(signal, request, progress, preset, recipe, method, shared, rated, request.checkpoint)


def beside(path: PathLike | None, mark: str) -> Path | None:
    """A name of its own for the checkpoint of one of several fits."""
    return None if path is None else Path(path).with_stem(Path(path).stem + mark)


def _base_for(method: Method | None, base: Base | Source | None, request: Request) -> Base | None:
    """The base of a method that begins from one; None for other methods."""
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


def _under_method(method: Method, recipe: Recipe, preset: Preset, kind: str) -> tuple[Recipe, Preset]:
    """Recipe and preset with the network, the training and the rate of a method."""
    training = method.training
    if training.network is not None:
        return replace(recipe, fit={"": training.settings(preset.name, kind)}), replace(preset, fit={}, paper=False)
    fit = dict(training.published) if preset.paper else recipe.settings(preset)
    fit |= {"l1": training.l1} if training.l1 else {}
    recipe = replace(recipe, fit={"": fit}, bits=None)
    if kind == "image":
        recipe = replace(recipe, activation=training.activation, encoding=training.encoding)
    return recipe, replace(preset, fit={}, bits=method.bits, paper=False)
