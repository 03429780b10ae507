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

import contextlib
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple, Protocol

import brotli
import numpy as np
from numpy.typing import NDArray

from sinr_codec.coding.dictionary import MAX_ENTRIES, MEAN_SQUARES, make_dictionary
from sinr_codec.coding.dtypes import real, real_shape
from sinr_codec.coding.omp import omp, solve
from sinr_codec.coding.quantize import MAX_STEP, MIN_STEP, minmax, round_step
from sinr_codec.coding.scales import Scales, scales_for
from sinr_codec.coding.sparse import Layout, SparseCode, layout_of, paper_sparsity, sparse_encode, to_vectors
from sinr_codec.coding.tensor import (
    Coding,
    Direct,
    Raw,
    Sparse,
    decode_tensor,
    direct_cost,
    encode_tensor,
    is_lossy,
    sparse_cost,
    sparse_in_limits,
)
from sinr_codec.coding.trellis import SQUARED_ERROR
from sinr_codec.devices import CPU
from sinr_codec.errors import InputError
from sinr_codec.types import Params

Loss = Callable[[dict[str, NDArray[Any]]], float]


class Rounded(NamedTuple):
    """What a `Rounder` makes of parameters.

    Attributes
    ----------
    params
        All of them; those that have a coding are what it can represent.
    codes
        Of those that have a sparse one: values on the grid of the coding.
    left
        By name, of each weight as real numbers, the share that is left of the loss that coding it by itself would add.
    """

    params: dict[str, NDArray[Any]]
    codes: dict[str, SparseCode]
    left: dict[str, NDArray[np.float64]]


class Rounder(Protocol):
    """Weights on the grids of their codings, chosen together for what the network puts out (`fit.rounding`)."""

    def __call__(
        self, params: Params, codings: Mapping[str, Direct | Sparse], progress: Callable[[float], None] | None = None
    ) -> Rounded:
        """Round those named by `codings`. `progress` is called with the share of the work that is done."""


PAPER_K2 = 65_536
"""Atoms of the paper's dictionary: the most that its 16-bit indices address. The paper prints no k2."""
PAPER_BITS = 16

_PROBE_SNR = 10 ** (40 / 10)  # of the weights when a tensor's sensitivity is probed: within the quadratic range
_PROBES = 9  # sizes of that error which are tried
_QUADRATIC = 100  # times the allowed loss: as far as the loss may move and still count as quadratic
_SLOPE = 6 / (8 * math.log(2))  # bytes per unit of loss at kappa = 1: -d(bytes)/d(step) = n / (8 ln 2 step)
_TOLERANCE = 0.02  # stop when the loss is this close below its limit; 1 % of kappa is 0.014 bit a weight
_TRIES = 12
_JUMP, _BEYOND = 0.8, 1.2  # share of the limit that a bracket should not close below; times kappa to try instead
_ROUNDED_TRIES = 5  # each of them takes a rounding of the whole network
_UNUSED = 1e-200  # sensitivity of a tensor that has no influence: any step will do
_LEAST_POWER = 1e-250  # of a tensor's elements; what is smaller, zeros for example, is stored as it is
_SMALL = 16  # elements; fewer are not worth a step
_FINER = 2**-0.25
_TRELLIS_STEP = math.sqrt(1 / (12 * SQUARED_ERROR))  # times the step of a uniform quantiser, for an equal error
_LEAST_MATRIX = 256  # elements of a matrix that a dictionary may pay for
_TRIAL, _TRIAL_ATOMS = 16, (8, 64)  # vectors, and least and most atoms of each, that tell whether a dictionary may pay
_TAKEN = 1.3  # times what such atoms take of noise; of trained weights it is 0.9 to 1.25
_LITTLE = 0.03  # share of the bytes that scales have to save, where there is a rounder
_NEAR = 1.2  # a candidate within this factor of the cheapest may win when kappa has settled
_MAX_DICTIONARY = 1 << 26  # entries of a dictionary that is worth searching


@dataclass(frozen=True)
class Plan:
    """The coding chosen for each tensor, and what came of it.

    Attributes
    ----------
    codings
        By name.
    records
        The coded tensors, in the order of the parameters: what a section of the file holds.
    params
        What a decoder gets from them.
    loss
        Measured on `params`; NaN where there was nothing to measure with.
    codes
        The sparse codes of those tensors that have one.
    """

    codings: dict[str, Coding]
    records: dict[str, bytes]
    params: dict[str, NDArray[Any]]
    loss: float = math.nan
    codes: Mapping[str, SparseCode | None] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Size of all records."""
        return sum(map(len, self.records.values()))


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
    counted = _Counter(progress)
    base = counted(loss, dict(params))
    if max_bytes is None and not base < limit:
        raise InputError(f"limit: a loss of {limit:.4g} cannot be kept; the network itself has {base:.4g}")
    coded = {name: w for name, w in params.items() if name not in exact and is_lossy(w)}
    tensors = _probed(params, coded, probe or loss, limit - base, counted, seed)
    for tensor in tensors:
        tensor.trellis = trellis
    if not tensors:
        return replace(_lossless(params), loss=base)
    if max_bytes is None:
        kappa = math.sqrt(12 * (limit - base) / sum(tensor.w.size for tensor in tensors))
    else:
        kappa = _kappa_for(max_bytes, tensors)
    for tensor in tensors:
        tensor.add_sparse(dictionaries, seed, device, sparse_only)

    def search(tensors: list[_Tensor], kappa: float, rounder: Rounder | None = None) -> tuple[Plan, float]:
        if max_bytes is None:
            return _within_loss(params, tensors, loss, base, limit, kappa, counted, sparse_only, rounder)
        return _within_bytes(params, tensors, loss, max_bytes, kappa, counted, rounder)

    def worth(plan: Plan) -> tuple[float, ...]:
        return (plan.bytes,) if max_bytes is None else (plan.bytes > max_bytes, plan.loss)

    found: list[_Found] = []
    for variant in _variants(tensors, kappa, felt or {}, both=rounder is not None):
        plan, settled = search(variant, kappa)
        # Its errors are not those of the probes: the loss may be steeper there, or a curvature show that drowned in
        # noise.
        lossless = all(isinstance(coding, Raw) for coding in plan.codings.values())
        if _steeper(params, variant, _coded(kappa, params, variant) if lossless else plan, probe or loss, counted):
            again, other = search(variant, settled)
            if worth(again) < worth(plan):
                plan, settled = again, other
        found.append(_Found(plan, settled, variant))
    plans = [each.plan for each in found]
    if rounder is not None:
        plans += _rounded(params, found, partial(counted.round, rounder), felt or {}, counted, loss, base, search)
    kept = [plan for plan in plans if max_bytes is not None or plan.loss <= limit] or plans
    return min(kept, key=worth)


def assemble(params: Params, codings: dict[str, Coding], codes: Mapping[str, SparseCode | None] | None = None) -> Plan:
    """Code every tensor as decided; what the decoder gets is decoded from the records themselves.

    Parameters
    ----------
    params, codings
        By name.
    codes
        Sparse codes that are known already, by name; their values count, not those of `params`.
    """
    codes = codes or {}
    records = {name: encode_tensor(w, codings[name], codes.get(name)) for name, w in params.items()}
    decoded = {name: decode_tensor(records[name], w.shape, w.dtype) for name, w in params.items()}
    return Plan(codings, records, decoded, codes=codes)


def plan_by_weights(params: Params, snr: float) -> Plan:
    """Plan without a loss, a fall-back: every tensor is coded so that its weights keep `snr` dB, measured.

    Tensors of fewer than 16 elements, constant ones, and what no quantiser takes are stored as they are.
    """
    return assemble(params, {name: _keeping(name, w, snr) for name, w in params.items()})


def _keeping(name: str, w: NDArray[Any], snr: float) -> Coding:
    """The coarsest direct coding of a tensor that keeps `snr` dB of its weights, or none at all."""
    if not is_lossy(w) or w.size < _SMALL or (w == w.flat[0]).all() or not (power := _power(w)):
        return Raw()
    noise = 10 ** (-snr / 10)
    coding, _ = _Tensor(name, w, 1 / power).cheapest(math.sqrt(12 * noise))
    # The error of a step is step^2 / 12 only on average, and only where steps are small beside the weights.
    while isinstance(coding, Direct) and coding.step is not None:
        if direct_cost(w, coding.step, coding.trellis)[1] <= noise * power * w.size:
            break
        finer = coding.step * _FINER
        coding = replace(coding, step=finer) if finer > MIN_STEP else Raw()
    return coding


def plan_paper(
    params: Params,
    seed: int = 0,
    k2: int = PAPER_K2,
    s: int | None = None,
    *,
    kind: str = "gaussian",
    bits: int = PAPER_BITS,
    flatten: bool = False,
    hidden: bool = False,
    codes: Mapping[str, SparseCode | None] | None = None,
    device: str = CPU,
) -> Plan:
    """SINR as published: weight matrices by OMP, s from the width, 16-bit min-max, Brotli; biases only quantised.

    The width k of the network is the length of its longest vector, a bias, or else the longer side of each matrix
    (section 3.3.2: matrices are flattened when k < 50). A matrix that is too large for a dictionary of k2 atoms, or
    for what a reader computes, is only quantised; with `hidden`, all are that are not k x k, such as the first and the
    last, which hold few weights and most of the sensitivity.

    A pursuit takes most of the time: `codes` are those of an earlier plan with the same dictionary and s, and it works
    on a `device` (see `omp.omp`).
    """
    known = codes or {}
    found: dict[str, SparseCode | None] = {}
    codings: dict[str, Coding] = {}
    k = max((w.size for w in params.values() if w.ndim == 1), default=0)
    for name, w in params.items():
        codings[name] = Direct(bits=bits, paper=True) if is_lossy(w) else Raw()
        if is_lossy(w) and w.ndim == 2 and min(w.shape) > 0 and (w.shape == (k, k) or not hidden):
            layout = Layout(None) if flatten else layout_of(w.shape, k or max(w.shape))
            shape = real_shape(w.shape, w.dtype)
            k1, _ = layout.dims(shape)
            sparsity = min(s or paper_sparsity(k1), (k1 - 1) // 2, k2)
            if sparsity > 0 and k1 * k2 <= MAX_ENTRIES and sparse_in_limits(shape, layout, k2, sparsity):
                codings[name] = Sparse(kind, seed, k2, sparsity, layout, bits=bits, paper=True)
                found[name] = known.get(name) or sparse_encode(
                    real(w), kind=kind, seed=seed, k2=k2, s=sparsity, layout=layout, device=device
                )
    return assemble(params, codings, found)


def baseline_bytes(params: Params) -> int:
    """Bytes of the tensors as the paper codes them for everybody: 16-bit min-max a tensor, then Brotli over all.

    What the quantiser cannot take counts with its own bytes.
    """
    return len(brotli.compress(b"".join(map(_words, params.values())), quality=11))


def _words(w: NDArray[Any]) -> bytes:
    if is_lossy(w):
        with contextlib.suppress(InputError):  # beyond float32
            return minmax(real(w), PAPER_BITS)[0].astype("<u2").tobytes()
    return w.tobytes()


# -- one tensor ------------------------------------------------------------------------------------------------


@dataclass
class _Tensor:
    """A tensor with its sensitivity (loss per squared error of the weights) and its sparse codes so far."""

    name: str
    w: NDArray[Any]
    sensitivity: float
    sparse: list[SparseCode] = field(default_factory=list)
    scales: Scales | None = None  # of its direct codings
    scaled: float = 1.0  # sensitivity to errors in units of the scales, over that to errors in the weights
    trellis: bool = True  # whether its levels may follow one
    dense: bool = True  # whether it may also be coded without a dictionary

    def cheapest(self, kappa: float) -> tuple[Coding, SparseCode | None]:
        """The candidate of least cost at the slope that `kappa` stands for."""
        return min(self.candidates(kappa), key=lambda candidate: candidate[0])[1:]

    def candidates(self, kappa: float) -> list[tuple[float, Coding, SparseCode | None]]:
        """(bytes + loss in units of bytes, coding, its sparse code) of everything there is to choose from."""
        price = self.sensitivity * _SLOPE / kappa**2
        choices: list[tuple[float, Coding, SparseCode | None]] = []
        if self.dense:
            choices = [(_raw_bytes(self.w), Raw(), None)]
            for trellis, per_kappa in ((False, 1.0), (True, _TRELLIS_STEP))[: 1 + self.trellis]:
                step = round_step(per_kappa * self._step(kappa, self.scaled))
                size, error = direct_cost(self.w, step, trellis, self.scales)
                coding = Direct(step=step, trellis=trellis, scales=self.scales)
                choices.append((size + self.scaled * price * error, coding, None))
        for code in self.sparse:
            step = self._step(kappa, _atom_power(code, self.w.shape))
            size, error = sparse_cost(code, self.w, step)
            sparse = Sparse(code.kind, code.seed, code.k2, len(code.indices), code.layout, step=step)
            choices.append((size + price * error, sparse, code))
        return choices

    def error(self, coding: Coding, moved: NDArray[Any]) -> float:
        """What the sensitivity counts of the weights that `coding` makes of these: their squared error."""
        wide = _wide(self.w)
        difference = real(moved.astype(wide) - self.w.astype(wide))
        if isinstance(coding, Direct) and coding.scales is not None:
            return self.scaled * float(np.sum((difference / coding.scales.factors(difference.shape)) ** 2))
        return float(np.sum(difference**2))

    def with_scales(self, kappa: float, felt: NDArray[Any]) -> tuple["_Tensor", float]:
        """Steps that differ by rows, by columns or by both, if that pays for what it takes to say how; bytes it saves.

        Saved are bytes or loss in units of bytes, as `candidates` has them.
        """
        choices = [self]
        for rows, columns in ((True, False), (False, True), (True, True)):
            scales = scales_for(felt, rows, columns)
            if scales != Scales():
                units = scales.factors(felt.shape)
                scaled = float(np.mean(felt * units**2)) / max(float(np.mean(felt)), 1e-300)
                choices.append(replace(self, scales=scales, scaled=scaled))
        costs = [min(cost for cost, *_ in replace(choice, trellis=False).candidates(kappa)) for choice in choices]
        return choices[int(np.argmin(costs))], costs[0] - min(costs)

    def add_sparse(self, k2s: tuple[int, ...], seed: int, device: str, only: bool) -> None:
        """Find sparse codes of a matrix in each dictionary; with `only`, a square one has no other candidates.

        A pursuit is dear and seldom pays: see `_as_noise`.
        """
        if self.w.ndim != 2 or self.w.dtype.kind == "c" or self.w.size < _LEAST_MATRIX:
            return
        layout = layout_of(self.w.shape, max(self.w.shape))
        vectors = to_vectors(self.w, layout)
        k1 = len(vectors)
        for k2 in k2s:
            if k2 <= k1 or k1 * k2 > _MAX_DICTIONARY or not sparse_in_limits(self.w.shape, layout, k2, (k1 - 1) // 2):
                continue
            if only or not _as_noise(vectors, k2, seed, device):
                self.sparse += _sparse_codes(vectors, k2, seed, layout, device)
        self.dense = not (only and self.sparse and self.w.shape[0] == self.w.shape[1])

    def _step(self, kappa: float, power: float = 1.0) -> float:
        """The step of numbers whose squared errors count `power` times in the weights."""
        coarsest = 2 * float(np.abs(self.w).max()) or 1.0
        step = kappa / math.sqrt(max(self.sensitivity * power, _UNUSED))
        return round_step(min(max(step, MIN_STEP), coarsest, MAX_STEP))


def _atom_power(code: SparseCode, shape: tuple[int, ...]) -> float:
    """Mean squared norm of the dictionary's atoms."""
    k1, _ = code.layout.dims(shape)
    return k1 * MEAN_SQUARES[code.kind]


def _as_noise(vectors: NDArray[np.float64], k2: int, seed: int, device: str) -> bool:
    """Whether a dictionary takes no more from vectors (k1, n) than from noise: then no sparse code of them pays.

    Of noise, each atom takes 2 ln k2 / k1 of the energy that is left. Atoms that a vector is made of stand out where
    each has more, so that there are fewer than k1 / (2 ln k2) of them, and the first k1 / 16 of a pursuit are enough to
    tell. Vectors of a matrix are much alike: a few of them will do.
    """
    k1, n = vectors.shape
    few = vectors[:, np.linspace(0, n - 1, min(n, _TRIAL)).astype(int)]
    noise = np.random.default_rng(seed).standard_normal(few.shape)
    dictionary, both = make_dictionary("sign", seed, k1, k2), np.concatenate([few, noise], axis=1)
    least, most = _TRIAL_ATOMS
    indices, values = omp(dictionary, both, min(max(k1 // 16, least), most, (k1 - 1) // 2), device=device)
    left = both - np.einsum("ksn,sn->kn", dictionary[:, indices].astype(np.float64), values)
    energy = np.square(both).sum(0)
    shares = np.divide(np.square(left).sum(0), energy, out=np.ones(len(energy)), where=energy > 0)
    taken = -np.log(np.maximum(shares, 1e-12))
    return bool(taken[: few.shape[1]].mean() < _TAKEN * taken[few.shape[1] :].mean())


def _sparse_codes(vectors: NDArray[np.float64], k2: int, seed: int, layout: Layout, device: str) -> list[SparseCode]:
    """Codes of vectors (k1, n) with a few sparsities, from one pursuit.

    The order of selection is kept, so the first atoms of the longest code are the shorter codes.
    """
    most = (len(vectors) - 1) // 2
    dictionary = make_dictionary("sign", seed, len(vectors), k2)
    indices, _ = omp(dictionary, vectors, most, device=device)
    sparsities = sorted({most // 2, 3 * most // 4, 7 * most // 8, paper_sparsity(len(vectors)), most} - {0})
    return [
        SparseCode("sign", seed, k2, layout, indices[:s], solve(dictionary, vectors, indices[:s])) for s in sparsities
    ]


# -- all tensors -----------------------------------------------------------------------------------------------


class _Counter:
    """Counts evaluations of the losses for whoever watches."""

    def __init__(self, progress: Callable[[int, str], None] | None) -> None:
        self.progress = progress
        self.evaluations = self.roundings = 0

    def __call__(self, loss: Loss, params: dict[str, NDArray[Any]]) -> float:
        value = float(loss(params))
        self.evaluations += 1
        self._report("")
        return value

    def round(self, rounder: Rounder, params: Params, codings: Mapping[str, Direct | Sparse], _: Any = None) -> Rounded:
        self.roundings += 1
        return rounder(params, codings, lambda share: self._report(f"rounding {self.roundings}, {share:.0%}"))

    def _report(self, text: str) -> None:
        if self.progress:
            self.progress(self.evaluations, text)


def _probed(params: Params, coded: Params, probe: Loss, allowed: float, counted: _Counter, seed: int) -> list[_Tensor]:
    """The tensors that will be quantised, with their sensitivities.

    A random error of +-e in every weight, added and subtracted: in the mean of the two losses the gradient, which
    no fit brings quite to zero, cancels, and the curvature is left. The error shrinks until the loss moves little
    enough to be quadratic in it: the first layer of a sound multiplies its weights by thousands.
    """
    rng = np.random.default_rng(seed)
    params = dict(params)
    start = counted(probe, params)
    most = max(start, _QUADRATIC * allowed)
    tensors = []
    for name, w in coded.items():
        if not (power := _power(w)):
            continue
        wide = w.astype(_wide(w))
        error = math.sqrt(power / _PROBE_SNR) * rng.choice([-1.0, 1.0], w.shape)
        for _ in range(_PROBES):
            with np.errstate(over="ignore"):  # of the dtype; the loss will not be finite
                probes = [(wide + sign * error).astype(w.dtype) for sign in (1, -1)]
            losses = [counted(probe, params | {name: moved}) for moved in probes]
            rise = sum(losses) / 2 - start
            if rise <= most:
                break
            # No further than it takes: much smaller errors may hide in what rounding and clipping forgive.
            error = error / (min(max(math.sqrt(rise / most), 2.0), 4.0) if math.isfinite(rise) else 4.0)
        if not all(map(math.isfinite, losses)):
            continue
        # Exactly no difference: the network does not use the tensor. A curvature that drowns in noise is another
        # thing; such a tensor counts like a thousandth of the least sensitive one.
        curvature = max((losses[0] + losses[1]) / 2 - start, 0.0) / float(np.sum(error**2))
        unused = losses[0] == losses[1] == start
        tensors.append(_Tensor(name, w, _UNUSED if unused else curvature))
    least = 1e-3 * min((t.sensitivity for t in tensors if t.sensitivity > _UNUSED), default=1.0)
    for tensor in tensors:
        tensor.sensitivity = tensor.sensitivity if tensor.sensitivity == _UNUSED else max(tensor.sensitivity, least)
    return tensors


def _steeper(params: Params, tensors: list[_Tensor], plan: Plan, probe: Loss, counted: _Counter) -> bool:
    """Raise sensitivities to those at the errors that a plan makes, each by itself; whether one more than doubled."""
    params = dict(params)
    start = counted(probe, params)
    rose = False
    for tensor in tensors:
        moved = plan.params[tensor.name]
        error = tensor.error(plan.codings[tensor.name], moved)
        curvature = (counted(probe, params | {tensor.name: moved}) - start) / error if error else 0.0
        if math.isfinite(curvature) and curvature > 2 * tensor.sensitivity:
            tensor.sensitivity, rose = curvature, True
    return rose


class _Found(NamedTuple):
    """A plan, the kappa that gave it, and what is known of the tensors."""

    plan: Plan
    kappa: float
    tensors: list[_Tensor]


def _variants(tensors: list[_Tensor], kappa: float, felt: Params, both: bool) -> list[list[_Tensor]]:
    """Tensors with scales where they pay; with `both` also those without.

    Rounding for the outputs makes up for the errors of weights that are much felt by others that are little felt. Those
    have to be fine for that, so that where scales save little without it, they save nothing with it.
    """
    scaled, saved = [], 0.0
    for tensor in tensors:
        of_it, less = tensor, 0.0
        if tensor.name in felt and tensor.w.ndim > 1:
            of_it, less = tensor.with_scales(kappa, felt[tensor.name])
        scaled.append(of_it)
        saved += less
    if all(tensor.scales is None for tensor in scaled):
        return [tensors]
    if not both:
        return [scaled]
    plain = [replace(tensor) for tensor in tensors]
    total = sum(min(cost for cost, *_ in tensor.candidates(kappa)) for tensor in tensors)
    return [plain] if saved < _LITTLE * total else [scaled, plain]


def _rounded(
    params: Params,
    found: list[_Found],
    rounder: Rounder,
    felt: Params,
    counted: "_Counter",
    loss: Loss,
    base: float,
    search: Callable[[list[_Tensor], float, Rounder], tuple[Plan, float]],
) -> list[Plan]:
    """Plans with a rounder, from those without; none where it makes nothing better."""
    tried: list[tuple[float, Plan, dict[str, NDArray[np.float64]], _Found]] = []
    for start in found:
        codings = {name: c for name, c in start.plan.codings.items() if isinstance(c, Direct | Sparse)}
        if not codings:
            continue
        rounded = rounder(params, codings)
        plan = _assembled(params, start.plan.codings, rounded)
        plan = replace(plan, loss=counted(loss, plan.params))
        # Four times the loss are worth a bit a weight.
        ratio = (plan.loss - base) / max(start.plan.loss - base, 1e-300)
        weights = sum(params[name].size for name in codings)
        tried.append((plan.bytes + weights / 16 * math.log2(max(ratio, 1e-3)), plan, rounded.left, start))
    if not tried:
        return []
    _, plan, left, start = min(tried, key=lambda one: one[0])
    if plan.loss >= start.plan.loss:
        return [plan]
    for tensor in start.tensors:
        if tensor.name in left:
            tensor.sensitivity *= float(np.average(left[tensor.name], weights=felt.get(tensor.name)))
    return [plan, search(start.tensors, start.kappa, rounder)[0]]


def _coded(kappa: float, params: Params, tensors: list[_Tensor], rounder: Rounder | None = None) -> Plan:
    """Everything that follows from `kappa`, not measured yet."""
    codings: dict[str, Coding] = {name: Raw() for name in params}
    codes: dict[str, SparseCode | None] = {}
    for tensor in tensors:
        codings[tensor.name], codes[tensor.name] = tensor.cheapest(kappa)
    lossy = {name: coding for name, coding in codings.items() if isinstance(coding, Direct | Sparse)}
    if rounder is not None and lossy:
        return _assembled(params, codings, rounder(params, lossy))
    return assemble(params, codings, codes)


def _assembled(params: Params, codings: Mapping[str, Coding], rounded: Rounded) -> Plan:
    """Everything as it was rounded."""
    params = {n: w if isinstance(codings[n], Raw) else rounded.params[n] for n, w in params.items()}
    return assemble(params, dict(codings), rounded.codes)


def _lossless(params: Params) -> Plan:
    return assemble(params, {name: Raw() for name in params})


def _within_loss(
    params: Params,
    tensors: list[_Tensor],
    loss: Loss,
    base: float,
    limit: float,
    kappa: float,
    counted: _Counter,
    sparse_only: bool,
    rounder: Rounder | None,
) -> tuple[Plan, float]:
    """A plan of the largest kappa whose measured loss is within `limit`, from a first guess, and that kappa.

    The excess loss grows like kappa^2, from where the last two guesses tell, which gives every next one; the bracket
    keeps the guesses from running away when rounding makes the loss jump.
    """
    low, high = 0.0, math.inf
    best: Plan | None = None
    chosen = kappa
    tried: list[Plan] = []
    last: tuple[float, float] | None = None
    for _ in range(_TRIES if rounder is None else _ROUNDED_TRIES):
        plan = _coded(kappa, params, tensors, rounder)
        plan = replace(plan, loss=counted(loss, plan.params))
        tried.append(plan)
        excess = (plan.loss - base) / (limit - base)
        if excess <= 1:
            low = kappa
            if best is None or plan.bytes < best.bytes:
                best, chosen = plan, kappa
        else:
            high = kappa
        if 1 - _TOLERANCE < excess <= 1:
            break
        if high < low * (1 + _TOLERANCE / 4):
            if best is None or best.loss - base > _JUMP * (limit - base):
                break
            # The loss jumps here. It may be within the limit again further on.
            kappa, high, last = _BEYOND * high, math.inf, None
            continue
        guess, last = _next_kappa((kappa, excess), last, 8.0 if rounder is None else 2.0), (kappa, excess)
        if sparse_only and best is None:
            # What is lost for want of atoms no step brings back, and steps without end make the encoder store floats.
            if len(tried) > 1 and plan.loss - base > 0.9 * (tried[-2].loss - base):
                break
            guess = max(guess, kappa / 8)
        kappa = guess if low < guess < high else math.sqrt(low * high) if low else high / 4
    if best is None and sparse_only:
        # The smallest of those that lose about the least.
        least = base + _NEAR * (min(plan.loss for plan in tried) - base)
        return min((plan for plan in tried if plan.loss <= least), key=lambda plan: plan.bytes), chosen
    if best is None:
        # Not even fine steps keep the loss: the weights as they are do.
        return replace(_lossless(params), loss=base), chosen
    return best, chosen


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


def _kappa_for(max_bytes: int, tensors: list[_Tensor]) -> float:
    """Guess the kappa that gives so many bytes: at the loss of all weights being zero it is 0 bits a weight."""
    weights = sum(tensor.w.size for tensor in tensors)
    power = sum(tensor.sensitivity * _power(tensor.w) * tensor.w.size for tensor in tensors)
    return math.sqrt(12 * power / weights) * 2.0 ** -min(8 * max_bytes / weights, 32)


def _within_bytes(
    params: Params,
    tensors: list[_Tensor],
    loss: Loss,
    max_bytes: int,
    kappa: float,
    counted: _Counter,
    rounder: Rounder | None,
) -> tuple[Plan, float]:
    """A plan of the smallest kappa whose records fit into `max_bytes`, or the smallest there are, and that kappa.

    Doubling kappa saves a bit a weight.
    """
    lossless = _lossless(params)
    if lossless.bytes <= max_bytes:
        return replace(lossless, loss=counted(loss, lossless.params)), kappa
    weights = sum(tensor.w.size for tensor in tensors)
    low, high = 0.0, math.inf
    best: Plan | None = None
    chosen = kappa
    for _ in range(_TRIES if rounder is None else _ROUNDED_TRIES):
        plan = _coded(kappa, params, tensors, rounder)
        if plan.bytes <= max_bytes:
            high, best, chosen = kappa, plan, kappa
            if plan.bytes > max_bytes * (1 - _TOLERANCE / 4):
                break
        else:
            low = kappa
            if best is None or best.bytes > max_bytes:
                best, chosen = plan, kappa
        excess = 8 * (plan.bytes - max_bytes * (1 - _TOLERANCE / 8)) / weights  # bits a weight
        guess = kappa * 2 ** min(max(excess, -8), 8)
        kappa = guess if low < guess < high else math.sqrt(low * high) if high < math.inf else 2 * low
    assert best is not None
    return replace(best, loss=counted(loss, best.params)), chosen


def _power(w: NDArray[Any]) -> float:
    """Mean square of the elements; 0 where float64 has no room for it and for what is computed from it."""
    with np.errstate(over="ignore"):
        power = float(np.mean(np.abs(w.astype(_wide(w))) ** 2))
    return power if _LEAST_POWER < power < math.inf else 0.0


def _wide(w: NDArray[Any]) -> type[np.generic]:
    return np.complex128 if w.dtype.kind == "c" else np.float64


def _raw_bytes(w: NDArray[Any]) -> float:
    return w.nbytes + 3.0
