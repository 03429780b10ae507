"""`learn`: a base from a folder of signals."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np

from sinr_codec.arguments import check_positive, check_replaceable, check_seed
from sinr_codec.bases import Base, load_signal, make_base, read_base, sizes_of, with_model
from sinr_codec.errors import InputError, quoted
from sinr_codec.fields import MLP, AnyActivation, AnyEncoding, Identity, Modulated, Sine
from sinr_codec.fields.latents import LatentModel
from sinr_codec.fields.modulated import LATENTS, MODULATION
from sinr_codec.files import check_output, write_bytes
from sinr_codec.methods.coinpp import some_of
from sinr_codec.progress import Progress, Steps, with_display
from sinr_codec.reports import Report
from sinr_codec.sections import Source
from sinr_codec.signals import lattice
from sinr_codec.signals.base import Part, Signal, Spec
from sinr_codec.types import Array, Options, Params, PathLike

if TYPE_CHECKING:
    from torch import Tensor

    from sinr_codec.fit.meta import MetaConfig
    from sinr_codec.fit.tasks import Tasks

LEVELS: Final = 63
SIGMAS: Final = 6.0
"""Levels of a latent, and the standard deviations from its mean to the outermost. COIN++ has 32 and 3 for pictures
(section 4.3): the same step, but it clips the latents of detailed patches. Rare levels cost little with a range coder.
"""
_CALIBRATION: Final = 4096  # most tasks for the histograms of latents
_PER_LATENT: Final = 16  # tasks per latent for the principal axes
_LEAST_REACH: Final = 1e-30  # for a constant latent
_HELD_OUT: Final = 256  # most tasks that are measured of a held-out signal, evenly chosen


@dataclass(frozen=True)
class Recipe:
    """Settings of a method's bases.

    Attributes
    ----------
    activation, encoding, width, depth
        The network.
    latents
        Number of latents of a signal or patch; 0 if the difference of all parameters is coded.
    patch
        Side of a patch by the number of axes; empty for whole signals.
    least
        For whole signals: the smallest crop, as a share of their sides.
    fit
        Settings of `fit.meta.MetaConfig`.
    """

    activation: AnyActivation
    encoding: AnyEncoding
    width: int
    depth: int
    latents: int
    patch: dict[int, int]
    least: float
    fit: Options

    def field(
        self,
        spec: Spec,
        width: int | None,
        depth: int | None,
        activation: AnyActivation | None,
        encoding: AnyEncoding | None,
        latents: int | None,
    ) -> MLP | Modulated:
        """The network for signals like this one; None for what the method has."""
        mlp = MLP(
            spec.in_features,
            spec.out_features,
            self.width if width is None else width,
            self.depth if depth is None else depth,
            activation or self.activation,
            self.encoding if encoding is None else encoding,
        )
        return Modulated(mlp, self.latents if latents is None else latents) if self.latents else mlp


RECIPES: Final = {
    # 5 layers of 300 as in SINR's paper. omega0 = 30 learns faster than the published 50, and learned rates help.
    "coinpp": Recipe(
        Sine(30.0),
        Identity(),
        300,
        3,
        64,
        {1: 200, 2: 32, 3: 16},
        1.0,
        {"tasks": 64, "inner_rate": 1e-2, "learn_rates": True, "rates_lr": 1e-2, "lr": 5e-4},
    ),
    "inric-meta": Recipe(
        Sine(30.0),
        Identity(),
        64,
        3,
        0,
        {},
        0.3,
        {"tasks": 8, "inner_rate": 1e-2, "learn_rates": True, "rates_lr": 1e-2, "lr": 1e-3},
    ),
}


@dataclass(frozen=True, repr=False)
class LearnReport(Report):
    """Result of `learn`.

    Attributes
    ----------
    path
        File of the base, or None.
    bytes, receiver_bytes
        Size of the file, and of the part that a receiver needs.
    digest
        The base's name, hexadecimal.
    method, field
        Method and network.
    signals, steps, seconds, interrupted
        Number of signals; steps and time of the learning; whether Ctrl-C ended it.
    curve
        Learning curve, see `fit.meta.Learned`.
    base
        The base.
    """

    path: Path | None
    bytes: int
    receiver_bytes: int
    digest: str
    method: str
    field: MLP | Modulated
    signals: int
    steps: int
    seconds: float
    interrupted: bool
    curve: tuple[dict[str, float], ...]
    base: Base

    @property
    def title(self) -> str:
        """Path of the file, or what it is."""
        return "base" if self.path is None else str(self.path)

    def rows(self) -> Iterator[tuple[str, str]]:
        """Names and values for a table."""
        yield "name", self.digest
        yield "size", f"{self.bytes:,} bytes; {self.receiver_bytes:,} to decode with"
        yield "learned", f"{self.steps:,} steps on {self.signals} signal(s), {self.seconds:.0f} s"
        yield "how", f"{self.method}, {self.field.describe()}"
        if self.curve and "psnr" in self.curve[-1]:
            yield "held out", f"{self.curve[-1]['psnr']:.2f} dB"


@with_display
def learn(
    sources: Sequence[object],
    out: PathLike | None = None,
    *,
    method: str = "coinpp",
    held_out: Sequence[object] = (),
    width: int | None = None,
    depth: int | None = None,
    activation: AnyActivation | None = None,
    encoding: AnyEncoding | None = None,
    latents: int | None = None,
    patch: Sequence[int] | None = None,
    kind: str | None = None,
    steps: int | None = None,
    seconds: float | None = None,
    levels: int = LEVELS,
    sigmas: float = SIGMAS,
    start: Base | Source | None = None,
    seed: int = 0,
    device: str = "cpu",
    checkpoint: PathLike | None = None,
    log: PathLike | None = None,
    progress: Progress | bool | None = None,
    **settings: Any,
) -> LearnReport:
    """Learn a network that signals of a kind share, and write it as a base for `encode`.

    Parameters
    ----------
    sources
        Signals, or folders of them.
    out
        File to write.
    method
        "coinpp" (latents that modulate a shared network) or "inric-meta" (initial values of all parameters).
    held_out
        Signals for the PSNR of the learning curve.
    width, depth, activation, encoding, latents
        The network, if it is not the method's.
    patch
        Samples of a patch by axis; empty for none.
    kind
        Kind of the sources, if it cannot be recognised.
    steps, seconds
        Budget of the learning; 0 steps only count the latents of `start` again.
    levels, sigmas
        Levels of a quantised latent, and standard deviations from the mean to the outermost.
    start
        A base for a warm start, with the same network and patches. With fewer latents, the principal directions of the
        signals' latents are kept; with more, fresh ones are added.
    seed, device, checkpoint, log, settings
        As in `fit.meta.MetaConfig`.
    progress
        Hears of the progress; True for the usual display.

    Raises
    ------
    InputError : unreadable signals, signals with unequal coordinates or values, invalid arguments
    """
    _check_arguments(method, out, seed, levels, sigmas)
    recipe, began, display = RECIPES[method], time.perf_counter(), cast(Progress, progress)
    display.start("read", 0)
    signals = [load_signal(source, kind, {}) for source in _files(sources)]
    tests = [load_signal(source, kind, {}) for source in _files(held_out)]
    if not signals:
        raise InputError("signals: expected at least one to learn from")
    spec = signals[0].spec
    shape = _patch_shape(patch, recipe, spec)
    field = recipe.field(spec, width, depth, activation, encoding, latents)

    display.start("load PyTorch", 0)
    from sinr_codec.fit import meta

    config = meta.MetaConfig(
        steps=steps,
        seconds=seconds,
        seed=seed,
        device=device,
        checkpoint=None if checkpoint is None else Path(checkpoint),
        log=None if log is None else Path(log),
        **{**recipe.fit, **settings},
    )
    tasks, draws = (_tasks(signals, shape, recipe.least, seed + more, device) for more in (0, 1))
    own = field.adapted() if field.latents else None
    begin = None if start is None else _begun(start, field, shape, draws, config, seed)
    evaluate = meta.held_out([_held_out(test, shape, device) for test in tests], config.tasks) if tests else None
    learned = meta.learn(
        field, tasks, config, own=own, evaluate=evaluate, start=begin, progress=Steps(display, "learn", _psnr)
    )
    if learned.interrupted and not learned.steps:
        raise KeyboardInterrupt("interrupted before the first step: nothing was written")
    base = make_base(field, learned.params, shape, learned.rates)
    if field.latents:
        display.start("count latents", 0)
        # At most the tasks learned from; after 0 steps, latents of an existing base are counted again.
        batches = _calibrating(draws, config.tasks, learned.steps * config.tasks or _CALIBRATION)
        found = meta.adapted_to(field, base.params, learned.rates, batches, device)
        base = with_model(base, latent_model(found[LATENTS], levels, sigmas))
    blob = base.to_bytes()
    if out is not None:
        write_bytes(out, blob)
    return LearnReport(
        path=None if out is None else Path(out),
        bytes=len(blob),
        receiver_bytes=base.receiver_bytes,
        digest=base.digest.hex(),
        method=method,
        field=field,
        signals=len(signals),
        steps=learned.steps,
        seconds=time.perf_counter() - began,
        interrupted=learned.interrupted,
        curve=learned.curve,
        base=base,
    )


def _check_arguments(method: str, out: PathLike | None, seed: int, levels: int, sigmas: float) -> None:
    if method not in RECIPES:
        raise InputError(f"method: expected one of {', '.join(RECIPES)} to learn for, got {quoted(method)}")
    if out is not None:
        check_output(out)
        check_replaceable(out)
    check_seed(seed)
    check_positive("sigmas", sigmas)
    if type(levels) is not int or not 2 <= levels <= 1024:
        raise InputError(f"levels: expected 2 to 1024, got {quoted(levels)}")


def _is_gridded(spec: Spec) -> bool:
    """Whether the samples lie on a grid; points on a sphere do not."""
    return spec.KIND != "dataset"


def _patch_shape(patch: Sequence[int] | None, recipe: Recipe, spec: Spec) -> tuple[int, ...]:
    """Samples of a patch by axis, empty for none; the method's where `patch` is None."""
    if patch is not None or not recipe.patch or not _is_gridded(spec):
        return tuple(patch or ())
    if spec.in_features not in recipe.patch:
        raise InputError(f"patch: expected one, signals have {spec.in_features} axes")
    return (recipe.patch[spec.in_features],) * spec.in_features


def _calibrating(draws: Tasks, at_once: int, tasks: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of tasks for the distribution of latents, `tasks` or `_CALIBRATION` in all."""
    return (draws.draw(at_once) for _ in range(-(-min(tasks, _CALIBRATION) // at_once)))


def _begun(
    start: Base | Source, field: MLP | Modulated, shape: tuple[int, ...], draws: Tasks, config: MetaConfig, seed: int
) -> tuple[Params, Params]:
    """Parameters and rates of another base, for a network with the same or another number of latents."""
    from sinr_codec.fit import meta

    other = start if isinstance(start, Base) else read_base(start)
    known: Any = other.field
    same = bool(field.latents) == bool(known.latents)
    if not same or other.patch != shape or field.mlp != known.mlp:
        raise InputError(f"start: is a base of {known.describe()}, expected the network that is learned")
    if other.rates is None:
        raise InputError("start: has no rates; expected the file that `sinr learn` wrote")
    if field == known or not field.latents:
        return other.params, other.rates
    params = dict(other.params)
    rates = other.rates[LATENTS].mean(1, keepdims=True).repeat(field.latents, 1)
    matrix = params[MODULATION]
    if field.latents > known.latents:
        fresh = field.init(np.random.default_rng(seed))[MODULATION]
        fresh[:, : known.latents] = matrix
        return params | {MODULATION: fresh}, {LATENTS: rates}
    batches = _calibrating(draws, config.tasks, _PER_LATENT * known.latents)
    found = meta.adapted_to(known, other.params, other.rates, batches, config.device)[LATENTS].astype(np.float64)
    mean = found.mean(0)
    axes = np.linalg.eigh(np.cov(found, rowvar=False))[1][:, ::-1][:, : field.latents]
    params[MODULATION] = (matrix @ axes).astype(np.float32)
    return known.shifted(params, (matrix @ mean).astype(np.float32)), {LATENTS: rates}


def latent_model(latents: Array, levels: int, sigmas: float) -> LatentModel:
    """Quantiser and histograms of latents (n, d)."""
    mean, reach = latents.mean(0), np.maximum(sigmas * latents.std(0), _LEAST_REACH)
    model = LatentModel(mean.astype(np.float32), reach.astype(np.float32), np.zeros((len(mean), levels), np.int64))
    symbols = model.quantised(latents)
    counts = np.stack([np.bincount(column, minlength=levels) for column in symbols.T])
    return replace(model, counts=counts.astype(np.int64))


def _psnr(loss: float) -> float | None:
    return float(10 * np.log10(4 / loss)) if loss > 0 else None


def _files(sources: Sequence[object]) -> list[object]:
    """The sources, with folders replaced by the files in them."""
    found: list[object] = []
    for source in sources:
        if isinstance(source, str | Path) and Path(source).is_dir():
            found += sorted(p for p in Path(source).iterdir() if p.is_file() and not p.name.startswith("."))
        else:
            found.append(source)
    return found


def _tasks(signals: Sequence[Signal], shape: tuple[int, ...], least: float, seed: int, device: str) -> Tasks:
    """The source of tasks."""
    from sinr_codec.fit.tasks import Crops, Tables

    if not _is_gridded(signals[0].spec):
        if shape:
            raise InputError("patch: points of a sphere are no grid; expected none")
        return Tables([_part(signal) for signal in signals], seed=seed, device=device)
    arrays = [lattice.values_of(signal.parts[0], sizes_of(signal.spec)) for signal in signals]
    axes = arrays[0].ndim - 1
    # MAML overfits a few signals (28 pictures): mirroring and permuting axes and channels makes more of them.
    return Crops(arrays, shape or None, least=least, mirror=[True] * axes, mix=True, seed=seed, device=device)


def _part(signal: Signal) -> Part:
    """The samples of a signal without gaps."""
    part = signal.parts[0]
    if np.abs(part.batch(np.arange(len(part)))[1]).max() > 2:
        raise InputError("signals: expected no gaps in what a base is learned from")
    return part


def _held_out(signal: Signal, shape: tuple[int, ...], device: str) -> tuple[Tensor, Tensor]:
    """A held-out signal as tasks for `fit.meta.held_out`: its patches, or one task of some of its samples."""
    import torch

    from sinr_codec.fit.tasks import box_coords, patches_of

    if shape:
        coords = box_coords(shape)
        tasks = torch.from_numpy(patches_of(lattice.values_of(signal.parts[0], sizes_of(signal.spec)), shape))
        if len(tasks) > _HELD_OUT:
            tasks = tasks[torch.linspace(0, len(tasks) - 1, _HELD_OUT).long()]
    else:
        coords, tasks = some_of(signal.parts[0])
    return coords.to(device), tasks.to(device)
