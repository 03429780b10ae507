"""Targets: the choice of networks for a request, and whether the file meets it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from sinr_codec.container import DEFAULT_LIMITS, OWN_LIMITS
from sinr_codec.decoding import open
from sinr_codec.encoding.files import overhead
from sinr_codec.encoding.fitting import fit, quality_before_coding
from sinr_codec.encoding.job import Coded, Fitted, Job
from sinr_codec.encoding.plans import by_method, code, file_with
from sinr_codec.encoding.request import parsed_bound
from sinr_codec.encoding.worth import least_worth
from sinr_codec.errors import InputError, quoted
from sinr_codec.fields import Field
from sinr_codec.fields.modulated import LATENTS
from sinr_codec.methods import coinpp
from sinr_codec.methods.interlaced import interlaced
from sinr_codec.presets import LEAST_PARAMS, MAX_WIDTH, widest_within
from sinr_codec.quality import VERIFY_SLACK
from sinr_codec.signals.base import Spec

_NEAR_DB: Final = 0.3  # tolerated dB above a requested quality, where each further try is a fit
_LATENT_SHARE: Final = 2  # least rate as a multiple of the network's, for a network with latents
_HEADROOM: Final = 0.2, 0.6  # dB of a fit above a requested quality: plain, and trained for a byte budget
_QUALITY_FITS: Final = 3  # most fits in a search for a quality
_SLOPE: Final = 2.0  # usual gain in dB for twice the parameters or the rate
_SHORT: Final = 1 / 3  # share of the steps of a fit, for a fit that determines the size
_SHORT_DB: Final = 0.8, 0.45  # gain in dB of a full fit over the first short fit, and over the second
_FAR: Final = 0.5  # doublings of the parameters between networks above which another short fit is needed


def reach(job: Job) -> Coded:
    """Fit and code a job with the stage for its target."""
    request = job.request
    if job.base is not None:
        return from_base(job)
    if request.bounded:
        return within_error(job)
    if job.method is not None and job.method.training.weighted:
        return at_weight(job)
    if job.method is not None and job.method.training.network is not None:
        return at_trained_rate(job, job.method.training.network)
    if job.psnr is not None and request.width is None:
        return at_quality(job, job.psnr)
    width = job.recipe.default_width(job.spec)
    if request.width is None and job.budget is None and width is not None and job.spec.parts == 1:
        return code(job, fit(job, job.network(width)))
    return at_rate(job)


# -- stages ----------------------------------------------------------------------------------------------------


def from_base(job: Job) -> Coded:
    """Code the signal's own parameters beside a base."""
    base, method, part = job.base, job.method, job.signal.parts[0]
    assert base is not None
    assert method is not None
    network: Any = base.network(job.spec)
    if not base.field.latents:
        return code(job, fit(job, network))
    job.progress.start("adapt", 0)
    DEFAULT_LIMITS.check("max_params", network.num_params)
    fitted = [{LATENTS: coinpp.latents_of(base, part, network.sizes, job.device, job.preset.inner_steps)}]
    quality = quality_before_coding(job, network, [network.decoder(fitted[0])])
    coded, plans = by_method(job, method, network, fitted)
    return file_with(job, coded, plans, quality)


def at_rate(job: Job) -> Coded:
    """Fit the widest network for the requested rate or size, or the kind's default rate; or the requested width."""
    request, budget, spec = job.request, job.budget, job.spec
    rate = 8 * budget / spec.samples if budget is not None else job.recipe.rate
    params = rate * spec.samples / job.bits_a_param / spec.parts
    if budget is None:
        params = max(params, LEAST_PARAMS)
    else:
        params -= 8 * len(job.metadata) / job.bits_a_param / spec.parts
    network = widest_within(params, job.network) if request.width is None else job.network(request.width)
    within = budget
    if job.rated and budget is None and job.psnr is None:
        within = math.ceil(params * job.bits_a_param / 8 * spec.parts) + len(job.metadata)
    return code(job, fit(job, network, within), job.psnr)


def at_trained_rate(job: Job, network_for: Callable[..., Field]) -> Coded:
    """Fit networks trained for a rate; for a requested quality, at the rate that should reach it."""
    request, spec, db = job.request, job.spec, job.psnr
    if request.activation is not None:
        assert job.method is not None
        raise InputError(f"activation: method {job.method.name} has one of its own; leave it out")

    def network(bits: float) -> Field:
        return network_for(spec, bits, request.width, request.depth)

    def run(bits: float) -> Coded:
        named = job if db is None else job.with_checkpoint(f"-{bits:.4g}")
        named = replace(named, bits=bits)
        return code(named, fit(named, network(bits), job.budget))

    if db is None:
        return run(job.recipe.rate if job.budget is None else 8 * job.budget / spec.samples)
    rate = job.recipe.rate_at(db)
    least = _LATENT_SHARE * 8 * network(rate).network_params / spec.samples
    tried: list[Coded] = []
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


def at_weight(job: Job) -> Coded:
    """Fit networks that meet a rate or a quality by themselves, or have the weight of the preset without one."""
    assert job.method is not None
    build = job.method.training.network
    assert build is not None
    spec = job.spec
    rate = 0.0 if job.budget is None else 8 * job.budget / spec.samples
    network = build(spec, rate, job.request.width, job.request.depth)
    if job.request.activation is not None:
        raise InputError(f"activation: method {job.method.name} has one of its own; leave it out")
    if job.budget is not None:
        records = [bytes(job.budget // spec.parts)] * spec.parts
        left = job.budget - overhead(spec, network, records, 0, job.metadata) + len(spec.side)
        job = replace(job, bits=8 * max(left, 1) / spec.samples)
    return code(job, fit(job, network))


def within_error(job: Job) -> Coded:
    """Keep every sample within a bound; the file is decoded and compared before it counts.

    Raises
    ------
    InputError : a bound that the sample type or the file cannot keep
    """
    signal: Any = job.signal
    error = error_wanted(job)
    coded = code(job, fit(job, interlaced(signal, error / slope_of(job.spec))))
    job.progress.start("check the bound", 0)
    found = slope_of(job.spec) * signal.largest_error(open(coded.blob, limits=OWN_LIMITS).render)
    if found > error:
        raise InputError(f"max_error: {error:g} cannot be kept, the error is {found:g}; allow a little more")
    return coded


def error_wanted(job: Job) -> float:
    """The bound in units of the data; 0 without loss.

    Raises
    ------
    InputError : a unit that is not that of the data, or samples in floats that are to have no error
    """
    signal: Any = job.signal
    levels = signal.levels
    if job.request.lossless or job.request.max_error is None:
        if levels.dtype.startswith("float"):
            raise InputError(f"lossless: is for integers, and these are {levels.dtype}; bound the error with max_error")
        return 0.0
    number, unit = parsed_bound(job.request.max_error)
    if unit == "%":
        return number / 100 * float(levels.span) * slope_of(job.spec)
    if unit and unit != getattr(job.spec, "unit", unit):
        raise InputError(f"max_error: expected % or {job.spec.unit}, got {quoted(unit)}")  # type: ignore[attr-defined]
    return number


def slope_of(spec: Spec) -> float:
    """Units of the data for one unit of the stored samples."""
    return float(getattr(spec, "slope", 1.0))


def at_quality(job: Job, db: float) -> Coded:
    """Fit networks of the size that should reach `db`; code the smallest that does, or else the best."""
    fits = _fits_for_quality(job, db)
    tried: list[Coded] = []
    for fitted in [each for each in fits if each.quality >= db] or [max(fits, key=lambda each: each.quality)]:
        tried.append(code(job, fitted, db))
        if tried[-1].quality.db < db <= fitted.quality - job.max_drop:
            tried.append(code(job, fitted))  # over all samples there was no excess to lose
        if tried[-1].quality.db >= db:
            break
    best = _best(tried, db)
    if best.quality.db < db and any(fitted.network.width >= MAX_WIDTH for fitted in fits):
        note = f"no width above {MAX_WIDTH} is tried by itself; name one with width, or a longer fit"
        return replace(best, notes=(*best.notes, note))
    return best


def _fits_for_quality(job: Job, db: float) -> list[Fitted]:
    """Full fits of networks that should reach `db`, the smallest first.

    The first guess is the rate at which typical signals have that quality. A short fit shows how much this signal
    differs. If it differs much, a second short fit shows the gain of more parameters. Full fits follow until one is
    near the target. Each fit continues from the one before.
    """
    spec = job.spec
    params = job.recipe.rate_at(db) * spec.samples / job.bits_a_param / spec.parts
    headroom, slope = _HEADROOM[job.rated], _SLOPE
    grows = job.network(MAX_WIDTH).GROWS
    last: Fitted | None = None
    fits: list[Fitted] = []
    shorts: list[tuple[float, float]] = []  # log2 of the parameters, and the expected dB of a full fit
    points: list[tuple[float, float]] = []  # the same for full fits, measured
    while len(fits) < _QUALITY_FITS:
        network = widest_within(params, job.network)
        if any(network == fitted.network for fitted in fits):
            if fits[-1].quality >= db or network.width == MAX_WIDTH:
                break
            network = job.network(max(fitted.network.width for fitted in fits) + 1)
        size = math.log2(network.num_params)
        far = last is not None and abs(size - math.log2(last.network.num_params)) > _FAR
        short = grows and not fits and (not shorts or (far and len(shorts) < len(_SHORT_DB)))
        share = _SHORT if short else 0.5 if fits and grows and not far else 1.0
        named = job.with_checkpoint(f"-{network.width}" + ("-short" if short else ""))
        last = fit(named, network, start=last if grows else None, share=share)
        if short:
            shorts.append((size, last.quality + _SHORT_DB[len(shorts)]))
        else:
            fits.append(last)
            points.append((size, last.quality))
        # A fit should be slightly above the target: coarser coding uses the excess.
        if last.interrupted or (not short and db + headroom / 4 <= last.quality <= db + headroom + 0.3):
            break
        slope = _slope(points or shorts, slope)
        params = 2 ** min(size + (db + headroom - (points or shorts)[-1][1]) / slope, 64)
    assert last is not None
    return sorted(fits or [last], key=lambda fitted: fitted.network.num_params)


def _best(tried: list[Coded], db: float) -> Coded:
    """The smallest file with at least a quality of `db`, or else the file with the best quality."""
    reached = [coded for coded in tried if coded.quality.db >= db]
    if reached:
        return min(reached, key=lambda coded: len(coded.blob))
    return max(tried, key=lambda coded: coded.quality.db)


def _slope(points: list[tuple[float, float]], usual: float = _SLOPE) -> float:
    """Slope through the last two points, within a factor of 3 of `_SLOPE`; the usual slope for one point."""
    if len(points) < 2 or points[-2][0] == points[-1][0]:
        return usual
    (x0, y0), (x1, y1) = points[-2:]
    return min(max((y1 - y0) / (x1 - x0), _SLOPE / 3), _SLOPE * 3)


# -- outcome of a target -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """A target in words, whether the file meets it, and remarks; None and None without a target.

    `collapsed` tells whether the file is hardly better than the signal's mean, `shortfall` in words why it is not what
    was asked for.
    """

    target: str | None
    met: bool | None
    notes: tuple[str, ...] = ()
    shortfall: str | None = None
    collapsed: bool = False


def outcome(job: Job, coded: Coded) -> Outcome:
    """Whether a file meets the requested target, and whether it is worth anything."""
    found = _against_target(job, coded)
    if (least := least_worth(job.signal, coded.quality.db, job.seed, job.psnr)) is None:
        return found
    remedy = "allow more bytes, another width or another seed"
    if job.base is not None:
        remedy = "learn the base for longer, or from signals like this one"
    elif coded.interrupted or job.request.seconds is not None:
        remedy = "allow more time"
    note = f"hardly better than the signal's mean: {coded.quality.db:.2f} dB, less than {least:.2f} dB; {remedy}"
    return replace(found, notes=(note, *found.notes), shortfall=note, collapsed=True)


def _against_target(job: Job, coded: Coded) -> Outcome:
    """Whether a file meets the requested target."""
    request, budget = job.request, job.budget
    if request.bounded:
        return Outcome("no error" if request.lossless else f"a largest error of {error_wanted(job):g}", True)
    if job.psnr is not None:
        met, target, reached = coded.quality.db >= job.psnr, f"{job.psnr:g} dB", coded.quality.db
        if request.snr is not None:
            target, reached = f"{request.snr:g} dB SNR", request.snr + reached - job.psnr
        missed = f"the target of {target} was missed: {reached:.2f} dB"
        return Outcome(target, met) if met else Outcome(target, met, (missed,), missed)
    if budget is None:
        return Outcome(None, None)
    target, met = f"{request.size:,} bytes" if request.size is not None else f"{request.bpp:g} bpp", True
    if len(coded.blob) > budget:
        why = "" if request.width is not None or job.method is not None else ", of the smallest network that is tried"
        smallest = len(coded.blob) > 1.05 * budget
        missed = f"the target of {target} was missed: {len(coded.blob):,} bytes{why if smallest else ''}"
        return Outcome(target, False, (missed,), missed)
    lost = coded.fit_quality - coded.quality.db
    planned = job.method is None and not job.preset.paper and not job.rated
    if planned and lost > job.max_drop + VERIFY_SLACK:
        return Outcome(target, met, (f"coding for this size cost {lost:.2f} dB; a narrower network may be better",))
    return Outcome(target, met)
