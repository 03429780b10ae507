"""Which coding each tensor gets: the smallest file whose loss stays within the limit.

The loss of the whole network is quadratic near the trained weights, so with a sensitivity c_t of each tensor

    loss(coded) - loss(given)  ~  sum_t c_t |w_t - coded w_t|^2

and every choice that is best for one slope of bytes against loss is best for all tensors together (a Lagrangian).
For uniform quantisation at such a slope, the step of tensor t is `kappa / sqrt(c_t)` with one `kappa` for the
whole network: a bit costs ln 2 / 8 bytes a weight, the error of a step is step^2 / 12. The same holds for the
values of a sparse code, whose errors reach the weights through atoms of squared norm |a|^2. At a given `kappa` each
tensor takes the cheapest of its candidates: stored as it is, direct, sparse in several dictionaries and sparsities.
Where it is known how much the outputs feel each weight, steps may differ by row and column (`scales`).

The model only orders the candidates. What decides is `loss` of all tensors decoded together, measured while
`kappa` is searched.
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

_TOLERANCE: Final = 0.02  # stop when the loss is this close below its limit; 1 % of kappa is 0.014 bit a weight
_TRIES: Final = 12
_JUMP: Final = 0.8  # share of the limit that a bracket should not close below
_BEYOND: Final = 1.2  # times kappa to try instead
_ROUNDED_TRIES: Final = 5  # each of them takes a rounding of the whole network
_SMALL: Final = 16  # elements; fewer are not worth a step
_FINER: Final = 2**-0.25
_LITTLE: Final = 0.03  # share of the bytes that scales have to save, where there is a rounder
_NEAR: Final = 1.2  # a candidate within this factor of the cheapest may win when kappa has settled


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
    """Choose a coding for every tensor: the fewest bytes with `loss(decoded) <= limit`.

    Parameters
    ----------
    params
        Tensors by name. What no quantiser takes (integers, non-finite values) is stored as it is.
    loss
        Mean squared error >= 0 of the network's outputs with the given parameters. Called about 15 times.
    limit
        The largest loss allowed; must be above `loss(params)`.
    probe
        A cheaper loss in the same unit, on fewer samples, for the sensitivities; called twice a tensor.
    max_bytes
        If given, the largest quality that fits into so many bytes is chosen instead, and `limit` does not count.
    exact
        Names of tensors to store as they are.
    dictionaries
        Sizes k2 of the random dictionaries to try; () leaves the sparse code out.
    sparse_only
        Give square weight matrices no other candidate than the sparse code: to measure what it costs. Where no such
        code keeps the limit, the plan is the one that comes nearest to it.
    trellis
        Try trellis-coded quantisation beside rounding to the nearest level.
    rounder
        Chooses levels for the outputs of the network instead of the nearest ones; a second plan is made with it, and
        the better of the two kept.
    felt
        By name, mean squared derivative of the outputs by each weight, of the tensor's shape as real numbers: where
        steps may differ within a tensor. Those that are left out have one step.
    seed
        Seed of the dictionaries, and of the probes.
    device
        Where pursuits work, see `omp.omp`.
    progress
        Called with the number of evaluations of either loss so far, and with what else is being done, if anything.

    Raises
    ------
    InputError
        The limit is not above the loss of the given parameters.
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
    """Plan without a loss, a fall-back: every tensor is coded so that its weights keep `snr` dB, measured.

    Tensors of fewer than 16 elements, constant ones, and what no quantiser takes are stored as they are.
    """
    return assemble(params, {name: _keeping(name, w, snr) for name, w in params.items()})


def _keeping(name: str, w: Array, snr: float) -> Coding:
    """The coarsest direct coding of a tensor that keeps `snr` dB of its weights, or none at all."""
    if not is_lossy(w) or w.size < _SMALL or (w == w.flat[0]).all() or not (power := mean_square(w)):
        return Raw()
    noise = 10 ** (-snr / 10)
    coding, _ = PlannedTensor(name, w, 1 / power).cheapest(math.sqrt(12 * noise))
    # The error of a step is step^2 / 12 only on average, and only where steps are small beside the weights.
    while isinstance(coding, Direct) and coding.step is not None:
        if direct_cost(w, coding.step, coding.trellis)[1] <= noise * power * w.size:
            break
        finer = coding.step * _FINER
        coding = replace(coding, step=finer) if finer > MIN_STEP else Raw()
    return coding


def _lossless(params: Params) -> Plan:
    return assemble(params, {name: Raw() for name in params})


def _variants(tensors: list[PlannedTensor], kappa: float, felt: Params, unscaled: bool) -> list[list[PlannedTensor]]:
    """Tensors with scales where they pay; with `unscaled` also those without.

    A rounder makes up for errors of weights that the outputs feel by others that they feel little. These have to be
    fine for that, so that where scales save little without a rounder, they save nothing with it.
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
    """A plan, the kappa that gave it, and the tensors as they are known then."""

    plan: Plan
    kappa: float
    tensors: list[PlannedTensor]


@dataclass(frozen=True)
class _Search:
    """What plans are measured by, and the search for the kappa of the best one.

    `base` is the loss of the parameters as they are; `limit`, `max_bytes` and `sparse_only` are those of `plan`.
    """

    params: Params
    loss: Loss
    base: float
    limit: float
    max_bytes: int | None
    counted: Counter
    sparse_only: bool

    def first_kappa(self, tensors: list[PlannedTensor]) -> float:
        """A first guess: all of the loss in rounding, or for bytes, 0 bits a weight at the loss of all zeros."""
        weights = sum(tensor.w.size for tensor in tensors)
        if self.max_bytes is None:
            return math.sqrt(12 * (self.limit - self.base) / weights)
        power = sum(tensor.sensitivity * mean_square(tensor.w) * tensor.w.size for tensor in tensors)
        return math.sqrt(12 * power / weights) * 2.0 ** -min(8 * self.max_bytes / weights, 32)

    def worth(self, plan: Plan) -> tuple[float, ...]:
        """What orders plans: less is better."""
        return (plan.bytes,) if self.max_bytes is None else (plan.bytes > self.max_bytes, plan.loss)

    def best(self, tensors: list[PlannedTensor], kappa: float, rounder: Rounder | None = None) -> tuple[Plan, float]:
        """The best plan of all kappa, from a first guess, and its kappa."""
        if self.max_bytes is None:
            return self._within_loss(tensors, kappa, rounder)
        return self._within_bytes(tensors, kappa, self.max_bytes, rounder)

    def settled(self, tensors: list[PlannedTensor], kappa: float, probe: Loss) -> _Found:
        """The best plan with sensitivities at its own errors.

        These are not those of the probes: the loss may be steeper there, or a curvature show that drowned in noise.
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
        """Plans with a rounder, from those without; none where it has nothing to round."""
        round_ = partial(self.counted.round, rounder)
        tried: list[tuple[float, Plan, dict[str, Floats], _Found]] = []
        for start in found:
            codings = {name: c for name, c in start.plan.codings.items() if isinstance(c, Direct | Sparse)}
            if not codings:
                continue
            rounded = round_(self.params, codings)
            plan = self._measured(self._assembled(start.plan.codings, rounded))
            # Four times the loss are worth a bit a weight.
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
        """Everything that follows from `kappa`, not measured yet."""
        codings: dict[str, Coding] = {name: Raw() for name in self.params}
        codes: dict[str, SparseCode | None] = {}
        for tensor in tensors:
            codings[tensor.name], codes[tensor.name] = tensor.cheapest(kappa)
        lossy = {name: coding for name, coding in codings.items() if isinstance(coding, Direct | Sparse)}
        if rounder is not None and lossy:
            return self._assembled(codings, rounder(self.params, lossy))
        return assemble(self.params, codings, codes)

    def _assembled(self, codings: Mapping[str, Coding], rounded: Rounded) -> Plan:
        """Everything as it was rounded."""
        params = {n: w if isinstance(codings[n], Raw) else rounded.params[n] for n, w in self.params.items()}
        return assemble(params, dict(codings), rounded.codes)

    def _within_loss(self, tensors: list[PlannedTensor], kappa: float, rounder: Rounder | None) -> tuple[Plan, float]:
        """A plan of the largest kappa whose measured loss is within the limit, from a first guess, and that kappa.

        The excess loss grows like kappa^2, from where the last two guesses tell, which gives every next one; the
        bracket keeps the guesses from running away when rounding makes the loss jump.
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
                # The loss jumps here. It may be within the limit again further on.
                kappa, high, last = _BEYOND * high, math.inf, None
                continue
            guess, last = _next_kappa((kappa, excess), last, 8.0 if rounder is None else 2.0), (kappa, excess)
            if self.sparse_only and best is None:
                # Steps without end make the encoder store floats, and no step brings back what atoms are missing for.
                if len(tried) > 1 and plan.loss - self.base > 0.9 * (tried[-2].loss - self.base):
                    break
                guess = max(guess, kappa / 8)
            kappa = guess if low < guess < high else math.sqrt(low * high) if low else high / 4
        return best or self._nearest(tried), settled

    def _nearest(self, tried: list[Plan]) -> Plan:
        """The plan where none of those tried keeps the limit."""
        if not self.sparse_only:
            return replace(_lossless(self.params), loss=self.base)
        # The smallest of those that lose about the least.
        least = self.base + _NEAR * (min(plan.loss for plan in tried) - self.base)
        return min((plan for plan in tried if plan.loss <= least), key=lambda plan: plan.bytes)

    def _within_bytes(
        self, tensors: list[PlannedTensor], kappa: float, max_bytes: int, rounder: Rounder | None
    ) -> tuple[Plan, float]:
        """A plan of the smallest kappa whose records fit into `max_bytes`, or the smallest there are, and that kappa.

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
    """Where the excess loss will be just below 1, from pairs (kappa, excess); at most so many times further.

    Rounding for the outputs may go below the loss of the weights as they are, so that it is not 0 at kappa = 0.
    """
    (kappa, excess), wanted = now, 1 - _TOLERANCE / 2
    square = kappa**2 * wanted / excess if excess > 1e-3 else math.inf
    if last is not None and (excess - last[1]) * (kappa - last[0]) > 0:
        slope = (excess - last[1]) / (kappa**2 - last[0] ** 2)
        square = max(kappa**2 + (wanted - excess) / slope, kappa**2 / most**2)
    return min(math.sqrt(square), most * kappa)
