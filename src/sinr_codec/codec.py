"""Signals and networks in, files out, and back: orchestration of the rooms below."""

import contextlib
import dataclasses
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sinr_codec.checkpoints import read_checkpoint, write_checkpoint
from sinr_codec.coding.plan import Plan, baseline_bytes, plan, plan_by_weights, plan_paper
from sinr_codec.coding.tensor import decode_tensor, describe_tensor
from sinr_codec.coding.varint import Reader
from sinr_codec.container import (
    DEFAULT_LIMITS,
    FIELD,
    MAX_QUALITY,
    STATE,
    Header,
    Limits,
    TensorEntry,
    load,
    read,
    write,
)
from sinr_codec.errors import InputError, MalformedError, SinrError
from sinr_codec.fields import MLP, AnyActivation, field_from_header
from sinr_codec.fields.recognise import Recognised, recognise
from sinr_codec.files import check_output, write_bytes
from sinr_codec.presets import ACTIVATION, DEPTH, LEAST_PARAMS, MAX_WIDTH, Preset, mlp_within, preset_named, rate_for
from sinr_codec.progress import NullProgress, Progress
from sinr_codec.signals.image import TILE, ImageSignal, ImageSpec, Region
from sinr_codec.signals.tiles import map_tiles

Array = NDArray[Any]
Params = dict[str, Array]
Source = str | os.PathLike[str] | bytes | bytearray | memoryview
Blob = bytes
PathLike = str | os.PathLike[str]

MAX_DROP = 0.1
"""dB that coding may cost `encode`, under the unquantised fit."""
FIDELITY = 46.0
"""dB that a compressed network's outputs keep to the old ones; costs a fit of 30 dB about 0.1 dB."""

_VERIFY_SLACK = 0.02  # dB that sine and sum may differ between platforms
_SEARCH_SAMPLES = 1 << 19  # samples that a planner's loss is measured on; the file itself is measured on all
_PROBE_SAMPLES = 1 << 16
_FIDELITY_CHECK = 1 << 18  # points, others than those of the search
_NO_LOSS = 1e-9  # a fit this close (90 dB) may lose something all the same
_TILE_NUMBERS = 1 << 19  # numbers that one layer puts out for a tile
_MARGIN = 0.01  # dB above a wanted quality, since a sample of the pixels stands for all
_PSNR_FITS = 3  # networks that a search for a quality may fit


# -- encode ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class EncodeReport:
    """What `encode` made.

    Attributes
    ----------
    path
        Where the file was written, or None.
    bytes, bpp, psnr
        Of the file: its size, bits a pixel, and the PSNR in dB of what it decodes to.
    fit_psnr
        PSNR of the network before it was coded.
    seconds
        Wall-clock time of everything.
    preset, field
        What was used.
    target, target_met
        What the user asked for, in words, and whether the file keeps it; None where nothing was asked.
    notes
        One-line remarks: what was left out, what was missed, and why.
    sections
        Bytes by part: "header" and each tensor.
    interrupted
        Whether the fit was stopped before its time.
    blob
        The file's bytes.
    """

    path: Path | None
    bytes: int
    bpp: float
    psnr: float
    fit_psnr: float
    seconds: float
    preset: str
    field: MLP
    target: str | None
    target_met: bool | None
    notes: tuple[str, ...]
    sections: dict[str, int]
    interrupted: bool
    blob: Blob = dataclasses.field(repr=False)


@dataclass(frozen=True)
class _Coded:
    """A fitted network as a file."""

    field: MLP
    blob: bytes
    psnr: float
    fit_psnr: float
    sections: dict[str, int]
    interrupted: bool
    notes: tuple[str, ...]


def encode(
    source: Any,
    out: PathLike | None = None,
    *,
    preset: str = "balanced",
    width: int | None = None,
    depth: int | None = None,
    activation: Any = None,
    bpp: float | None = None,
    size: int | None = None,
    psnr: float | None = None,
    seconds: float | None = None,
    seed: int = 0,
    device: str = "cpu",
    max_drop: float = MAX_DROP,
    checkpoint: PathLike | None = None,
    progress: Progress | None = None,
) -> EncodeReport:
    """Fit a network to a signal and write it as a `.sinr` file.

    Parameters
    ----------
    source
        A picture: a file that Pillow opens, a `PIL.Image`, or an array (H, W) or (H, W, C).
    out
        File to write; without it the bytes are in the report.
    preset
        "fast", "balanced", "best" or "paper" (SINR as published).
    width, depth, activation
        The network, if it should be a given one: neurons a layer, hidden layers, a `fields` activation.
    bpp, size, psnr
        At most one: bits a pixel, bytes of the file, or quality in dB to reach. A target that is missed is
        reported in `EncodeReport.target_met` and `notes`.
    seconds
        Time for the fit instead of the preset's number of steps.
    seed
        Of the initial weights, the sampling and the dictionaries.
    device
        Where torch fits: "cpu", "cuda", ...
    max_drop
        dB that coding may lose, where no target rules it.
    checkpoint
        File in which a fit that is interrupted leaves its state, and from which it goes on.
    progress
        Listens to the work.

    Raises
    ------
    InputError : an input or an argument that cannot be used
    MissingExtraError : PyTorch is not installed
    """
    start = time.perf_counter()
    if out is not None:
        check_output(out, source)
    if sum(target is not None for target in (bpp, size, psnr)) > 1:
        raise InputError("target: expected at most one of bpp, size and psnr")
    for name, value in {
        "bpp": bpp,
        "size": size,
        "psnr": psnr,
        "seconds": seconds,
        "max_drop": max_drop,
    }.items():
        if value is not None:
            _check_positive(name, value)
    _check_seed(seed)
    _check_activation(activation)
    recipe = preset_named(preset)
    signal = ImageSignal.load(source)
    DEFAULT_LIMITS.check("max_samples", signal.array.size)
    job = _Job(signal, recipe, seconds, seed, device, max_drop, checkpoint, progress or NullProgress())
    pixels = signal.spec.height * signal.spec.width
    budget = size if bpp is None else int(bpp * pixels / 8)
    build = partial(_field, signal, depth=DEPTH if depth is None else depth, activation=activation)

    if psnr is not None and width is None:
        coded = _search_psnr(job, build, psnr)
    else:
        rate = 8 * budget / pixels if budget is not None else recipe.bpp
        params = rate * pixels / recipe.bits
        if budget is None:
            params = max(params, LEAST_PARAMS)
        coded = job.run(build(params) if width is None else build(width=width), budget, psnr)

    target, met = None, None
    notes = [*signal.notes, *coded.notes]
    if psnr is not None:
        target, met = f"{psnr:g} dB", coded.psnr >= psnr
        if not met:
            notes.append(f"the target of {psnr:g} dB was missed: {coded.psnr:.2f} dB")
    elif budget is not None:
        target = f"{size:,} bytes" if size is not None else f"{bpp:g} bpp"
        met = len(coded.blob) <= budget
        if not met:
            notes.append(f"the target of {target} was missed: {len(coded.blob):,} bytes")
    if budget is not None and met and not recipe.paper and coded.fit_psnr - coded.psnr > max_drop + _VERIFY_SLACK:
        lost = coded.fit_psnr - coded.psnr
        notes.append(f"coding for this size cost {lost:.2f} dB; a narrower network may be better")
    if out is not None:
        write_bytes(out, coded.blob)
    return EncodeReport(
        path=Path(out) if out is not None else None,
        bytes=len(coded.blob),
        bpp=8 * len(coded.blob) / pixels,
        psnr=coded.psnr,
        fit_psnr=coded.fit_psnr,
        seconds=time.perf_counter() - start,
        preset=recipe.name,
        field=coded.field,
        target=target,
        target_met=met,
        notes=tuple(notes),
        sections=coded.sections,
        interrupted=coded.interrupted,
        blob=coded.blob,
    )


def _check_positive(name: str, value: Any) -> None:
    if not (isinstance(value, int | float) and value > 0 and math.isfinite(value)):
        raise InputError(f"{name}: expected a positive number, got {value!r}")


def _check_seed(seed: Any) -> None:
    if not (isinstance(seed, int) and 0 <= seed < 2**63):
        raise InputError(f"seed: expected an integer from 0 to 2**63 - 1, got {seed!r}")


def _check_activation(activation: Any) -> None:
    if activation is not None and not isinstance(activation, AnyActivation):
        raise InputError(f"activation: expected one of sinr_codec.fields, such as Sine(30), got {activation!r}")


def _field(signal: ImageSignal, params: float = 0, *, width: int | None = None, depth: int, activation: Any) -> MLP:
    if width is None:
        return mlp_within(params, signal.in_features, signal.out_features, depth, activation)
    return MLP(signal.in_features, signal.out_features, width, depth, activation or ACTIVATION)


@dataclass(frozen=True)
class _Job:
    """Everything about an encoding but the network."""

    signal: ImageSignal
    preset: Preset
    seconds: float | None
    seed: int
    device: str
    max_drop: float
    checkpoint: PathLike | None
    progress: Progress

    def run(self, network: MLP, max_bytes: int | None = None, min_psnr: float | None = None) -> _Coded:
        """Fit and code one network."""
        DEFAULT_LIMITS.check("max_params", network.num_params)
        params, interrupted, notes = self._fit(network)
        fitted = _psnr(self.signal, network, params)
        header = Header(FIELD, network.to_header(), self.signal.to_header())
        if max_bytes is not None:
            # What is left for the records when the longest header is paid for.
            # No records are longer than float64 numbers, however much is allowed.
            section = bytes(min(max_bytes, 8 * network.num_params))
            overhead = len(write(replace(header, quality=MAX_QUALITY), [section])) - len(section)
            max_bytes = max(max_bytes - overhead, 1)
        coded = self._plan(network, params, fitted, max_bytes, min_psnr)
        section = b"".join(coded.records.values())
        # The quality is that of the file: it is decoded before it is finished.
        quality = self.signal.quality(decode(write(header, [section])))
        blob = write(replace(header, quality=_hundredths(quality)), [section])
        return _Coded(network, blob, quality, fitted, _sections(coded, blob), interrupted, notes)

    def _fit(self, network: MLP) -> tuple[Params, bool, tuple[str, ...]]:
        self.progress.start("load PyTorch", 0)
        from sinr_codec.fit import FitConfig, fit

        settings = dict(self.preset.fit)
        if self.seconds is not None:
            settings |= {"steps": None, "seconds": self.seconds}
        config = FitConfig(
            seed=self.seed,
            device=self.device,
            checkpoint=None if self.checkpoint is None else Path(self.checkpoint),
            **settings,
        )
        started = False

        def report(step: int, total: int, loss: float) -> None:
            nonlocal started
            if not started:
                self.progress.start("fit", total)
                started = True
            self.progress.update(step, f"{self.signal.spec.psnr_of_mse(loss):.2f} dB")

        result = fit(network, self.signal, config, progress=report)
        notes = []
        if result.interrupted:
            notes.append("the fit was interrupted; the best network so far was kept")
        if result.restarts:
            notes.append(f"the fit diverged and began anew {result.restarts} time(s) with a lower rate")
        if result.failed:
            notes.append("the fit is no better than the picture's mean; try another width, activation or seed")
        return result.params, result.interrupted, tuple(notes)

    def _plan(self, network: MLP, params: Params, fitted: float, max_bytes: int | None, min_psnr: float | None) -> Plan:
        if self.preset.paper:
            return plan_paper(params, self.seed)
        self.progress.start("code", 0)
        loss = self._loss(network, _SEARCH_SAMPLES)
        limit = max(loss(params), _NO_LOSS) * 10 ** (self.max_drop / 10)
        if min_psnr is not None and fitted > min_psnr + _MARGIN:
            limit = 10 ** (-(min_psnr + _MARGIN) / 10)
        return plan(
            params,
            loss,
            limit,
            probe=self._loss(network, _PROBE_SAMPLES),
            max_bytes=max_bytes,
            dictionaries=self.preset.dictionaries,
            seed=self.seed,
            progress=self.progress.update,
        )

    def _loss(self, network: MLP, samples: int) -> Callable[[Mapping[str, Array]], float]:
        """Mean squared error of the decoded picture, rounded as it will be, over its peak."""
        signal, total = self.signal, len(self.signal)
        if samples >= total:
            return lambda params: 10 ** (-_psnr(self.signal, network, params) / 10)
        # A fixed choice without pattern: equal for all candidates, and no grid that the picture could repeat.
        index = np.sort(np.random.default_rng(self.seed).choice(total, samples, replace=False))
        coords, values = signal.batch(index)
        wanted = signal.spec.to_samples(values).astype(np.float64)

        def loss(params: Mapping[str, Array]) -> float:
            got = signal.spec.to_samples(_evaluate(network, params, coords))
            return float(np.mean((got - wanted) ** 2)) / signal.spec.peak**2

        return loss


def _search_psnr(job: _Job, build: Callable[..., MLP], psnr: float) -> _Coded:
    """Fit networks of the size that should reach `psnr`; give the smallest file that does, or else the best.

    The first guess is the rate at which ordinary photographs have that quality; each fit then corrects it, on the
    line through the last two, or with the usual gain a doubling of the parameters.
    """
    pixels = len(job.signal)
    params = rate_for(psnr) * pixels / job.preset.bits
    tried: list[tuple[float, _Coded]] = []
    for _ in range(_PSNR_FITS):
        network = build(params)
        if any(network == coded.field for _, coded in tried):
            break
        coded = replace(job, checkpoint=_beside(job.checkpoint, f"-{network.width}")).run(network, min_psnr=psnr)
        tried.append((math.log2(network.num_params), coded))
        # A fit a little above the target is right: what is too good is spent on coarser coding.
        if coded.interrupted or psnr + 0.05 <= coded.fit_psnr <= psnr + 0.5:
            break
        params = 2 ** min(_interpolate([(x, c.fit_psnr) for x, c in tried], psnr + 0.2), 64)
    reached = [coded for _, coded in tried if coded.psnr >= psnr]
    if reached:
        return min(reached, key=lambda coded: len(coded.blob))
    best = max((coded for _, coded in tried), key=lambda coded: coded.psnr)
    if best.field.width >= MAX_WIDTH:
        note = f"no width above {MAX_WIDTH} is tried by itself; name one with width, or a longer fit"
        return replace(best, notes=(*best.notes, note))
    return best


def _beside(path: PathLike | None, mark: str) -> Path | None:
    """A name of its own for the checkpoint of one of several fits."""
    return None if path is None else Path(path).with_stem(Path(path).stem + mark)


def _interpolate(points: list[tuple[float, float]], wanted: float, slope: float = 2.0) -> float:
    """The x at which a rising line has the value `wanted`: through the last two points, or of a given slope."""
    x, y = points[-1]
    if len(points) > 1 and points[-2][0] != x:
        measured = (y - points[-2][1]) / (x - points[-2][0])
        slope = min(max(measured, slope / 3), slope * 3)
    return x + (wanted - y) / slope


def _psnr(signal: ImageSignal, network: MLP, params: Mapping[str, Array]) -> float:
    """Quality of what a network renders of a picture."""
    return signal.quality(signal.spec.render(network.decoder(params), tile=_tile(network)))


def _sections(coded: Plan, blob: Blob) -> dict[str, int]:
    """Bytes by part of a file: each record, and "header" for everything else."""
    sizes = {name: len(record) for name, record in coded.records.items()}
    return sizes | {"header": len(blob) - coded.bytes}


def _evaluate(network: MLP, params: Mapping[str, Array], coords: Array) -> Array:
    """Values (n, b) of a network at coords (n, a), in tiles."""
    tile = _tile(network)
    tiles = (coords[i : i + tile] for i in range(0, len(coords), tile))
    return np.concatenate(list(map_tiles(network.decoder(params), tiles)))


def _tile(network: MLP) -> int:
    """Samples that a wide network evaluates at once: its activations stay within a few MB."""
    return max(16, min(TILE, _TILE_NUMBERS // network.widest))


def _hundredths(db: float) -> int | None:
    """A quality in dB for the header, in 1/100 dB, rounded down."""
    return (
        None
        if math.isnan(db)
        else int(min(max(math.floor(100 * db), 0), MAX_QUALITY) if db < math.inf else MAX_QUALITY)
    )


# -- decode ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Decoder:
    """A `.sinr` file of a signal, opened: call it at coordinates, or render it at any size.

    Attributes
    ----------
    header
        What the file says about itself.
    network, params
        The field and its decoded weights.
    spec
        Shape, dtype and conventions of the source.
    limits
        What a rendering may take.
    """

    header: Header
    network: MLP
    params: Params
    spec: ImageSpec
    limits: Limits = DEFAULT_LIMITS

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the source."""
        return self.spec.shape

    def __call__(self, coords: Array) -> Array:
        """Values float32 (..., b), not clipped, at coords (..., a) in the field's domain [-1, 1]^a."""
        try:
            # Through float64: what is no real number (complex, text) is refused.
            coords = np.asarray(coords).astype(np.float64, casting="same_kind").astype(np.float32)
        except (TypeError, ValueError) as error:
            raise InputError(f"coords: expected an array of numbers ({error})") from error
        if coords.shape[-1:] != (self.network.in_features,):
            raise InputError(f"coords: expected shape (..., {self.network.in_features}), found {coords.shape}")
        flat = coords.reshape(-1, self.network.in_features)
        outputs = self.network.out_features
        values = _evaluate(self.network, self.params, flat) if len(flat) else np.zeros((0, outputs), np.float32)
        return values.reshape(*coords.shape[:-1], outputs)

    def render(
        self, *, scale: float | None = None, size: tuple[int, int] | None = None, region: Region | None = None
    ) -> Array:
        """Render samples of the source's dtype; see `signals.image.ImageSpec.render`."""
        positions = self.limits.max_work // self.network.num_params
        return self.spec.render(
            self.network.decoder(self.params),
            scale=scale,
            size=size,
            region=region,
            tile=_tile(self.network),
            max_samples=min(self.limits.max_samples, positions * self.spec.channels),
        )

    def image(self, **options: Any) -> Image.Image:
        """Render a Pillow image in the source's mode; options as for `render`."""
        return self.spec.image(self.render(**options))


def open(source: Source, *, limits: Limits = DEFAULT_LIMITS) -> Decoder:
    """Open a `.sinr` file of a signal: its weights are decoded, nothing is rendered yet.

    Raises
    ------
    FormatError : a file that breaks the format, or goes beyond the limits
    InputError : no such file, or one that holds a network instead of a signal
    """
    header, sections = _load(source, limits)
    with _naming(source):
        return _open(header, sections, limits)


def _open(header: Header, sections: list[bytes], limits: Limits) -> Decoder:
    if header.kind != FIELD:
        raise InputError("holds the weights of a network, not a signal; use decompress")
    network = field_from_header(header.field, limits.max_params)
    spec = ImageSpec.from_header(header.signal)
    if (network.in_features, network.out_features) != (spec.in_features, spec.out_features):
        raise MalformedError("the field's coordinates and values are not those of the signal")
    limits.check("max_samples", math.prod(spec.shape))
    return Decoder(header, network, _params(network, sections), spec, limits)


def decode(
    source: Source,
    out: PathLike | None = None,
    *,
    scale: float | None = None,
    size: tuple[int, int] | None = None,
    region: Region | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> Array:
    """Decode a `.sinr` file of a picture, whole or in part, at any size.

    Parameters
    ----------
    source
        A file or its bytes.
    out
        Picture to write, in a format that Pillow knows by the name; the mode is the source's.
    scale
        Factor on the source's size.
    size
        (h, w) of the result.
    region
        (left, top, right, bottom) in pixels of the source.
    limits
        What this reader is willing to allocate.

    Returns
    -------
    array (h, w) or (h, w, C) of the source's dtype
    """
    if out is not None:
        check_output(out, source)
    decoder = open(source, limits=limits)
    array = decoder.render(scale=scale, size=size, region=region)
    if out is not None:
        decoder.spec.save(array, out)
    return array


def _load(source: Source, limits: Limits) -> tuple[Header, list[bytes]]:
    if isinstance(source, bytes | bytearray | memoryview):
        with _naming(source):
            return read(bytes(source), limits)
    return load(source, limits)


def _params(network: MLP, sections: list[bytes]) -> Params:
    """Decode the one section of a field: its parameters in the order of `MLP.shapes`."""
    dtypes = network.dtypes()
    return _tensors([(name, shape, dtypes[name]) for name, shape in network.shapes().items()], sections)


def _tensors(manifest: list[tuple[str, tuple[int, ...], Any]], sections: list[bytes]) -> Params:
    if len(sections) != 1:
        raise MalformedError(f"expected one section, found {len(sections)}")
    reader = Reader(sections[0])
    params = {name: decode_tensor(reader, shape, dtype) for name, shape, dtype in manifest}
    reader.end()
    return params


# -- compress --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CompressReport:
    """What `compress_report` made.

    Attributes
    ----------
    path
        Where the file was written, or None.
    bytes
        Size of the file.
    weights
        Numbers in all tensors.
    baseline_bytes
        The same tensors at 16 bits, min-max quantised, through Brotli: what the SINR paper codes for everybody.
    fidelity
        Measured PSNR in dB of the decoded network's outputs against the old ones, peak = their range; None where
        the architecture is unknown.
    psnr
        Of the decoded network against the signal, where one was given.
    criterion
        What bounded the loss, in words.
    field
        The architecture, where it was recognised.
    seconds, notes, sections, blob
        As in `EncodeReport`.
    """

    path: Path | None
    bytes: int
    weights: int
    baseline_bytes: int
    fidelity: float | None
    psnr: float | None
    criterion: str
    field: MLP | None
    seconds: float
    notes: tuple[str, ...]
    sections: dict[str, int]
    blob: Blob = dataclasses.field(repr=False)


def compress(model: Any, out: PathLike | None = None, **options: Any) -> bytes:
    """Compress a trained coordinate network; see `compress_report` for the options. Returns the file's bytes."""
    return compress_report(model, out, **options).blob


def compress_report(
    model: Any,
    out: PathLike | None = None,
    *,
    preset: str = "balanced",
    fidelity: float = FIDELITY,
    signal: Any = None,
    max_drop: float = MAX_DROP,
    activation: Any = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> CompressReport:
    """Compress a trained coordinate network into a `.sinr` file that gives back the same keys, shapes and dtypes.

    The allowed loss is a fidelity of the outputs, which needs the architecture: it is recognised from keys, shapes
    and weights, with `activation` where these do not tell. With a signal it is `max_drop` of the quality on it.
    Where the architecture stays unknown, every tensor keeps a weight SNR of `fidelity` dB; a note says so.

    Parameters
    ----------
    model
        A file (.safetensors, .npz, or .pt, .pth, .ckpt read weights only), a torch module or a state dict.
    out
        File to write.
    preset
        "fast", "balanced", "best" or "paper".
    fidelity
        PSNR in dB of the new outputs against the old ones over the domain [-1, 1]^a, peak = their range.
    signal
        The picture that the network was trained on, in the codec's own coordinates.
    max_drop
        dB of PSNR on the signal that coding may cost.
    activation
        A `fields` activation, where it cannot be recognised.
    seed
        Of the dictionaries.
    progress
        Listens to the work.

    Raises
    ------
    InputError : a model, a signal or an argument that cannot be used
    """
    start = time.perf_counter()
    if out is not None:
        check_output(out, model)
    _check_positive("fidelity", fidelity)
    _check_positive("max_drop", max_drop)
    _check_seed(seed)
    _check_activation(activation)
    recipe = preset_named(preset)
    progress = progress or NullProgress()
    checkpoint = read_checkpoint(model)
    state, notes = checkpoint.state, list(checkpoint.skipped)
    known = recognise(state, activation)
    if known is not None:
        notes.append(known.reason)
    picture = None if signal is None else _signal_for(known, signal)
    entries = [TensorEntry(name, tensor.shape, tensor.dtype) for name, tensor in state.items()]
    header = Header(STATE, field=None if known is None else known.field.to_header(), tensors=entries)
    write(header, [])  # refuses what the format cannot hold before the work begins

    progress.start("code", 0)
    if recipe.paper:
        chosen, criterion = plan_paper(state, seed), "as published: 16-bit values, s from the width"
    elif known is None:
        chosen = plan_by_weights(state, fidelity)
        criterion = f"a weight SNR of {fidelity:g} dB in every tensor"
        notes.append("the architecture is unknown, so the outputs were not compared: name its activation to do so")
    else:
        if picture is not None:
            loss: Callable[[Mapping[str, Array]], float] = partial(_signal_loss, known, picture)
            limit, criterion = (
                max(loss(state), _NO_LOSS) * 10 ** (max_drop / 10),
                f"at most {max_drop:g} dB on the signal",
            )
        else:
            loss = _fidelity_loss(known, state)
            limit, criterion = 10 ** (-fidelity / 10), f"a fidelity of {fidelity:g} dB"
        chosen = plan(
            state,
            loss,
            limit,
            exact=set(state) - set(known.names.values()),
            dictionaries=recipe.dictionaries,
            seed=seed,
            progress=progress.update,
        )
    measured = None if known is None else _db(_fidelity_loss(known, state, samples=_FIDELITY_CHECK)(chosen.params))
    header = replace(header, quality=None if measured is None else _hundredths(measured))
    blob = write(header, [b"".join(chosen.records.values())])
    if out is not None:
        write_bytes(out, blob)
    return CompressReport(
        path=Path(out) if out is not None else None,
        bytes=len(blob),
        weights=sum(entry.size for entry in entries),
        baseline_bytes=baseline_bytes(state),
        fidelity=measured,
        psnr=None if picture is None or known is None else _db(_signal_loss(known, picture, chosen.params)),
        criterion=criterion,
        field=None if known is None else known.field,
        seconds=time.perf_counter() - start,
        notes=tuple(notes),
        sections=_sections(chosen, blob),
        blob=blob,
    )


def _signal_for(known: Recognised | None, signal: Any) -> ImageSignal:
    if known is None:
        raise InputError("signal: the network's architecture is unknown, so it cannot be compared; name its activation")
    picture = ImageSignal.load(signal)
    if (known.field.in_features, known.field.out_features) != (picture.in_features, picture.out_features):
        raise InputError(
            f"signal: expected {known.field.in_features} coordinates and {known.field.out_features} values, as the "
            f"network has, found {picture.in_features} and {picture.out_features}"
        )
    return picture


def _signal_loss(known: Recognised, picture: ImageSignal, state: Mapping[str, Array]) -> float:
    return 10 ** (-_psnr(picture, known.field, known.params(state)) / 10)


def _fidelity_loss(
    known: Recognised, state: Mapping[str, Array], samples: int = _PROBE_SAMPLES
) -> Callable[[Mapping[str, Array]], float]:
    """Mean squared difference of a network's outputs from those of `state`, over the square of their range."""
    coords = _domain(known.field.in_features, samples)
    wanted = _evaluate(known.field, known.params(state), coords).astype(np.float64)
    span = float(np.ptp(wanted)) or 1.0

    def loss(candidate: Mapping[str, Array]) -> float:
        got = _evaluate(known.field, known.params(candidate), coords)
        return float(np.mean((got - wanted) ** 2)) / span**2

    return loss


def _domain(dimensions: int, samples: int) -> Array:
    """Cover [-1, 1]^a evenly with about `samples` points: cell centres up to a = 2, a Kronecker sequence beyond."""
    if dimensions <= 2:
        side = round(samples ** (1 / dimensions))
        axis = (2 * np.arange(side) + 1) / side - 1
        return np.stack(np.meshgrid(*[axis] * dimensions, indexing="ij"), -1).reshape(-1, dimensions).astype(np.float32)
    # The root of x^(a+1) = x + 1 gives the a-dimensional golden ratio, whose multiples spread evenly.
    root = 2.0
    for _ in range(64):
        root = (1 + root) ** (1 / (dimensions + 1))
    steps = root ** -np.arange(1.0, dimensions + 1)
    return (2 * ((0.5 + np.arange(1, samples + 1)[:, None] * steps) % 1) - 1).astype(np.float32)


def _db(loss: float) -> float:
    return -10 * math.log10(loss) if loss > 0 else math.inf


def decompress(source: Source, out: PathLike | None = None, *, limits: Limits = DEFAULT_LIMITS) -> Params:
    """Give back the tensors of a compressed network: the same keys in the same order, shapes and dtypes.

    `out` names a .safetensors, .npz, .pt, .pth or .ckpt file to write. A file of a signal gives its field's weights.
    """
    if out is not None:
        check_output(out, source)
    header, sections = _load(source, limits)
    with _naming(source):
        state = _state(header, sections, limits)
    if out is not None:
        write_checkpoint(state, out)
    return state


def _state(header: Header, sections: list[bytes], limits: Limits) -> Params:
    if header.kind == FIELD:
        return _params(field_from_header(header.field, limits.max_params), sections)
    return _tensors([(entry.name, entry.shape, entry.dtype) for entry in header.tensors], sections)


# -- look and check --------------------------------------------------------------------------------------------


def info(source: Source, *, limits: Limits = DEFAULT_LIMITS) -> dict[str, Any]:
    """Tell what a file holds, without decoding it: kind, field, bytes by part, how each tensor is coded.

    The result is ready for JSON.
    """
    header, sections = _load(source, limits)
    with _naming(source):
        size = header.header_bytes + sum(len(section) + 4 for section in sections)
        network = field_from_header(header.field, limits.max_params) if header.field is not None else None
        answer: dict[str, Any] = {
            "kind": "signal" if header.kind == FIELD else "network",
            "bytes": size,
            "quality_db": None if header.quality is None else header.quality / 100,
        }
        if network is not None:
            answer["field"] = network.describe()
            answer["parameters"] = network.num_params
        if header.kind == FIELD:
            assert network is not None
            spec = ImageSpec.from_header(header.signal)
            answer["signal"] = {
                "type": "image",
                "shape": list(spec.shape),
                "dtype": spec.dtype,
                "mode": spec.mode,
            }
            answer["bpp"] = 8 * size / (spec.height * spec.width)
            dtypes = network.dtypes()
            manifest = [(name, shape, dtypes[name]) for name, shape in network.shapes().items()]
        else:
            manifest = [(entry.name, entry.shape, entry.dtype) for entry in header.tensors]
            answer["parameters"] = sum(entry.size for entry in header.tensors)
        if len(sections) != 1:
            raise MalformedError(f"expected one section, found {len(sections)}")
        reader = Reader(sections[0])
        answer["tensors"] = [
            {"name": name, "shape": list(shape), "dtype": str(dtype)} | describe_tensor(reader, shape, dtype)
            for name, shape, dtype in manifest
        ]
        reader.end()
        coded = sum(tensor["bytes"] for tensor in answer["tensors"])
        answer["header_bytes"] = size - coded
        answer["bits_per_parameter"] = 8 * size / max(answer["parameters"], 1)
        return answer


@dataclass(frozen=True)
class VerifyReport:
    """What `verify` found: whether all is well, and one line for each check.

    `measured` is the quality in dB against what the file was compared with, `recorded` what the file promises.
    """

    ok: bool
    lines: tuple[str, ...]
    measured: float | None = None
    recorded: float | None = None


def verify(source: Source, against: Any = None, *, limits: Limits = DEFAULT_LIMITS) -> VerifyReport:
    """Check every checksum and decode everything; with `against`, measure the quality and compare it.

    `against` is the picture that was encoded, or the network that was compressed. The report is not ok where the
    quality is below what the file records.

    Raises
    ------
    SinrError : a file that is damaged or cannot be decoded
    """
    header, sections = _load(source, limits)
    recorded = None if header.quality is None else header.quality / 100
    lines = [f"checksums: {1 + len(sections)} of {1 + len(sections)} match"]
    with _naming(source):
        if header.kind == FIELD:
            decoder = _open(header, sections, limits)
            array = decoder.render()
            lines.append(f"decoded: {' x '.join(map(str, array.shape))} {array.dtype}")
        else:
            state = _state(header, sections, limits)
            lines.append(f"decoded: {len(state)} tensors, {sum(tensor.size for tensor in state.values()):,} numbers")
    if against is None:
        return VerifyReport(True, tuple(lines), None, recorded)
    if header.kind == FIELD:
        picture = ImageSignal.load(against, decoder.spec.grid)
        if picture.spec.dtype != decoder.spec.dtype:
            raise InputError(f"against: expected samples of {decoder.spec.dtype}, found {picture.spec.dtype}")
        measured, what = picture.quality(array), "PSNR"
    else:
        measured, what = _compare_networks(header, read_checkpoint(against).state, state)
    ok = recorded is None or measured >= recorded - _VERIFY_SLACK
    promise = "none recorded" if recorded is None else f"{recorded:.2f} dB recorded"
    lines.append(f"{what}: {measured:.2f} dB measured, {promise}: {'ok' if ok else 'BELOW'}")
    return VerifyReport(ok, tuple(lines), measured, recorded)


def _compare_networks(header: Header, old: Params, new: Params) -> tuple[float, str]:
    """Fidelity in dB of the outputs where the architecture is known, or else the SNR in dB of the worst tensor."""
    if {name: w.shape for name, w in old.items()} != {name: w.shape for name, w in new.items()}:
        raise InputError("against: expected the network that was compressed; its keys or shapes are others")
    if header.field is not None:
        network = field_from_header(header.field)
        known = recognise(old, network.activation)
        if known is not None:
            return _db(_fidelity_loss(replace(known, field=network), old, samples=_FIDELITY_CHECK)(new)), "fidelity"
    return min((_weight_snr(old[name], new[name]) for name in old), default=math.inf), "weight SNR of the worst tensor"


def _weight_snr(old: Array, new: Array) -> float:
    """SNR in dB of a tensor; scaled first, so that no square overflows."""
    kind = np.complex128 if old.dtype.kind == "c" else np.float64
    wide, other = old.astype(kind), new.astype(kind)
    if np.array_equal(wide, other, equal_nan=True):
        return math.inf
    scale = float(np.abs(wide).max())
    if not 0 < scale < math.inf:
        return -math.inf
    wide, other = wide / scale, other / scale
    return 10 * math.log10(float(np.sum(np.abs(wide) ** 2)) / float(np.sum(np.abs(wide - other) ** 2)))


@contextlib.contextmanager
def _naming(source: Source) -> Iterator[None]:
    """Put the source's name in front of messages about what is in it."""
    try:
        yield
    except SinrError as error:
        name = os.fspath(source) if isinstance(source, str | os.PathLike) else "the data"
        raise type(error)(f"{name}: {error}") from error
