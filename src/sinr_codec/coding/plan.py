"""Which coding each tensor gets: the smallest file whose loss stays within the limit.

The loss of the whole network is quadratic near the trained weights, so with a sensitivity c_t of each tensor

    loss(coded) - loss(given)  ~  sum_t c_t |w_t - coded w_t|^2

and every choice that is best for one slope of bytes against loss is best for all tensors together (a Lagrangian).
For uniform quantisation at such a slope, the step of tensor t is `kappa / sqrt(c_t)` with one `kappa` for the
whole network: a bit costs ln 2 / 8 bytes a weight, the error of a step is step^2 / 12. The same holds for the
values of a sparse code, whose errors reach the weights through atoms of squared norm |a|^2. At a given `kappa` each
tensor takes the cheapest of its candidates: stored as it is, direct, sparse in several dictionaries and sparsities.

The model only orders the candidates. What decides is `loss` of all tensors decoded together, measured while
`kappa` is searched.
"""

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import brotli
import numpy as np
from numpy.typing import NDArray

from sinr_codec.coding.dictionary import make_dictionary
from sinr_codec.coding.omp import omp, solve
from sinr_codec.coding.quantize import MAX_STEP, MIN_STEP, minmax, round_step
from sinr_codec.coding.sparse import SparseCode, layout_of, paper_sparsity, to_vectors
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
)
from sinr_codec.errors import InputError

Params = Mapping[str, NDArray[Any]]
Loss = Callable[[dict[str, NDArray[Any]]], float]

PAPER_K2 = 65_536
"""Atoms of the paper's dictionary: the most that its 16-bit indices address. The paper prints no k2."""
PAPER_BITS = 16

_PROBE_SNR = 10 ** (40 / 10)  # of the weights when a tensor's sensitivity is probed: within the quadratic range
_SLOPE = 6 / (8 * math.log(2))  # bytes per unit of loss at kappa = 1: -d(bytes)/d(step) = n / (8 ln 2 step)
_TOLERANCE = 0.02  # stop when the loss is this close below its limit; 1 % of kappa is 0.014 bit a weight
_TRIES = 12
_UNUSED = 1e-200  # sensitivity of a tensor that has no influence: any step will do
_MAX_DICTIONARY = 1 << 25  # entries of a dictionary that is worth searching


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
    """

    codings: dict[str, Coding]
    records: dict[str, bytes]
    params: dict[str, NDArray[Any]]
    loss: float = math.nan

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
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
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
        Give weight matrices no other candidate than the sparse code: to measure what it costs.
    seed
        Seed of the dictionaries, and of the probes.
    progress
        Called with the number of evaluations of either loss so far.

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
    tensors = _probed(params, coded, probe or loss, counted, dictionaries, seed)
    if sparse_only:
        tensors = [replace(tensor, dense=not tensor.sparse) for tensor in tensors]
    if not tensors:
        return replace(_assemble(params, {name: Raw() for name in params}), loss=base)
    if max_bytes is not None:
        return _within_bytes(params, tensors, loss, max_bytes, counted)
    return _within_loss(params, tensors, loss, base, limit, counted)


def plan_by_weights(params: Params, snr: float) -> Plan:
    """Plan without a loss: every tensor is coded so that its weights keep `snr` dB. A fall-back."""
    codings: dict[str, Coding] = {}
    for name, w in params.items():
        codings[name] = Raw()
        if is_lossy(w) and (power := float(np.mean(np.abs(w.astype(_wide(w))) ** 2))) > 0:
            tensor = _Tensor(name, w, 1 / power)
            codings[name], _ = tensor.cheapest(math.sqrt(12 * 10 ** (-snr / 10)))
    return _assemble(params, codings)


def plan_paper(params: Params, seed: int = 0, k2: int = PAPER_K2, s: int | None = None) -> Plan:
    """SINR as published: weight matrices by OMP, s from the width, 16-bit min-max, Brotli; biases only quantised.

    The width k of the network is the longest vector that occurs as a bias, or else the longer side of a matrix
    (section 3.3.2: matrices are flattened when k < 50).
    """
    codings: dict[str, Coding] = {}
    for name, w in params.items():
        codings[name] = Direct(bits=PAPER_BITS, paper=True) if is_lossy(w) else Raw()
        if is_lossy(w) and w.ndim == 2 and min(w.shape) > 0:
            layout = layout_of(w.shape, max(w.shape))
            k1 = to_vectors(np.zeros(w.shape), layout).shape[0]
            sparsity = min(s or paper_sparsity(k1), (k1 - 1) // 2)
            if sparsity > 0:
                codings[name] = Sparse("gaussian", seed, k2, sparsity, layout, bits=PAPER_BITS, paper=True)
    return _assemble(params, codings)


def baseline_bytes(params: Params) -> int:
    """Bytes of the tensors as the paper codes them for everybody: 16-bit min-max a tensor, then Brotli over all."""
    words = []
    for w in params.values():
        if is_lossy(w):
            q, _, _ = minmax(w if w.dtype.kind != "c" else [w.real, w.imag], PAPER_BITS)
            words.append(q.astype("<u2").tobytes())
        else:
            words.append(w.tobytes())
    return len(brotli.compress(b"".join(words), quality=11))


# -- one tensor ------------------------------------------------------------------------------------------------


@dataclass
class _Tensor:
    """A tensor with its sensitivity (loss per squared error of the weights) and its sparse codes so far."""

    name: str
    w: NDArray[Any]
    sensitivity: float
    sparse: list[SparseCode] = field(default_factory=list)
    dense: bool = True  # whether it may also be coded without a dictionary

    def cheapest(self, kappa: float) -> tuple[Coding, SparseCode | None]:
        """The candidate of least bytes + loss in units of bytes, at the slope that `kappa` stands for."""
        price = self.sensitivity * _SLOPE / kappa**2
        choices: list[tuple[float, Coding, SparseCode | None]] = []
        if self.dense:
            step = self._step(kappa)
            size, error = direct_cost(self.w, step)
            choices = [(_raw_bytes(self.w), Raw(), None), (size + price * error, Direct(step=step), None)]
        for code in self.sparse:
            step = self._step(kappa, _atom_power(code, self.w.shape))
            size, error = sparse_cost(code, self.w, step)
            sparse = Sparse(code.kind, code.seed, code.k2, len(code.indices), code.layout, step=step)
            choices.append((size + price * error, sparse, code))
        return min(choices, key=lambda choice: choice[0])[1:]

    def _step(self, kappa: float, power: float = 1.0) -> float:
        """The step of numbers whose squared errors count `power` times in the weights."""
        coarsest = 2 * float(np.abs(self.w).max()) or 1.0
        step = kappa / math.sqrt(max(self.sensitivity * power, _UNUSED))
        return round_step(min(max(step, MIN_STEP), coarsest, MAX_STEP))


def _atom_power(code: SparseCode, shape: tuple[int, ...]) -> float:
    """Mean squared norm of the dictionary's atoms: 16 k1 for popcounts of 64 bits, k1 for signs."""
    k1, _ = code.layout.dims(shape)
    return k1 * (16.0 if code.kind == "gaussian" else 1.0)


def _sparse_codes(w: NDArray[Any], k2s: tuple[int, ...], seed: int) -> list[SparseCode]:
    """Sparse candidates of a weight matrix: each dictionary, and a few sparsities of one pursuit each.

    The order of selection is kept, so the first atoms of the longest code are the shorter codes.
    """
    codes: list[SparseCode] = []
    if w.ndim != 2 or w.dtype.kind == "c" or w.size < 256:
        return codes
    layout = layout_of(w.shape, max(w.shape))
    vectors = to_vectors(w, layout)
    k1 = len(vectors)
    most = (k1 - 1) // 2
    for k2 in k2s:
        if k2 <= k1 or k1 * k2 > _MAX_DICTIONARY:
            continue
        dictionary = make_dictionary("sign", seed, k1, k2)
        indices, _ = omp(dictionary, vectors, most)
        for s in sorted({most // 2, 3 * most // 4, paper_sparsity(k1), most}):
            values = solve(dictionary, vectors, indices[:s])
            codes.append(SparseCode("sign", seed, k2, layout, indices[:s], values))
    return codes


# -- all tensors -----------------------------------------------------------------------------------------------


class _Counter:
    """Counts evaluations of the losses for whoever watches."""

    def __init__(self, progress: Callable[[int], None] | None) -> None:
        self.progress = progress
        self.evaluations = 0

    def __call__(self, loss: Loss, params: dict[str, NDArray[Any]]) -> float:
        value = float(loss(params))
        self.evaluations += 1
        if self.progress:
            self.progress(self.evaluations)
        return value


def _probed(
    params: Params, coded: Params, probe: Loss, counted: _Counter, dictionaries: tuple[int, ...], seed: int
) -> list[_Tensor]:
    """The tensors that will be quantised, with their sensitivities.

    A random error of +-e in every weight, added and subtracted: in the mean of the two losses the gradient, which
    no fit brings quite to zero, cancels, and the curvature is left.
    """
    rng = np.random.default_rng(seed)
    params = dict(params)
    start = counted(probe, params)
    tensors = []
    for name, w in coded.items():
        wide = w.astype(_wide(w))
        power = float(np.mean(np.abs(wide) ** 2))
        if power == 0:
            continue
        error = math.sqrt(power / _PROBE_SNR) * rng.choice([-1.0, 1.0], w.shape)
        losses = [counted(probe, params | {name: (wide + sign * error).astype(w.dtype)}) for sign in (1, -1)]
        # Exactly no difference: the network does not use the tensor. A curvature that drowns in noise is another
        # thing; such a tensor counts like a thousandth of the least sensitive one.
        curvature = max((losses[0] + losses[1]) / 2 - start, 0.0) / float(np.sum(error**2))
        unused = losses[0] == losses[1] == start
        tensors.append(_Tensor(name, w, _UNUSED if unused else curvature, _sparse_codes(w, dictionaries, seed)))
    least = 1e-3 * min((t.sensitivity for t in tensors if t.sensitivity > _UNUSED), default=1.0)
    for tensor in tensors:
        tensor.sensitivity = tensor.sensitivity if tensor.sensitivity == _UNUSED else max(tensor.sensitivity, least)
    return tensors


def _coded(kappa: float, params: Params, tensors: list[_Tensor]) -> Plan:
    """Everything that follows from `kappa`, not measured yet."""
    codings: dict[str, Coding] = {name: Raw() for name in params}
    codes: dict[str, SparseCode | None] = {}
    for tensor in tensors:
        codings[tensor.name], codes[tensor.name] = tensor.cheapest(kappa)
    return _assemble(params, codings, codes)


def _assemble(params: Params, codings: dict[str, Coding], codes: Mapping[str, SparseCode | None] | None = None) -> Plan:
    """Code every tensor as decided; what the decoder gets is decoded from the records themselves."""
    records = {name: encode_tensor(w, codings[name], (codes or {}).get(name)) for name, w in params.items()}
    decoded = {name: decode_tensor(records[name], w.shape, w.dtype) for name, w in params.items()}
    return Plan(codings, records, decoded)


def _within_loss(
    params: Params, tensors: list[_Tensor], loss: Loss, base: float, limit: float, counted: _Counter
) -> Plan:
    """The largest `kappa` whose measured loss is within `limit`.

    The excess loss grows like kappa^2, which gives the first guess and every next one; the bracket keeps the
    guesses from running away when rounding makes the loss jump.
    """
    weights = sum(tensor.w.size for tensor in tensors)
    kappa = math.sqrt(12 * (limit - base) / weights)
    low, high = 0.0, math.inf
    best: Plan | None = None
    for _ in range(_TRIES):
        plan = _coded(kappa, params, tensors)
        plan = replace(plan, loss=counted(loss, plan.params))
        excess = (plan.loss - base) / (limit - base)
        if excess <= 1:
            low = kappa
            if best is None or plan.bytes < best.bytes:
                best = plan
        else:
            high = kappa
        if (best is not None and excess > 1 - _TOLERANCE and excess <= 1) or high < low * (1 + _TOLERANCE / 4):
            break
        guess = kappa * math.sqrt((1 - _TOLERANCE / 2) / excess) if excess > 1e-3 else 8 * kappa
        kappa = guess if low < guess < high else math.sqrt(low * high) if low else high / 4
    if best is None:
        # Not even fine steps keep the loss: the weights as they are do.
        return replace(_assemble(params, {name: Raw() for name in params}), loss=base)
    return best


def _within_bytes(params: Params, tensors: list[_Tensor], loss: Loss, max_bytes: int, counted: _Counter) -> Plan:
    """The smallest `kappa` whose records fit into `max_bytes`, or the smallest records there are.

    Doubling kappa saves a bit a weight.
    """
    lossless = _assemble(params, {name: Raw() for name in params})
    if lossless.bytes <= max_bytes:
        return replace(lossless, loss=counted(loss, lossless.params))
    weights = sum(tensor.w.size for tensor in tensors)
    power = sum(tensor.sensitivity * float(np.sum(np.abs(tensor.w.astype(_wide(tensor.w))) ** 2)) for tensor in tensors)
    kappa = math.sqrt(12 * power / weights) * 2.0 ** -(8 * max_bytes / weights)
    low, high = 0.0, math.inf
    best: Plan | None = None
    for _ in range(_TRIES):
        plan = _coded(kappa, params, tensors)
        if plan.bytes <= max_bytes:
            high, best = kappa, plan
            if plan.bytes > max_bytes * (1 - _TOLERANCE / 4):
                break
        else:
            low = kappa
            if best is None or best.bytes > max_bytes:
                best = plan
        excess = 8 * (plan.bytes - max_bytes * (1 - _TOLERANCE / 8)) / weights  # bits a weight
        guess = kappa * 2 ** min(max(excess, -8), 8)
        kappa = guess if low < guess < high else math.sqrt(low * high) if high < math.inf else 2 * low
    assert best is not None
    return replace(best, loss=counted(loss, best.params))


def _wide(w: NDArray[Any]) -> type[np.generic]:
    return np.complex128 if w.dtype.kind == "c" else np.float64


def _raw_bytes(w: NDArray[Any]) -> float:
    return w.nbytes + 3.0
