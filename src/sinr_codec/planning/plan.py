"""The choice of a coding for each tensor: the smallest file within a loss, or the best one within a size.

The loss of the whole network is quadratic near the trained weights, so with a sensitivity c_t of each tensor

    loss(coded) - loss(given)  ~  sum_t c_t |w_t - coded w_t|^2

and the best choice of each tensor at one slope of bytes against loss is the best choice for all together (a
Lagrangian). For uniform quantisation at such a slope, the step of tensor t is `kappa / sqrt(c_t)` with one `kappa` for
the whole network, since the error of a step is step^2 / 12 and halving it costs a bit a weight. The same holds for the
values of a sparse code, whose errors reach the weights through atoms of squared norm |a|^2. At a given `kappa` each
tensor takes the cheapest of its candidates: raw, direct, or sparse in several dictionaries and sparsities. Where the
sensitivity of the outputs to each weight is known, steps may differ by row and column (`scales`).

The model only orders the candidates. The search for `kappa` measures the `loss` of all decoded tensors together, and
that decides.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from sinr_codec.coding.assembled import Plan, assemble
from sinr_codec.coding.quantize import MIN_STEP
from sinr_codec.coding.sparse import SparseCode
from sinr_codec.coding.tensor import Coding, Direct, Raw, Sparse, direct_cost, is_lossy
from sinr_codec.devices import CPU
from sinr_codec.errors import InputError
from sinr_codec.planning.rounder import Rounded, Rounder
from sinr_codec.planning.sensitivity import Counter, Loss, probed, steeper
from sinr_codec.planning.tensors import PlannedTensor, mean_square
from sinr_codec.types import Array, Floats, Params

_TOLERANCE: Final = 0.02  # relative distance to the limit at which to stop; 1 % of kappa is 0.014 bit a weight
_TRIES: Final = 12
_JUMP: Final = 0.8  # a bracket that closes below this share of the limit is left
_BEYOND: Final = 1.2  # times kappa to try instead
_ROUNDED_TRIES: Final = 5  # each rounds the whole network
_SMALL: Final = 16  # elements; fewer are not worth a step
_FINER: Final = 2**-0.25
_LITTLE: Final = 0.03  # share of the bytes that scales must save, with a rounder
_NEAR: Final = 1.2  # times the least excess loss: as good as that


def plan(
    params: Params,
    loss: Loss,
    limit: float,
    *,
    probe: Loss | None = None,
    max_bytes: int | None = None,
    exact: Collection[str] = (),
    dictionaries: tuple[int, ...] = (1024, 8192),
    sparse_only: bool = False,
    trellis: bool = True,
    rounder: Rounder | None = None,
    felt: Params | None = None,
    seed: int = 0,
    device: str = CPU,
    progress: Callable[[int, str], None] | None = None,
) -> Plan:
    """Choose a coding for every tensor: the fewest bytes with ``loss(decoded) <= limit``.

    Parameters
    ----------
    params
        Tensors by name. Tensors that no quantiser takes (integers, non-finite values) are stored raw.
    loss
        Mean squared error >= 0 of the network's outputs with the given parameters. Called about 15 times.
    limit
        The largest loss allowed; must be above `loss(params)`.
    probe
        A cheaper loss in the same unit, on fewer samples, for the sensitivities; called at least twice a tensor.
    max_bytes
        If given, the plan has the least loss within this size, and `limit` is ignored.
    exact
        Names of tensors to store raw.
    dictionaries
        Sizes k2 of the random dictionaries to try; () leaves the sparse code out.
    sparse_only
        Give square weight matrices no candidates but sparse codes, to measure their cost. Where no such code keeps the
        limit, the plan is the nearest one.
    trellis
        Try trellis-coded quantisation beside rounding to the nearest level.
    rounder
        Chooses levels for the outputs of the network in place of the nearest ones; plans with it compete with those
        without.
    felt
        By name, the mean squared derivative of the outputs by each weight, of the tensor's shape as real numbers. Steps
        may differ within these tensors; others have one step.
    seed
        Seed of the dictionaries, and of the probes.
    device
        Device of the pursuits, see `omp.omp`.
    progress
        Called with the number of evaluations of either loss so far, and with that in words.

    Raises
    ------
    InputError
        The limit is not above the loss of the given parameters, or the device cannot be used.
    """
    counted = Counter(progress)
    base = counted(loss, dict(params))
    if max_bytes is None and not base < limit:
        raise InputError(f"limit: a loss of {limit:.4g} cannot be kept; the network itself has {base:.4g}")
    lossy = {name: w for name, w in params.items() if name not in exact and is_lossy(w)}
    tensors = probed(params, lossy, probe or loss, limit - base, counted, seed)
    if not tensors:
        return replace(_lossless(params), loss=base)
    search = _Search(params, loss, base, limit, max_bytes, counted, sparse_only)
    kappa = search.first_kappa(tensors)
    for tensor in tensors:
        tensor.trellis = trellis
        tensor.add_sparse(dictionaries, seed, device, sparse_only)
    variants = _variants(tensors, kappa, felt or {}, unscaled=rounder is not None)
    found = [search.settled(variant, kappa, probe or loss) for variant in variants]
    plans = [each.plan for each in found]
    if rounder is not None:
        plans += search.rounded(found, rounder, felt or {})
    kept = [plan for plan in plans if max_bytes is not None or plan.loss <= limit] or plans
    return min(kept, key=search.worth)


def plan_by_weights(params: Params, snr: float) -> Plan:
    """A plan without a loss: each tensor is coded so that its weights keep `snr` dB, which is measured.

    Tensors of fewer than 16 elements, constant ones, and those that no quantiser takes are stored raw.
    """
    return assemble(params, {name: _keeping(name, w, snr) for name, w in params.items()})


def _keeping(name: str, w: Array, snr: float) -> Coding:
    """The coarsest direct coding of a tensor that keeps `snr` dB of its weights, or `Raw`."""
    if not is_lossy(w) or w.size < _SMALL or (w == w.flat[0]).all() or not (power := mean_square(w)):
        return Raw()
    noise = 10 ** (-snr / 10)
    coding, _ = PlannedTensor(name, w, 1 / power).cheapest(math.sqrt(12 * noise))
    # The error of a step is step^2 / 12 only on average, and only for steps much smaller than the weights.
    while isinstance(coding, Direct) and coding.step is not None:
        if direct_cost(w, coding.step, coding.trellis)[1] <= noise * power * w.size:
            break
        finer = coding.step * _FINER
        coding = replace(coding, step=finer) if finer > MIN_STEP else Raw()
    return coding


def _lossless(params: Params) -> Plan:
    return assemble(params, {name: Raw() for name in params})


def _variants(tensors: list[PlannedTensor], kappa: float, felt: Params, unscaled: bool) -> list[list[PlannedTensor]]:
    """The tensors with scales where these pay; with `unscaled`, also those without.

    A rounder compensates errors of sensitive weights by others that are less sensitive, and these need fine steps for
    that. Where scales save little without a rounder, they therefore save nothing with it.
    """
    scaled, saved = [], 0.0
    for tensor in tensors:
        candidate, saving = tensor, 0.0
        if tensor.name in felt and tensor.w.ndim > 1:
            candidate, saving = tensor.with_scales(kappa, felt[tensor.name])
        scaled.append(candidate)
        saved += saving
    if all(tensor.scales is None for tensor in scaled):
        return [tensors]
    if not unscaled:
        return [scaled]
    plain = [replace(tensor) for tensor in tensors]
    total = sum(min(cost for cost, *_ in tensor.candidates(kappa)) for tensor in tensors)
    return [plain] if saved < _LITTLE * total else [scaled, plain]


# -- the search for kappa --------------------------------------------------------------------------------------


class _Found(NamedTuple):
    """A plan, its kappa, and the tensors with their latest sensitivities."""

    plan: Plan
    kappa: float
    tensors: list[PlannedTensor]


@dataclass(frozen=True)
class _Search:
    """The search for the kappa of the best plan.

    `base` is the loss of the given parameters; `limit`, `max_bytes` and `sparse_only` are those of `plan`.
    """

    params: Params
    loss: Loss
    base: float
    limit: float
    max_bytes: int | None
    counted: Counter
    sparse_only: bool

    def first_kappa(self, tensors: list[PlannedTensor]) -> float:
        """A first guess: the errors of all steps take the loss; for bytes, from 0 bits a weight at all zeros."""
        weights = sum(tensor.w.size for tensor in tensors)
        if self.max_bytes is None:
            return math.sqrt(12 * (self.limit - self.base) / weights)
        power = sum(tensor.sensitivity * mean_square(tensor.w) * tensor.w.size for tensor in tensors)
        return math.sqrt(12 * power / weights) * 2.0 ** -min(8 * self.max_bytes / weights, 32)

    def worth(self, plan: Plan) -> tuple[float, ...]:
        """Sort key of plans; less is better."""
        return (plan.bytes,) if self.max_bytes is None else (plan.bytes > self.max_bytes, plan.loss)

    def best(self, tensors: list[PlannedTensor], kappa: float, rounder: Rounder | None = None) -> tuple[Plan, float]:
        """The best plan over all kappa, from a first guess, and its kappa."""
        if self.max_bytes is None:
            return self._within_loss(tensors, kappa, rounder)
        return self._within_bytes(tensors, kappa, self.max_bytes, rounder)

    def settled(self, tensors: list[PlannedTensor], kappa: float, probe: Loss) -> _Found:
        """The best plan, with sensitivities at its own errors.

        The loss may be steeper there than at the probes, or show a curvature that was lost in noise at the probes.
        """
        plan, settled = self.best(tensors, kappa)
        lossless = all(isinstance(coding, Raw) for coding in plan.codings.values())
        measured = self._coded(kappa, tensors) if lossless else plan
        if steeper(self.params, tensors, measured, probe, self.counted):
            again, other = self.best(tensors, settled)
            if self.worth(again) < self.worth(plan):
                plan, settled = again, other
        return _Found(plan, settled, tensors)

    def rounded(self, found: list[_Found], rounder: Rounder, felt: Params) -> list[Plan]:
        """Plans with a rounder, from those without; none where there is nothing to round."""
        round_ = partial(self.counted.round, rounder)
        tried: list[tuple[float, Plan, dict[str, Floats], _Found]] = []
        for start in found:
            codings = {name: c for name, c in start.plan.codings.items() if isinstance(c, Direct | Sparse)}
            if not codings:
                continue
            rounded = round_(self.params, codings)
            plan = self._measured(self._assembled(start.plan.codings, rounded))
            # A factor of four in loss is worth a bit a weight.
            ratio = (plan.loss - self.base) / max(start.plan.loss - self.base, 1e-300)
            weights = sum(self.params[name].size for name in codings)
            tried.append((plan.bytes + weights / 16 * math.log2(max(ratio, 1e-3)), plan, rounded.left, start))
        if not tried:
            return []
        _, plan, left, start = min(tried, key=lambda each: each[0])
        if plan.loss >= start.plan.loss:
            return [plan]
        for tensor in start.tensors:
            if tensor.name in left:
                tensor.sensitivity *= float(np.average(left[tensor.name], weights=felt.get(tensor.name)))
        return [plan, self.best(start.tensors, start.kappa, round_)[0]]

    def _measured(self, plan: Plan) -> Plan:
        return replace(plan, loss=self.counted(self.loss, plan.params))

    def _coded(self, kappa: float, tensors: list[PlannedTensor], rounder: Rounder | None = None) -> Plan:
        """The plan at a kappa, without its loss."""
        codings: dict[str, Coding] = {name: Raw() for name in self.params}
        codes: dict[str, SparseCode | None] = {}
        for tensor in tensors:
            codings[tensor.name], codes[tensor.name] = tensor.cheapest(kappa)
        lossy = {name: coding for name, coding in codings.items() if isinstance(coding, Direct | Sparse)}
        if rounder is not None and lossy:
            return self._assembled(codings, rounder(self.params, lossy))
        return assemble(self.params, codings, codes)

    def _assembled(self, codings: Mapping[str, Coding], rounded: Rounded) -> Plan:
        """The plan of rounded parameters, without its loss."""
        params = {n: w if isinstance(codings[n], Raw) else rounded.params[n] for n, w in self.params.items()}
        return assemble(params, dict(codings), rounded.codes)

    def _within_loss(self, tensors: list[PlannedTensor], kappa: float, rounder: Rounder | None) -> tuple[Plan, float]:
        """A plan of the largest kappa whose measured loss is within the limit, from a first guess, and that kappa.

        The excess loss grows like kappa^2 plus a constant; the last two guesses give the next one. A bracket bounds the
        guesses, because rounding makes the loss jump.
        """
        allowed = self.limit - self.base
        low, high = 0.0, math.inf
        best: Plan | None = None
        settled = kappa
        tried: list[Plan] = []
        last: tuple[float, float] | None = None
        for _ in range(_TRIES if rounder is None else _ROUNDED_TRIES):
            plan = self._measured(self._coded(kappa, tensors, rounder))
            tried.append(plan)
            excess = (plan.loss - self.base) / allowed
            if excess <= 1:
                low = kappa
                if best is None or plan.bytes < best.bytes:
                    best, settled = plan, kappa
            else:
                high = kappa
            if 1 - _TOLERANCE < excess <= 1:
                break
            if high < low * (1 + _TOLERANCE / 4):
                if best is None or best.loss - self.base > _JUMP * allowed:
                    break
                # The loss jumps here, and may be within the limit again at a larger kappa.
                kappa, high, last = _BEYOND * high, math.inf, None
                continue
            guess, last = _next_kappa((kappa, excess), last, 8.0 if rounder is None else 2.0), (kappa, excess)
            if self.sparse_only and best is None:
                # Finer steps do not replace missing atoms, and at some point the encoder would store floats.
                if len(tried) > 1 and plan.loss - self.base > 0.9 * (tried[-2].loss - self.base):
                    break
                guess = max(guess, kappa / 8)
            kappa = guess if low < guess < high else math.sqrt(low * high) if low else high / 4
        return best or self._nearest(tried), settled

    def _nearest(self, tried: list[Plan]) -> Plan:
        """The plan to return where none of those tried keeps the limit."""
        if not self.sparse_only:
            return replace(_lossless(self.params), loss=self.base)
        # The smallest plan among those of about the least loss.
        least = self.base + _NEAR * (min(plan.loss for plan in tried) - self.base)
        return min((plan for plan in tried if plan.loss <= least), key=lambda plan: plan.bytes)

    def _within_bytes(
        self, tensors: list[PlannedTensor], kappa: float, max_bytes: int, rounder: Rounder | None
    ) -> tuple[Plan, float]:
        """A plan of the smallest kappa whose records fit into `max_bytes`, or of the smallest records, and that kappa.

        Doubling kappa saves a bit a weight.
        """
        lossless = _lossless(self.params)
        if lossless.bytes <= max_bytes:
            return self._measured(lossless), kappa
        weights = sum(tensor.w.size for tensor in tensors)
        low, high = 0.0, math.inf
        best: Plan | None = None
        settled = kappa
        for _ in range(_TRIES if rounder is None else _ROUNDED_TRIES):
            plan = self._coded(kappa, tensors, rounder)
            if plan.bytes <= max_bytes:
                high, best, settled = kappa, plan, kappa
                if plan.bytes > max_bytes * (1 - _TOLERANCE / 4):
                    break
            else:
                low = kappa
                if best is None or best.bytes > max_bytes:
                    best, settled = plan, kappa
            excess = 8 * (plan.bytes - max_bytes * (1 - _TOLERANCE / 8)) / weights  # bits a weight
            guess = kappa * 2 ** min(max(excess, -8), 8)
            kappa = guess if low < guess < high else math.sqrt(low * high) if high < math.inf else 2 * low
        assert best is not None
        return self._measured(best), settled


def _next_kappa(now: tuple[float, float], last: tuple[float, float] | None, most: float) -> float:
    """The kappa with an excess loss just below 1, from pairs (kappa, excess); at most `most` times the current one.

    Rounding for the outputs may go below the loss of the given weights, so the excess need not be 0 at kappa = 0.
    """
    (kappa, excess), wanted = now, 1 - _TOLERANCE / 2
    square = kappa**2 * wanted / excess if excess > 1e-3 else math.inf
    if last is not None and (excess - last[1]) * (kappa - last[0]) > 0:
        slope = (excess - last[1]) / (kappa**2 - last[0] ** 2)
        square = max(kappa**2 + (wanted - excess) / slope, kappa**2 / most**2)
    return min(math.sqrt(square), most * kappa)
