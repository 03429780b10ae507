"""Signals in, files out, and back: orchestration of the rooms below."""

import contextlib
import dataclasses
import inspect
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sinr_codec.bases import (
    Base,
    base_in,
    base_of,
    load_signal,
    network_of,
    params_of,
    read_base,
)
from sinr_codec.coding.assembled import Plan
from sinr_codec.coding.tensor import describe_tensor
from sinr_codec.coding.varint import Reader
from sinr_codec.container import BASE, DEFAULT_LIMITS, FIELD, MAX_QUALITY, Header, Limits, write
from sinr_codec.devices import CPU, check_device, is_cpu
from sinr_codec.errors import FormatError, InputError, LimitError, MalformedError
from sinr_codec.fields import MLP, Field, Modulated, Modulations, field_from_header
from sinr_codec.fields.modulated import LATENTS
from sinr_codec.files import check_output, write_bytes
from sinr_codec.foreign.decompress import state_of
from sinr_codec.foreign.fidelity import compare_networks
from sinr_codec.foreign.headers import network_names
from sinr_codec.methods import METHODS, Method, Task, coinpp, inric, method_named
from sinr_codec.methods.refine import refit
from sinr_codec.packed import (
    NO_LOSS,
    VERIFY_SLACK,
    CodedNetwork,
    Source,
    check_activation,
    check_positive,
    check_replaceable,
    check_seed,
    coded_networks,
    decibels,
    decoder_on,
    evaluate,
    hundredths,
    in_planes,
    load_source,
    manifest_of,
    naming,
    only,
    tile_of,
)
from sinr_codec.planning.paper import plan_paper
from sinr_codec.planning.plan import plan
from sinr_codec.presets import LEAST_PARAMS, MAX_WIDTH, RECIPES, Preset, Recipe, preset_named, rate_for, widest_within
from sinr_codec.progress import NullProgress, Progress, Steps, Together
from sinr_codec.signals import registry
from sinr_codec.signals.base import Apply, Fields, Part, Quality, SampledPart, Signal, Spec
from sinr_codec.types import Array, Params, PathLike

Blob = bytes

MAX_DROP = 0.1
"""dB that coding may cost `encode`, under the unquantised fit."""

_SEARCH_SAMPLES = 1 << 19  # samples that a planner's loss is measured on; the file itself is measured on all
_PROBE_SAMPLES = 1 << 16  # also the fewest of a part, where there are many
_LARGE = 1 << 21  # positions of a signal that is rendered once, after coding, and not before it as well
_MARGIN = 0.01  # dB above a wanted quality, since a sample of the positions stands for all
_FIT_STEPS_A_ROUNDING = 100  # of which a rounding takes one after each group of weights
_MOST_FITS = 4  # at a time; a third of a step is Python, which runs in one thread
_FEW_STEPS = 100  # before which every fit looks like a failure
_NEAR_DB = 0.3  # dB above a wanted quality that are near enough, where every further try is a fit
_LATENT_SHARE = 2  # times the bytes of the network that are not worth less, where latents go with it
_HEADROOM = 0.2, 0.6  # dB that a fit should be above a wanted quality: a plain one, one that is trained for its bytes
_PLANES = 3  # of a progressive file; with four its beginning shows nothing
_PLANES_COST = 0.02  # of the bytes, as far as a plan does not count them
_QUALITY_FITS = 3  # networks that a search for a quality may fit
_SLOPE = 2.0  # dB that a doubling of the parameters, or of the rate, usually brings
_SHORT = 1 / 3  # of the steps of a fit, in one that tells the size
_SHORT_DB = 0.8, 0.45  # dB that a whole fit has more than the first of these, and than another one that goes on from it
_FAR = 0.5  # doublings of the parameters from one network to the next after which more steps are needed


# -- encode ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EncodeReport:
    """What `encode` made.

    Attributes
    ----------
    path
        Where the file was written, or None.
    kind, unit
        Kind of the signal, and what its rate counts: "image" and "pixel", "audio" and "sample", ...
    bytes, bpp
        Size of the file, and bits a unit.
    source_bytes
        The source's samples in their dtype, uncompressed.
    measure, quality, fit_quality
        Name of the quality, in dB for what the file decodes to, and for the networks before they were coded.
    figures
        Further measures of what the file decodes to.
    seconds
        Wall-clock time of everything.
    preset, field, parts
        What was used: one network, or as many as the signal has blocks.
    target
        What the user asked for, in words; None where nothing was asked.
    target_met
        Whether the file keeps it.
    notes
        One-line remarks: what was left out, what was missed, and why.
    sections
        Bytes by part: "header", each tensor, and "side" for what the signal stores beside its networks.
    interrupted
        Whether the fit was stopped before its time.
    blob
        The file's bytes.
    """

    path: Path | None
    kind: str
    unit: str
    bytes: int
    bpp: float
    source_bytes: int
    measure: str
    quality: float
    fit_quality: float
    figures: dict[str, float]
    seconds: float
    preset: str
    field: Field
    parts: int
    target: str | None
    target_met: bool | None
    notes: tuple[str, ...]
    sections: dict[str, int]
    interrupted: bool
    blob: Blob = dataclasses.field(repr=False)

    @property
    def psnr(self) -> float:
        """The quality in dB, which is the PSNR of nearly all kinds; `measure` says of which it is not."""
        return self.quality

    @property
    def fit_psnr(self) -> float:
        """As `psnr`, of the networks before they were coded."""
        return self.fit_quality


@dataclass(frozen=True)
class _Coded:
    """Fitted networks as a file."""

    field: Any
    blob: bytes
    quality: Quality
    fit_quality: float
    sections: dict[str, int]
    interrupted: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Fitted:
    """A network fitted to each part of a signal."""

    network: Field
    params: list[Params]
    steps: int
    """The least of a part, with those of the fit that it went on from."""
    quality: float
    budgets: list[int | None]
    """Bytes for each part."""
    interrupted: bool
    notes: tuple[str, ...]


def encode(
    source: Any,
    out: PathLike | None = None,
    *,
    preset: str = "balanced",
    method: str | None = None,
    base: Base | Source | None = None,
    kind: str | None = None,
    width: int | None = None,
    depth: int | None = None,
    activation: Any = None,
    bpp: float | None = None,
    size: int | None = None,
    psnr: float | None = None,
    seconds: float | None = None,
    seed: int = 0,
    device: str = CPU,
    max_drop: float | None = None,
    checkpoint: PathLike | None = None,
    progressive: bool = False,
    progress: Progress | None = None,
    **options: Any,
) -> EncodeReport:
    """Fit a network to a signal and write it as a `.sinr` file.

    Parameters
    ----------
    source
        A picture, a sound, a volume, a dataset, a video, a shape or a scene: a file, a folder, an array, or an object
        of the library its users use. What it is, is told by its name, type and shape.
    out
        File to write; without it the bytes are in the report.
    preset
        "fast", "balanced", "best" or "paper" (SINR as published).
    method
        Code as one of `methods.METHODS` does, such as "coin" or "inric", instead of by the preset's planner. The preset
        says how long to fit; under "paper" a method trains as its authors did, which may take hours. "coinpp" and
        "inric-meta" begin from a base.
    base
        What `learning.learn` made, or its file; a decoder needs it, too. Width, depth, activation and the rate follow
        from it.
    kind
        What the source is, where it does not tell: one of `signals.registry.KINDS`.
    width, depth, activation
        The network, if it should be a given one: neurons a layer, hidden layers, a `fields` activation.
    bpp, size, psnr
        At most one: bits a unit (pixel, sample, voxel, ...), bytes of the file, or quality in dB to reach. A target
        that is missed is reported in `EncodeReport.target_met` and `notes`.
    seconds
        Time for the fit instead of the preset's number of steps.
    seed
        Of the initial weights, the sampling and the dictionaries.
    device
        Where torch fits: "cpu", "cuda", ...
    max_drop
        dB that coding may lose, where neither a target nor the rate of the kind rules it: where a width or this is
        given without a target, under "fast", and with a method. None for `MAX_DROP`.
    checkpoint
        File in which a fit that is interrupted leaves its state, and from which it goes on; of a signal in blocks one
        file a block beside it, all of which stay until the whole is written.
    progressive
        Put the last bits of all weights behind the rest, so that the beginning of the file decodes at lower quality.
    progress
        Listens to the work.
    options
        What the kind's own `load` takes, such as the resolution of a shape.

    Raises
    ------
    InputError : an input or an argument that cannot be used
    MissingExtraError : PyTorch, or the library of a file format, is not installed
    """
    start = time.perf_counter()
    if out is not None:
        check_output(out, source)
        check_replaceable(out)
    chosen, how = check_arguments(
        preset=preset,
        method=method,
        kind=kind,
        activation=activation,
        bpp=bpp,
        size=size,
        psnr=psnr,
        seconds=seconds,
        max_drop=max_drop,
        seed=seed,
    )
    shared = _base_for(how, base, width=width, depth=depth, activation=activation, bpp=bpp, size=size, psnr=psnr)
    if progressive and shared is not None:
        raise InputError("progressive: a file that begins from a base has no planes; leave it out")
    check_device(device)
    progress = progress or NullProgress()
    progress.start("read", 0)
    signal = _load_signal(source, kind, options, shared)
    if how is None and width is None and "block" not in options:
        # Other networks are what the user or a method makes of them.
        signal = getattr(signal, "in_blocks", lambda: signal)()
    spec = signal.spec
    if how is not None and how.training.network is not None and spec.KIND == "image" and spec.parts > 1:
        raise InputError(f"block: method {how.name} takes a picture in one piece; leave it out")
    DEFAULT_LIMITS.check("max_samples", spec.values)
    recipe = RECIPES[spec.KIND].under(chosen)
    if how is not None:
        recipe, chosen = _recipe_of(how, recipe, chosen, spec.KIND)
    elif activation is not None:
        recipe = recipe.activated(spec, activation)
    budget = size if bpp is None else int(bpp * spec.samples / 8)
    free = width is None and recipe.width is None and max_drop is None
    rated = how is None and recipe.rated(chosen) and (free or budget is not None or psnr is not None)
    drop = MAX_DROP if max_drop is None else max_drop
    job = _Job(signal, chosen, how, recipe, seconds, seed, device, drop, checkpoint, progress, shared, rated=rated)
    job = replace(job, planes=_PLANES if progressive else 0)
    network = partial(recipe.network, spec, depth=depth, activation=activation)

    if shared is not None:
        coded = job.from_base(shared)
    elif how is not None and (of_rate := how.training.network) is not None:
        if activation is not None:
            raise InputError(f"activation: method {how.name} has one of its own; leave it out")
        rate = recipe.rate if budget is None else 8 * budget / spec.samples
        coded = _at_rate(job, lambda bits: of_rate(spec, bits, width, depth), rate, budget, psnr)
    elif psnr is not None and width is None:
        coded = _search_quality(job, network, psnr)
    elif width is None and budget is None and recipe.width is not None:
        coded = job.run(network(recipe.width))
    else:
        rate = 8 * budget / spec.samples if budget is not None else recipe.rate
        params = rate * spec.samples / job.bits_a_param / spec.parts
        if budget is None:
            params = max(params, LEAST_PARAMS)
        built = widest_within(params, network) if width is None else network(width)
        within = budget
        if rated and budget is None and psnr is None:
            within = math.ceil(params * job.bits_a_param / 8 * spec.parts)
        coded = job.run(built, within, psnr)

    target, met = None, None
    notes = [*signal.notes, *coded.notes]
    if psnr is not None:
        target, met = f"{psnr:g} dB", coded.quality.db >= psnr
        if not met:
            notes.append(f"the target of {psnr:g} dB was missed: {coded.quality.db:.2f} dB")
    elif budget is not None:
        target = f"{size:,} bytes" if size is not None else f"{bpp:g} bpp"
        met = len(coded.blob) <= budget
        if not met:
            why = "" if width is not None or how is not None else ", of the smallest network that is tried"
            smallest = len(coded.blob) > 1.05 * budget
            notes.append(f"the target of {target} was missed: {len(coded.blob):,} bytes{why if smallest else ''}")
    lost = coded.fit_quality - coded.quality.db
    planned = how is None and not chosen.paper and not rated
    if budget is not None and met and planned and lost > drop + VERIFY_SLACK:
        notes.append(f"coding for this size cost {lost:.2f} dB; a narrower network may be better")
    if out is not None:
        write_bytes(out, coded.blob)
    job.discard_checkpoints()
    return EncodeReport(
        path=Path(out) if out is not None else None,
        kind=spec.KIND,
        unit=spec.UNIT,
        bytes=len(coded.blob),
        bpp=8 * len(coded.blob) / spec.samples,
        source_bytes=signal.source_bytes,
        measure=spec.MEASURE,
        quality=coded.quality.db,
        fit_quality=coded.fit_quality,
        figures=coded.quality.figures,
        seconds=time.perf_counter() - start,
        preset=chosen.name,
        field=coded.field,
        parts=spec.parts,
        target=target,
        target_met=met,
        notes=tuple(notes),
        sections=coded.sections,
        interrupted=coded.interrupted,
        blob=coded.blob,
    )


def check_arguments(
    *,
    preset: str = "balanced",
    method: str | None = None,
    kind: str | None = None,
    activation: Any = None,
    bpp: float | None = None,
    size: int | None = None,
    psnr: float | None = None,
    seconds: float | None = None,
    max_drop: float | None = None,
    seed: int = 0,
) -> tuple[Preset, Method | None]:
    """Raise `InputError` for arguments of `encode` that suit no signal; else the preset and the method they name."""
    if sum(target is not None for target in (bpp, size, psnr)) > 1:
        raise InputError("target: expected at most one of bpp, size and psnr")
    positive = {"bpp": bpp, "size": size, "psnr": psnr, "seconds": seconds, "max_drop": max_drop}
    for name, value in positive.items():
        if value is not None:
            check_positive(name, value)
    check_seed(seed)
    check_activation(activation)
    if kind is not None:
        registry.check_kind(kind)
    return preset_named(preset), None if method is None else method_named(method)


def _recipe_of(method: Method, recipe: Recipe, preset: Preset, kind: str) -> tuple[Recipe, Preset]:
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


def _base_for(method: Method | None, base: Base | Source | None, **network: Any) -> Base | None:
    """The base of a method that begins from one; None for other methods."""
    if method is None or (learning := method.training.base) is None:
        if base is not None:
            based = (name for name, other in METHODS.items() if other.training.base is not None)
            raise InputError(f"base: only the methods {', '.join(based)} begin from one")
        return None
    if base is None:
        raise InputError(f"method {method.name}: expected a base, which `sinr learn` makes")
    if given := [name for name, value in network.items() if value is not None]:
        raise InputError(f"{given[0]}: follows from the base; leave it out")
    found = base if isinstance(base, Base) else read_base(base)
    if isinstance(found.field, Modulated) != (learning["method"] == "coinpp"):
        raise InputError(f"base: was learned for {'coinpp' if isinstance(found.field, Modulated) else 'inric-meta'}")
    return found


def _load_signal(source: Any, kind: str | None, options: dict[str, Any], base: Base | None) -> Signal:
    name = kind or registry.kind_of(source)
    if options and name in registry.KINDS:
        check_options(registry.signal_class(name).load, options, f"{name} input", beside=("source", "like"))
    if base is None:
        return registry.load(source, kind, **options)
    signal: Signal = load_signal(source, kind, options)
    features = base.field.in_features, base.field.out_features
    if features != (signal.spec.in_features, signal.spec.out_features):
        raise InputError(
            f"base: is for {features[0]} coordinates and {features[1]} values, but the signal has "
            f"{signal.spec.in_features} and {signal.spec.out_features}"
        )
    return signal


def check_options(function: Callable[..., Any], options: Mapping[str, Any], what: str, beside: Sequence[str]) -> None:
    """Raise `InputError` for options that a function does not take."""
    known = [name for name in inspect.signature(function).parameters if name not in beside]
    for name in options:
        if name not in known:
            raise InputError(f"{name}: not an option of {what}; expected {', '.join(known) or 'none'}")


def file_of(
    signal: Signal, network: Field, plans: Sequence[Plan], base: Base | None = None, planes: int = 0
) -> tuple[Blob, Quality]:
    """The file of a signal whose networks are coded, and the quality of what it decodes to, measured on that.

    With `planes`, so many last bits of the weights come in sections behind all others.
    """
    spec = signal.spec
    digest = None if base is None else base.digest
    header = Header(FIELD, network.to_header(), spec.to_header(), base=digest, planes=planes)
    if planes:
        coded = [in_planes(network, plan.records, planes) for plan in plans]
    else:
        coded = [CodedNetwork(b"".join(plan.records[name] for name in network.shapes())) for plan in plans]
    sections = [one.section for one in coded] + ([spec.side] if spec.side else [])
    sections += [one.planes[number] for number in range(planes) for one in coded]
    decoder = open(write(header, sections), base=base)
    quality = signal.quality(partial(decoder.spec.render, decoder.fields))
    return write(replace(header, quality=hundredths(quality.db)), sections), quality


@dataclass(frozen=True)
class _Job:
    """Everything about an encoding but the network."""

    signal: Signal
    preset: Preset
    method: Method | None
    recipe: Recipe
    seconds: float | None
    seed: int
    device: str
    max_drop: float
    checkpoint: PathLike | None
    progress: Progress
    base: Base | None = None
    bits: float | None = None
    """Bits a sample of a hash grid, which is trained for them."""
    rated: bool = False
    """Whether other networks are trained for their bytes, too."""
    planes: int = 0
    """Last bits of the weights that come behind all else."""
    kept: list[Path] = dataclasses.field(default_factory=list)
    """Checkpoints of blocks that are fitted."""

    def discard_checkpoints(self) -> None:
        """Remove what only a fit of many blocks that goes on would want."""
        if self.kept:
            from sinr_codec.fit.checkpoint import discard

            for path in self.kept:
                discard(path)

    @property
    def bits_a_param(self) -> float:
        """Bits a parameter to reckon with."""
        if self.rated and self.recipe.rated_bits is not None:
            return self.recipe.rated_bits
        return self.recipe.bits_a_param(self.preset)

    @property
    def _samples(self) -> int:
        """Samples of each part that its loss is measured on."""
        return max(_SEARCH_SAMPLES // self.signal.spec.parts, _PROBE_SAMPLES)

    def from_base(self, base: Base) -> _Coded:
        """Code the signal as what it has of its own beside a base."""
        spec, part = self.signal.spec, self.signal.parts[0]
        network: Any = base.network(spec)
        if isinstance(base.field, MLP):
            return self.run(network)
        self.progress.start("adapt", 0)
        DEFAULT_LIMITS.check("max_params", network.num_params)
        latents = coinpp.latents_of(base, part, network.sizes, self.device, self.preset.inner_steps)
        fitted = [{LATENTS: latents}]
        fit_quality = self._fit_quality(network, [network.decoder(fitted[0])])
        assert self.method is not None
        coded, plans = self._by_method(self.method, network, fitted)
        self.progress.start("check", 0)
        blob, quality = file_of(self.signal, coded, plans, base)
        return _Coded(coded, blob, quality, fit_quality, _sections(plans, spec.side, blob), False, ())

    def run(self, network: Field, max_bytes: int | None = None, min_db: float | None = None) -> _Coded:
        """Fit and code one network for each part of the signal."""
        return self.code(self.fit(network, max_bytes), min_db)

    def fit(
        self, network: Field, max_bytes: int | None = None, start: "_Fitted | None" = None, share: float = 1.0
    ) -> "_Fitted":
        """Fit a network to each part, in a share of the time; it may go on from one of another width."""
        parts, spec = self.signal.parts, self.signal.spec
        DEFAULT_LIMITS.check("max_params", network.num_params * len(parts))
        header = Header(FIELD, network.to_header(), spec.to_header())
        budgets = self._budgets(network, header, [spec.side] if spec.side else [], max_bytes)
        params, steps, interrupted, notes = self._fit(network, budgets, start, share)
        steps += 0 if start is None else start.steps
        quality = self._fit_quality(network, [network.decoder(each) for each in params])
        return _Fitted(network, params, steps, quality, budgets, interrupted, notes)

    def code(self, fitted: "_Fitted", min_db: float | None = None) -> _Coded:
        """Code fitted networks; what they have above `min_db` may be lost."""
        network, spec = fitted.network, self.signal.spec
        if self.method is not None:
            network, plans = self._by_method(self.method, network, fitted.params)
        else:
            plans = self._plans(fitted, min_db)
        self.progress.start("check", 0)
        blob, quality = file_of(self.signal, network, plans, self.base, self.planes)
        sizes = _sections(plans, spec.side, blob, self.planes)
        return _Coded(network, blob, quality, fitted.quality, sizes, fitted.interrupted, fitted.notes)

    def _fit_quality(self, network: Any, decoders: list[Apply]) -> float:
        """Quality of the uncoded networks; of a large signal of independent samples, on some of them."""
        parts, tile = self.signal.parts, tile_of(network)
        if self.signal.spec.samples <= _LARGE or not all(isinstance(part, SampledPart) for part in parts):
            return self._quality(self.signal.spec, Fields(decoders, tile)).db
        errors = [part.objective(self._samples, self.seed)(apply, tile) for part, apply in zip(parts, decoders)]
        return decibels(float(np.average(errors, weights=[len(part) for part in parts])))

    def _quality(self, spec: Spec, fields: Fields) -> Quality:
        return self.signal.quality(partial(spec.render, fields))

    def _fit(
        self, network: Field, budgets: list[int | None], begin: "_Fitted | None", share: float
    ) -> tuple[list[Params], int, bool, tuple[str, ...]]:
        """Networks of all parts, the least steps of one, whether one was interrupted, and remarks."""
        self.progress.start("load PyTorch", 0)
        from sinr_codec.fit import FitConfig, FitResult, fit
        from sinr_codec.fit.interrupt import Interrupt
        from sinr_codec.fit.kernels import side_by_side
        from sinr_codec.fit.optim import load

        load()
        settings = self.recipe.settings(self.preset)
        if self.base is not None and settings.get("steps"):
            settings |= {"steps": inric.fewer(settings["steps"])}
        parts = self.signal.parts
        threads = self._threads()
        if threads > 1:
            settings |= {"compile": False}
        if self.seconds is not None:
            settings |= {"steps": None, "seconds": share * self.seconds / -(-len(parts) // threads)}
        elif settings.get("steps"):
            settings |= {"steps": math.ceil(share * settings["steps"])}
        if self.bits is not None:
            spec = self.signal.spec
            settings |= {"bits": (self.bits * spec.samples - 8 * len(spec.side)) / sum(map(len, parts))}
        stopped = threading.Event()
        together = (
            Together(self.progress, f"fit {len(parts)} blocks", len(parts), stopped.is_set) if threads > 1 else None
        )

        def fitted_part(number: int) -> FitResult | None:
            if stopped.is_set():
                return None
            part, own = parts[number], dict(settings)
            if self.rated:
                budget = budgets[number]
                bits = self.bits_a_param * network.num_params if budget is None else 8 * budget
                own |= {"bits": bits / len(part)}
            checkpoint = _beside(self.checkpoint, f"-{number}" if len(parts) > 1 else "")
            if len(parts) > 1 and checkpoint is not None:
                self.kept.append(checkpoint)
            config = FitConfig(
                seed=self.seed, device=self.device, checkpoint=checkpoint, keep_checkpoint=len(parts) > 1, **own
            )
            # What is fitted may be the network with something around it, such as the rendering of rays.
            trainable = getattr(part, "trainable", lambda network: network)(network)
            start = None if self.base is None else inric.start_of(self.base, part, self.device)
            if begin is not None:
                assert isinstance(network, MLP)
                start = network.grown(begin.params[number], np.random.default_rng(self.seed))
            label = "fit" + self._mark(number)
            listener = Steps(self.progress, label, part.decibels) if together is None else together.steps(number)
            result = fit(trainable, part, config, start, listener)
            if result.interrupted:
                stopped.set()
            return result

        if threads == 1:
            results = [fitted_part(number) for number in range(len(parts))]
        else:
            with Interrupt(stopped.set):
                results = list(side_by_side(fitted_part, len(parts), threads))
        notes = []
        for number, result in enumerate(results):
            if result is None or (result.interrupted and number + 1 < len(parts)):
                remedy = (
                    "the same command goes on" if self.checkpoint is not None else "with a checkpoint it would go on"
                )
                raise InputError(f"interrupted in part {number + 1} of {len(parts)}: nothing was written; {remedy}")
            mark = self._mark(number)
            if result.restarts:
                notes.append(f"the fit{mark} diverged and began anew {result.restarts} time(s) with a lower rate")
            few = self.seconds is not None and result.steps < _FEW_STEPS
            remedy = f"only {result.steps} steps ran, allow more seconds" if few else "try another width or seed"
            if result.failed:
                notes.append(f"the fit{mark} is no better than the signal's mean: {remedy}")
            elif few and not result.interrupted and result.loss > NO_LOSS:
                notes.append(f"the fit{mark} is not what it could be: {remedy}")
        done = [result for result in results if result is not None]
        interrupted = any(result.interrupted for result in done)
        if interrupted:
            notes.append("the fit was interrupted; the best network so far was kept")
        return [result.params for result in done], min(result.steps for result in done), interrupted, tuple(notes)

    def _mark(self, number: int) -> str:
        """Which part is meant, where there are several."""
        count = self.signal.spec.parts
        return f" {number + 1}/{count}" if count > 1 else ""

    def _threads(self) -> int:
        """How many parts are fitted at a time: on a CPU as many as PyTorch may take threads, but not many."""
        import torch

        count = min(self.signal.spec.parts, _MOST_FITS)
        return min(count, torch.get_num_threads()) if self.device == "cpu" else 1

    def _budgets(self, network: Field, header: Header, side: list[bytes], max_bytes: int | None) -> list[int | None]:
        """Bytes for the records of each part, in proportion to its samples."""
        parts = self.signal.parts
        if max_bytes is None:
            return [None] * len(parts)
        # What is left for the records when the longest header is paid for.
        # No records are longer than float64 numbers, however much is allowed.
        records = [bytes(min(max_bytes // len(parts), 8 * network.num_params)) for _ in parts]
        coded = records + [record[:256] for record in records] * self.planes
        longest = replace(header, quality=MAX_QUALITY, planes=self.planes)
        overhead = len(write(longest, coded + side)) - sum(map(len, coded))
        left, total = max_bytes - overhead, sum(len(part) for part in parts)
        if self.planes:
            left = int((1 - _PLANES_COST) * left)
        return [max(left * len(part) // total, 1) for part in parts]

    def _plans(self, fitted: "_Fitted", min_db: float | None) -> list[Plan]:
        """How the network of each part is coded."""
        if self.preset.paper:
            return [plan_paper(params, self.seed, device=self.device) for params in fitted.params]
        parts, network, budgets = self.signal.parts, fitted.network, fitted.budgets
        # Made anew below: what a loss keeps of a part is a few MB, and of many parts more than the signal.
        before = [self._loss(network, part, self._samples)(params) for part, params in zip(parts, fitted.params)]
        drop = self.max_drop
        if min_db is not None:
            # What the fit is better than was asked may be lost; one without an error has as much as counts for none.
            over = min(fitted.quality, decibels(NO_LOSS)) - min_db - _MARGIN
            drop = over if over > 0 else drop
        # The quality is that of all parts together: each may add the same error, quiet ones as much as loud ones.
        added = max(float(np.mean(before)), NO_LOSS) * (10 ** (drop / 10) - 1)
        plans = []
        for number, (part, params) in enumerate(zip(parts, fitted.params)):
            self.progress.start("code" + self._mark(number), 0)
            limit = max(before[number], NO_LOSS) + added
            code = partial(self._planned, network, part, fitted.steps, limit, budgets[number])
            coded = code(params)
            if self.preset.refit and budgets[number] is None and not self.rated:
                coded = self._refitted(network, part, params, coded, code)
            plans.append(coded)
        return plans

    def _planned(
        self, network: Field, part: Part, steps: int, limit: float, budget: int | None, params: Params
    ) -> Plan:
        """How the network of one part is coded, within a loss or a number of bytes."""
        rounding = self._rounding(network, part, steps)
        return plan(
            params,
            loss=self._loss(network, part, self._samples),
            limit=limit,
            probe=self._loss(network, part, _PROBE_SAMPLES),
            max_bytes=budget,
            dictionaries=() if self.planes else self.preset.dictionaries,
            trellis=not self.planes,
            rounder=rounding if rounding is not None and rounding.effort.steps else None,
            felt=None if rounding is None else rounding.felt(params),
            seed=self.seed,
            device=self.device,
            progress=self.progress.update,
        )

    def _refitted(
        self, network: Field, part: Part, params: Params, coded: Plan, code: Callable[[Params], Plan]
    ) -> Plan:
        """The plan of a network that goes on from this one and takes fewer bytes within the same loss, if it does."""
        trainable = getattr(part, "trainable", lambda network: network)(network)
        steps = Steps(self.progress, "refit", part.decibels)
        options: dict[str, Any] = {"seed": self.seed, "device": self.device, "progress": steps}
        params = refit(trainable, part, params, coded.bytes, **options)
        self.progress.start("code", 0)
        try:
            return min(coded, code(params), key=lambda plan: plan.bytes)
        except InputError:  # it is not within the loss
            return coded

    def _rounding(self, network: Field, part: Part, steps: int) -> Any:
        """Rounding for the outputs, in no more steps than go with a fit of so many; it may be none."""
        if self.preset.rounding is None or self.bits is not None:  # a network trained for a rate has integers already
            return None
        from sinr_codec.fit.rounding import Effort, rounding_for

        trainable = getattr(part, "trainable", lambda network: network)(network)
        effort = Effort(**self.preset.rounding)
        effort = replace(effort, steps=min(effort.steps, steps // _FIT_STEPS_A_ROUNDING))
        return rounding_for(trainable, part, effort, self.seed, self.device)

    def _by_method(self, method: Method, network: Field, fitted: Sequence[Params]) -> tuple[Field, list[Plan]]:
        """The networks as a method codes them, and what they are then: pruning makes them narrower."""
        drop, effort, trained = self.max_drop, self.preset.effort, network
        options: dict[str, Any] = {"effort": effort, "progress": self.progress, "base": self.base}
        plans: list[Plan] = []
        for number, (part, params) in enumerate(zip(self.signal.parts, fitted), 1):
            self.progress.start("code" + self._mark(number - 1), 0)
            task = Task(trained, params, part, self.seed, self.device, drop, **options)
            if method.finetune is not None:
                task = task.with_params(method.finetune(task))
            coded = method.code(task)
            if number > 1 and (coded.field or task.field) != network:
                raise InputError(
                    f"method {method.name}: makes another network of each block; give a signal in one piece"
                )
            network = coded.field or task.field
            plans.append(coded.plan)
        return network, plans

    def _loss(self, network: Field, part: Part, samples: int) -> Callable[[Mapping[str, Array]], float]:
        """Error of a part's decoded samples, as its quality goes."""
        error, tile = part.objective(samples, self.seed), tile_of(network)
        return lambda params: error(network.decoder(params), tile)


def _at_rate(job: _Job, network: Callable[[float], Any], rate: float, budget: int | None, db: float | None) -> _Coded:
    """Fit networks that are trained for so many bits a sample; for a quality, at the rate that should reach it."""

    def run(bits: float) -> _Coded:
        checkpoint = job.checkpoint if db is None else _beside(job.checkpoint, f"-{bits:.4g}")
        return replace(job, bits=bits, checkpoint=checkpoint).run(network(bits), budget)

    if db is None:
        return run(rate)
    rate = rate_for(job.signal.spec.KIND, db)
    least = _LATENT_SHARE * 8 * network(rate).network_params / job.signal.spec.samples
    tried: list[_Coded] = []
    points: list[tuple[float, float]] = []
    for _ in range(_QUALITY_FITS):
        rate = max(rate, least)
        coded = run(rate)
        tried.append(coded)
        points.append((math.log2(rate), coded.quality.db))
        if coded.interrupted or db <= coded.quality.db <= db + _NEAR_DB:
            break
        x, y = points[-1]
        rate = 2 ** min(x + (db + _NEAR_DB / 2 - y) / _slope(points), 64)
    return _best(tried, db)


def _best(tried: list[_Coded], db: float) -> _Coded:
    """The smallest file that has a quality, or else the one with the best."""
    reached = [coded for coded in tried if coded.quality.db >= db]
    if reached:
        return min(reached, key=lambda coded: len(coded.blob))
    return max(tried, key=lambda coded: coded.quality.db)


def _search_quality(job: _Job, build: Callable[[int], Field], db: float) -> _Coded:
    """Fit networks of the size that should reach `db`; code the smallest that does, or else the best.

    The first guess is the rate at which ordinary signals have that quality. A short fit tells how far this one is from
    them; another one, where that was far, what a doubling of the parameters brings. Then whole fits follow until one is
    right. Each goes on from the one before.
    """
    spec = job.signal.spec
    params = rate_for(spec.KIND, db) * spec.samples / job.bits_a_param / spec.parts
    headroom, slope = _HEADROOM[job.rated], _SLOPE
    grows = isinstance(build(MAX_WIDTH), MLP)
    last: _Fitted | None = None
    fits: list[_Fitted] = []
    shorts: list[tuple[float, float]] = []  # log2 of the parameters, and the dB that a whole fit should have
    points: list[tuple[float, float]] = []  # the same of whole fits, measured
    while len(fits) < _QUALITY_FITS:
        network = widest_within(params, build)
        if any(network == fitted.network for fitted in fits):
            if fits[-1].quality >= db or network.width == MAX_WIDTH:
                break
            network = build(max(fitted.network.width for fitted in fits) + 1)
        size = math.log2(network.num_params)
        far = last is not None and abs(size - math.log2(last.network.num_params)) > _FAR
        short = grows and not fits and (not shorts or (far and len(shorts) < len(_SHORT_DB)))
        share = _SHORT if short else 0.5 if fits and grows and not far else 1.0
        named = replace(job, checkpoint=_beside(job.checkpoint, f"-{network.width}" + ("-short" if short else "")))
        last = named.fit(network, start=last if grows else None, share=share)
        if short:
            shorts.append((size, last.quality + _SHORT_DB[len(shorts)]))
        else:
            fits.append(last)
            points.append((size, last.quality))
        # A fit a little above the target is right: what is too good is spent on coarser coding.
        if last.interrupted or (not short and db + headroom / 4 <= last.quality <= db + headroom + 0.3):
            break
        slope = _slope(points or shorts, slope)
        params = 2 ** min(size + (db + headroom - (points or shorts)[-1][1]) / slope, 64)
    assert last is not None
    fits = fits or [last]
    fits.sort(key=lambda fitted: fitted.network.num_params)
    tried: list[_Coded] = []
    for fitted in [each for each in fits if each.quality >= db] or [max(fits, key=lambda each: each.quality)]:
        tried.append(job.code(fitted, min_db=db))
        if tried[-1].quality.db < db <= fitted.quality - job.max_drop:
            tried.append(job.code(fitted))  # what was to spare was not, on all samples
        if tried[-1].quality.db >= db:
            break
    best = _best(tried, db)
    if best.quality.db < db and any(fitted.network.width >= MAX_WIDTH for fitted in fits):
        note = f"no width above {MAX_WIDTH} is tried by itself; name one with width, or a longer fit"
        return replace(best, notes=(*best.notes, note))
    return best


def _beside(path: PathLike | None, mark: str) -> Path | None:
    """A name of its own for the checkpoint of one of several fits."""
    return None if path is None else Path(path).with_stem(Path(path).stem + mark)


def _slope(points: list[tuple[float, float]], usual: float = _SLOPE) -> float:
    """Slope of a rising line through the last two points, not far from the usual one; that itself, of one point."""
    if len(points) < 2 or points[-2][0] == points[-1][0]:
        return usual
    (x0, y0), (x1, y1) = points[-2:]
    return min(max((y1 - y0) / (x1 - x0), _SLOPE / 3), _SLOPE * 3)


def _sections(plans: Sequence[Plan], side: bytes, blob: Blob, planes: int = 0) -> dict[str, int]:
    """Bytes by part of a file: each record, the side section, planes, and "header" for everything else."""
    if planes:
        about = info(blob)
        sizes = {tensor["name"]: tensor["bytes"] for tensor in about["tensors"]}
        sizes |= {f"plane {number}": size for number, size in enumerate(about["plane_bytes"], 1)}
        return sizes | ({"side": len(side)} if side else {}) | {"header": about["header_bytes"]}
    sizes = {
        _part_name(number, len(plans), name): len(record)
        for number, coded in enumerate(plans)
        for name, record in coded.records.items()
    }
    if side:
        sizes["side"] = len(side)
    return sizes | {"header": len(blob) - sum(sizes.values())}


def _part_name(number: int, parts: int, name: str) -> str:
    return name if parts == 1 else f"{number}.{name}"


# -- decode ----------------------------------------------------------------------------------------------------


_DEVICE_THREADS = 2  # one prepares coordinates and samples while the other waits for the accelerator
_KEPT = 256  # decoded networks of a file that are kept; a picture has fewer blocks in two rows, or is wider than 65,536


class _Networks(Sequence[Apply]):
    """The networks of a file, each decoded when it is taken; errors name the file, and which network it is."""

    def __init__(
        self, network: Field, coded: Sequence[CodedNetwork], base: Base | None, source: Source, device: str
    ) -> None:
        self.network, self.coded, self.device, self._base, self._source = network, coded, device, base, source
        self._params: dict[int, dict[str, Array]] = {}
        self._applies: dict[int, Apply] = {}
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self.coded)

    def __getitem__(self, number: Any) -> Any:
        return self._kept(self._applies, number, lambda: decoder_on(self.network, self.params(number), self.device))

    def params(self, number: int) -> dict[str, Array]:
        """Weights of one network."""

        def decoded() -> dict[str, Array]:
            with naming(self._source), self._naming(number):
                return params_of(self.network, self.coded[number], self._base)

        return self._kept(self._params, number, decoded)

    def _kept(self, known: dict[int, Any], number: int, make: Callable[[], Any]) -> Any:
        """What is known of a network, made where it is not; the one that was not asked for the longest time goes."""
        with self._lock:
            known[number] = known.pop(number) if number in known else make()
            if len(known) > _KEPT:
                del known[next(iter(known))]
            return known[number]

    @contextlib.contextmanager
    def _naming(self, number: int) -> Iterator[None]:
        try:
            yield
        except FormatError as error:
            if len(self) == 1:
                raise
            raise type(error)(f"network {number + 1} of {len(self)}: {error}") from error


@dataclass(frozen=True)
class Decoder:
    """A `.sinr` file of a signal, opened: call it at coordinates, or render it at any size.

    Attributes
    ----------
    header
        What the file says about itself.
    network
        The field, of which each part of the signal has its own weights.
    spec
        Shape, dtype and conventions of the source.
    limits
        What a rendering may take.
    """

    header: Header
    network: Field
    spec: Any
    limits: Limits
    _networks: _Networks

    @property
    def device(self) -> str:
        """Where the network is evaluated."""
        return self._networks.device

    @property
    def planes(self) -> tuple[int, int]:
        """Of a progressive file: how many planes of last bits all networks have, and how many a whole file has."""
        return min(len(one.planes) for one in self._networks.coded), self.header.planes

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the source."""
        return tuple(self.spec.describe()["shape"])

    @property
    def params(self) -> dict[str, Array]:
        """Weights of the network, or of the first one."""
        return self._networks.params(0)

    @property
    def fields(self) -> Fields:
        """The networks, as a renderer wants them."""
        positions = self.limits.max_work // getattr(self.network, "work", self.network.num_params)
        return Fields(
            self._networks,
            tile_of(self.network, self.device),
            min(self.limits.max_samples, positions * self.spec.out_features),
            None if is_cpu(self.device) else _DEVICE_THREADS,
        )

    def __call__(self, coords: Array, part: int = 0) -> Array:
        """Values float32 (..., b), not clipped, at coords (..., a) in the field's domain [-1, 1]^a.

        A long sound or a large picture is made of several networks; `part` is the one to ask, in its own domain.
        """
        try:
            # Through float64: what is no real number (complex, text) is refused.
            coords = np.asarray(coords).astype(np.float64, casting="same_kind").astype(np.float32)
        except (TypeError, ValueError) as error:
            raise InputError(f"coords: expected an array of numbers ({error})") from error
        if coords.shape[-1:] != (self.network.in_features,):
            raise InputError(f"coords: expected shape (..., {self.network.in_features}), found {coords.shape}")
        if not 0 <= part < len(self._networks):
            raise InputError(f"part: expected 0 to {len(self._networks) - 1}, got {part!r}")
        flat = coords.reshape(-1, self.network.in_features)
        outputs = self.network.out_features
        if not len(flat):
            return np.zeros((*coords.shape[:-1], outputs), np.float32)
        values = evaluate(self._networks[part], flat, tile_of(self.network, self.device))
        return values.reshape(*coords.shape[:-1], outputs)

    def render(self, **options: Any) -> Any:
        """Render the signal: its samples in the source's dtype, or an object of the library its users use.

        The options are those of the kind's `Spec.render`, such as `scale`, `size` and `region` of a picture.
        """
        check_options(self.spec.render, options, f"a file of kind {self.spec.KIND}", beside=("self", "fields"))
        return self.spec.render(self.fields, **options)

    def image(self, **options: Any) -> Any:
        """Render a picture as a Pillow image in the source's mode; options as for `render`."""
        if self.spec.KIND != "image":
            raise InputError(f"image: the file holds a signal of kind {self.spec.KIND}; use render or save")
        return self.spec.image(self.render(**options))

    def save(self, out: PathLike, **options: Any) -> Any:
        """Render the signal and write it, in the format that the extension names; options as for `render`.

        Returns what was rendered.
        """
        decoded = self.render(**options)
        self.spec.save(decoded, out)
        return decoded


def open(
    source: Source,
    *,
    base: Base | Source | None = None,
    progressive: bool = False,
    device: str = CPU,
    limits: Limits = DEFAULT_LIMITS,
) -> Decoder:
    """Open a `.sinr` file of a signal: the weights of a single network are decoded, nothing is rendered yet.

    Of a signal in blocks each network is decoded when it is first needed, and damage in it is an error then.

    `base` is what a file needs that names one: a `Base`, or its file. With `progressive`, the end of the file may be
    missing: weights are as fine as what is there says (`Decoder.planes`). The network is evaluated by NumPy, or on
    another `device` by PyTorch ("cuda", ...), where sums may differ in the last bit.

    Raises
    ------
    FormatError : a file that breaks the format, or goes beyond the limits
    InputError : no such file, one that holds a network instead of a signal, one whose base is missing or another, or a
        device that cannot be used
    MissingExtraError : PyTorch is not installed, and another device than the CPU is named
    """
    check_device(device)
    header, sections = load_source(source, limits, partial=progressive)
    with naming(source):
        return _open(source, header, sections, limits, base, device)


def _open(
    source: Source,
    header: Header,
    sections: list[bytes],
    limits: Limits,
    base: Base | Source | None,
    device: str = CPU,
) -> Decoder:
    if header.kind == BASE:
        raise InputError("holds a base, not a signal; name it with base where a file needs it")
    if header.kind != FIELD:
        raise InputError("holds the weights of a network, not a signal; use decompress")
    shared = base_of(header, base, limits)
    network, spec, records = _described(header, sections, limits, shared)
    networks = _Networks(network, records, shared, source, device)
    if len(networks) == 1:
        networks.params(0)
    return Decoder(header, network, spec, limits, networks)


def _described(
    header: Header, sections: list[bytes], limits: Limits, base: Base | None
) -> tuple[Any, Spec, list[CodedNetwork]]:
    """Field, signal and coded networks of a file, checked against each other and the limits."""
    network = network_of(header, base, limits)
    parts = registry.parts_in_header(header.signal)
    coded, side = coded_networks(header, sections, parts)
    if network.num_params * parts > limits.max_params:
        raise LimitError(f"{parts} networks of {network.num_params} parameters are more than {limits.max_params}")
    spec = registry.spec_from_header(header.signal, side)
    if (network.in_features, network.out_features) != (spec.in_features, spec.out_features):
        raise MalformedError("the field's coordinates and values are not those of the signal")
    limits.check("max_samples", spec.values)
    return network, spec, coded


def decode(
    source: Source,
    out: PathLike | None = None,
    *,
    base: Base | Source | None = None,
    progressive: bool = False,
    device: str = CPU,
    limits: Limits = DEFAULT_LIMITS,
    **options: Any,
) -> Any:
    """Decode a `.sinr` file of a signal, whole or in part, at any size.

    Parameters
    ----------
    source
        A file or its bytes.
    out
        File to write; the extension names the format.
    base
        The base that the file needs, if it needs one.
    progressive
        Take a file whose end is missing, at the quality that what is there has; see `encode`.
    device
        Where the networks are evaluated: "cpu", which needs no PyTorch, or "cuda", ...
    limits
        What this reader is willing to allocate.
    options
        Those of the kind's `Spec.render`. A picture has `scale` (factor on the source's size), `size` (h, w) of the
        result, and `region` (left, top, right, bottom) in pixels of the source.

    Returns
    -------
    the signal: of a picture an array (h, w) or (h, w, C) of the source's dtype
    """
    if out is not None:
        check_output(out, source)
    decoder = open(source, base=base, progressive=progressive, device=device, limits=limits)
    return decoder.render(**options) if out is None else decoder.save(out, **options)


# -- look and check --------------------------------------------------------------------------------------------


def info(source: Source, *, base: Base | Source | None = None, limits: Limits = DEFAULT_LIMITS) -> dict[str, Any]:
    """Tell what a file holds, without decoding it: kind, field, bytes by part, how each tensor is coded.

    Of a file that needs a base, without that, it tells which, and what can be told. The result is ready for JSON.
    """
    header, sections = load_source(source, limits)
    with naming(source):
        size = header.header_bytes + sum(len(section) + 4 for section in sections)
        answer: dict[str, Any] = {
            "kind": {FIELD: "signal", BASE: "base"}.get(header.kind, "network"),
            "bytes": size,
            "quality_db": None if header.quality is None else header.quality / 100,
        }
        if header.kind == BASE:
            itself = base_in(header, sections, limits)
            answer |= {
                "base": itself.digest.hex(),
                "receiver_bytes": itself.receiver_bytes,
                "patch": list(itself.patch),
            }
            answer |= {"field": itself.field.describe(), "parameters": itself.field.num_params}
            return answer | {"tensors": [], "header_bytes": header.header_bytes}
        if isinstance(header.base, bytes):
            answer["base"] = header.base.hex()
            if base is None:
                spec = registry.spec_from_header(header.signal, b"".join(sections[1:]))
                answer |= {"signal": spec.describe(), "bpp": 8 * size / spec.samples, "unit": spec.UNIT}
                return answer | {"measure": spec.MEASURE, "tensors": [], "header_bytes": header.header_bytes}
        shared = base_of(header, base, limits)
        network: Any = None
        if header.kind == FIELD:
            network, spec, records = _described(header, sections, limits, shared)
            answer["measure"] = spec.MEASURE
            answer["field"] = network.describe()
            answer["networks"] = len(records)
            answer["parameters"] = network.num_params * len(records)
            answer["signal"] = spec.describe()
            answer["bpp"] = 8 * size / spec.samples
            answer["unit"] = spec.UNIT
            answer["side_bytes"] = len(spec.side)
            manifest = manifest_of(network)
        else:
            if header.field is not None:
                answer["field"] = field_from_header(header.field, limits.max_params).describe()
            elif names := network_names(header):
                answer["field"] = ", ".join(names)
            answer["parameters"] = sum(entry.size for entry in header.tensors)
            manifest = [(entry.name, entry.shape, entry.dtype) for entry in header.tensors]
            records = [CodedNetwork(only(sections))]
        answer["tensors"] = [
            {"name": _part_name(number, len(records), name), "shape": list(shape), "dtype": str(dtype)} | description
            for number, coded in enumerate(records)
            for (name, shape, dtype), description in zip(
                manifest, _describe_section(manifest, coded.section, network, shared)
            )
        ]
        if header.planes:
            answer["plane_bytes"] = [sum(map(len, plane)) for plane in zip(*(coded.planes for coded in records))]
        known = [answer.get("side_bytes", 0), *answer.get("plane_bytes", ()), *(t["bytes"] for t in answer["tensors"])]
        answer["header_bytes"] = size - sum(known)
        answer["bits_per_parameter"] = 8 * size / max(answer["parameters"], 1)
        return answer


def _describe_section(
    manifest: list[tuple[str, tuple[int, ...], Any]], section: bytes, network: Any, base: Base | None
) -> list[dict[str, Any]]:
    if isinstance(network, Modulations) and not network.recorded:
        assert base is not None
        assert base.model is not None
        return [{"bytes": len(section), "coding": "levels of a base", "levels": base.model.counts.shape[1]}]
    reader = Reader(section)
    descriptions = [describe_tensor(reader, shape, dtype) for _, shape, dtype in manifest]
    reader.end()
    return descriptions


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found: whether all is well, and one line for each check.

    `measured` is the quality in dB against what the file was compared with, `recorded` what the file promises,
    `figures` further measures.
    """

    ok: bool
    lines: tuple[str, ...]
    measured: float | None = None
    recorded: float | None = None
    figures: dict[str, float] = dataclasses.field(default_factory=dict)


def verify(
    source: Source,
    against: Any = None,
    *,
    base: Base | Source | None = None,
    limits: Limits = DEFAULT_LIMITS,
    **options: Any,
) -> VerifyReport:
    """Check every checksum and decode everything; with `against`, measure the quality and compare it.

    `against` is the signal that was encoded, or the network that was compressed; `options` are those it was read
    with. The report is not ok where the quality is below what the file records.

    Raises
    ------
    SinrError : a file that is damaged or cannot be decoded
    """
    header, sections = load_source(source, limits)
    recorded = None if header.quality is None else header.quality / 100
    lines = [f"checksums: {1 + len(sections)} of {1 + len(sections)} match"]
    figures: dict[str, float] = {}
    with naming(source):
        if header.kind == FIELD:
            decoder = _open(source, header, sections, limits, base)
            if against is None:
                lines.append(f"decoded: {decoder.spec.summary(decoder.render())}")
        elif header.kind == BASE:
            if against is not None:
                raise InputError("against: a base stands for no signal; leave it out")
            itself = base_in(header, sections, limits)
            lines.append(f"decoded: base {itself.digest.hex()}, {itself.field.num_params:,} numbers")
        else:
            state = state_of(header, sections, limits)
            lines.append(f"decoded: {len(state)} tensors, {sum(tensor.size for tensor in state.values()):,} numbers")
    if against is None:
        return VerifyReport(True, tuple(lines), None, recorded)
    if header.kind == FIELD:
        quality = registry.load(against, like=decoder.spec, **options).quality(decoder.render)
        measured, what, figures = quality.db, decoder.spec.MEASURE, quality.figures
    else:
        measured, what = compare_networks(header, against, state)
    ok = recorded is None or measured >= recorded - VERIFY_SLACK
    promise = "none recorded" if recorded is None else f"{recorded:.2f} dB recorded"
    lines.append(f"{what}: {measured:.2f} dB measured, {promise}: {'ok' if ok else 'BELOW'}")
    lines += [f"{name}: {value:.6g}" for name, value in figures.items()]
    return VerifyReport(ok, tuple(lines), measured, recorded, figures)
