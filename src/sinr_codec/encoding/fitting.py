"""Fits of one network for each part of a signal, sequential or parallel."""

import math
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, cast

import numpy as np

from sinr_codec.container import DEFAULT_LIMITS
from sinr_codec.encoding.files import overhead
from sinr_codec.encoding.job import Fitted, Job, beside
from sinr_codec.encoding.words import describe_field, plan_in_words, quality_in_words
from sinr_codec.evaluators import tile_of
from sinr_codec.fields.base import Field, Growing
from sinr_codec.methods import inric
from sinr_codec.methods.base import trainable_of
from sinr_codec.progress import Steps, Together, acknowledge, say
from sinr_codec.quality import NO_LOSS, decibels
from sinr_codec.signals.base import Apply, Fields, SampledPart
from sinr_codec.types import Options, Params

if TYPE_CHECKING:
    from sinr_codec.fit import FitResult

_LARGE: Final = 1 << 21  # positions of a signal above which it is rendered only after coding, not before
_MOST_FITS: Final = 4  # in parallel; a third of a step is Python code, which the interpreter lock serialises
_FEW: Final = 1 / 4  # share of the preset's steps below which a fit in seconds is short
_PLANES_COST: Final = 0.02  # share of the bytes, which a plan does not count


def fit(
    job: Job, network: Field, max_bytes: int | None = None, start: Fitted | None = None, share: float = 1.0
) -> Fitted:
    """Fit a network to each part in a share of the time, possibly starting from a network of another width."""
    DEFAULT_LIMITS.check("max_params", network.num_params * len(job.signal.parts))
    budgets = _budgets(job, network, max_bytes)
    if (number := next(job.numbers)) == 1:
        say(job.progress, plan_in_words(job, network, max_bytes))
    job.progress.start("load PyTorch" if number == 1 else "prepare", 0)
    results = _Fits(job, network, budgets, start, share, number).results()
    notes = _remarks(job, results)
    done = [result for result in results if result is not None]
    params = [result.params for result in done]
    steps = min(result.steps for result in done) + (0 if start is None else start.steps)
    quality = quality_before_coding(job, network, [network.decoder(each) for each in params])
    return Fitted(network, params, steps, quality, budgets, any(result.interrupted for result in done), notes)


def quality_before_coding(job: Job, network: Field, decoders: Sequence[Apply]) -> float:
    """Quality of the uncoded networks; for a large signal with independent samples, on a subset."""
    parts, tile = job.signal.parts, tile_of(network)
    if job.spec.samples <= _LARGE or not all(isinstance(part, SampledPart) for part in parts):
        return job.signal.quality(partial(job.spec.render, Fields(decoders, tile))).db
    errors = [part.objective(job.samples, job.seed)(apply, tile) for part, apply in zip(parts, decoders)]
    return decibels(float(np.average(errors, weights=[len(part) for part in parts])))


def threads_for(job: Job) -> int:
    """Number of parts fitted in parallel: on a CPU, the number of PyTorch threads, up to `_MOST_FITS`."""
    import torch

    count = min(job.spec.parts, _MOST_FITS)
    return min(count, torch.get_num_threads()) if job.device == "cpu" else 1


class _Fits:
    """The fits of all parts."""

    def __init__(
        self, job: Job, network: Field, budgets: list[int | None], begin: Fitted | None, share: float, number: int
    ) -> None:
        from sinr_codec.fit.optim import load

        load()
        search = number > 1 or (job.psnr is not None and job.request.width is None)
        self._label = f"fit {number} for {quality_in_words(job)}, {describe_field(network)}" if search else "fit"
        self._job, self._network, self._budgets, self._begin = job, network, budgets, begin
        self._threads = threads_for(job)
        self._settings = self._settings_for(share)
        self._stopped = threading.Event()
        self._together: Together | None = None

    def results(self) -> list["FitResult | None"]:
        """A result for each part; None for parts not started before an interrupt."""
        from sinr_codec.fit.interrupt import Interrupt
        from sinr_codec.fit.kernels import side_by_side

        count = len(self._job.signal.parts)
        if self._threads == 1:
            return [self._fitted(number) for number in range(count)]
        self._together = Together(self._job.progress, f"{self._label} {count} blocks", count, self._stopped.is_set)
        with Interrupt(self._stop):
            return list(side_by_side(self._fitted, count, self._threads))

    def _stop(self) -> None:
        self._stopped.set()
        acknowledge(self._job.progress)

    def _settings_for(self, share: float) -> Options:
        """Settings of `FitConfig` common to all parts."""
        job, parts = self._job, self._job.signal.parts
        settings = job.recipe.settings(job.preset)
        if job.base is not None and settings.get("steps"):
            settings |= {"steps": inric.fewer(settings["steps"])}
        if self._threads > 1:
            settings |= {"compile": False}
        if job.request.seconds is not None:
            settings |= {"steps": None, "seconds": share * job.request.seconds / -(-len(parts) // self._threads)}
        elif settings.get("steps"):
            settings |= {"steps": math.ceil(share * settings["steps"])}
        if job.method is not None and job.method.training.weighted and job.psnr is not None:
            settings |= {"quality": job.psnr}
        if job.bits is not None:
            settings |= {"bits": (job.bits * job.spec.samples - 8 * len(job.spec.side)) / sum(map(len, parts))}
        return settings

    def _fitted(self, number: int) -> "FitResult | None":
        from sinr_codec.fit import FitConfig, fit

        if self._stopped.is_set():
            return None
        job, network, part = self._job, self._network, self._job.signal.parts[number]
        own = dict(self._settings)
        if job.rated:
            budget = self._budgets[number]
            bits = job.bits_a_param * network.num_params if budget is None else 8 * budget
            own |= {"bits": bits / len(part)}
        several = len(job.signal.parts) > 1
        checkpoint = beside(job.checkpoint, f"-{number}" if several else "")
        if checkpoint is not None:
            job.kept.append(checkpoint)
        config = FitConfig(seed=job.seed, device=job.device, checkpoint=checkpoint, keep_checkpoint=True, **own)
        result = fit(trainable_of(network, part), part, config, self._start(number), self._listener(number))
        if result.interrupted:
            self._stopped.set()
        return result

    def _start(self, number: int) -> Params | None:
        """Starting parameters for the fit of a part; None for new ones."""
        job, network, begin = self._job, self._network, self._begin
        if begin is not None:
            return cast(Growing, network).grown(begin.params[number], np.random.default_rng(job.seed))
        return None if job.base is None else inric.start_of(job.base, job.signal.parts[number], job.device)

    def _listener(self, number: int) -> Callable[[int, int, float], None]:
        if self._together is not None:
            return self._together.steps(number)
        return Steps(self._job.progress, self._label + self._job.mark(number), self._job.signal.parts[number].decibels)


def _remarks(job: Job, results: Sequence["FitResult | None"]) -> tuple[str, ...]:
    """Remarks on irregular fits; `KeyboardInterrupt` if an interrupt left parts without a network."""
    notes = []
    for number, result in enumerate(results):
        if result is None or (result.interrupted and (number + 1 < len(results) or not result.steps)):
            where = f" in part {number + 1} of {len(results)}" if len(results) > 1 else " before the first step"
            remedy = "the same command goes on" if job.checkpoint is not None else "with a checkpoint it would go on"
            raise KeyboardInterrupt(f"interrupted{where}: nothing was written; {remedy}")
        mark = job.mark(number)
        if result.restarts:
            notes.append(f"the fit{mark} diverged and began anew {result.restarts} time(s) with a lower rate")
        usual = job.steps
        few = job.request.seconds is not None and result.steps < _FEW * usual
        remedy = f"only {result.steps} steps ran, allow more seconds" if few else "try another width or seed"
        if result.failed:
            notes.append(f"the fit{mark} is no better than the signal's mean: {remedy}")
        elif few and not result.interrupted and result.loss > NO_LOSS:
            of = f"{result.steps:,} steps ran, where {job.preset.name} has {usual:,}"
            notes.append(f"the fit{mark} is not what it could be: {of}; allow more seconds")
        if result.interrupted:
            notes.append(f"the fit was interrupted after {result.steps:,} steps; the best network so far was kept")
    return tuple(notes)


def _budgets(job: Job, network: Field, max_bytes: int | None) -> list[int | None]:
    """Byte budget for the records of each part, in proportion to its samples."""
    parts = job.signal.parts
    if max_bytes is None:
        return [None] * len(parts)
    # Records never exceed the size of float64 numbers, whatever the budget.
    records = [bytes(min(max_bytes // len(parts), 8 * network.num_params)) for _ in parts]
    left = max_bytes - overhead(job.spec, network, records, job.planes, job.metadata)
    total = sum(len(part) for part in parts)
    if job.planes:
        left = int((1 - _PLANES_COST) * left)
    return [max(left * len(part) // total, 1) for part in parts]
