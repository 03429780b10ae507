"""Output-aware rounding: weights are rounded in groups, and the remaining ones are trained to compensate.

Rounding each weight to the nearest level adds independent errors. Here the weights with the largest sensitivity are
rounded first. The others are then trained for a few steps of SOAP towards the outputs of the original network. This is
repeated with fewer and fewer weights. If the outputs represent a signal, the gradient of its error at the original
weights, which no fit brings quite to zero, is added as a linear term. It is computed over all samples, which makes it
less noisy than batches. Optimal brain quantisation (Hassibi and Stork 1993; Frantar et al. 2022) and Babai's nearest
plane do the same on a quadratic model, whose matrix has as many entries as the square of the number of weights. On a
SIREN 3x64, for which it fits into memory, the remaining error is the same.

Sparse codes are chosen in the same way, some vectors at a time, in the metric of the outputs: A x approximates w well
if (w - A x)^T G (w - A x) is small, where G is the mean block of the Gauss-Newton matrix for one vector of weights.
With a root C of G, this is the pursuit of C w in the dictionary C A.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sinr_codec.coding import trellis
from sinr_codec.coding.dictionary import make_dictionary
from sinr_codec.coding.dtypes import is_float
from sinr_codec.coding.quantize import round_step
from sinr_codec.coding.sparse import SparseCode
from sinr_codec.coding.tensor import Direct, Sparse, row_of
from sinr_codec.errors import MissingExtraError
from sinr_codec.fields.base import Trainable
from sinr_codec.fit import kernels
from sinr_codec.fit.samples import Batches, Samples, even_subset
from sinr_codec.planning.omp import omp, solve
from sinr_codec.planning.rounder import Rounded
from sinr_codec.signals.base import Part
from sinr_codec.types import Params

Function = Callable[[Mapping[str, Tensor], Any], Tensor]
Slopes = Callable[[dict[str, Tensor]], Mapping[str, Tensor]]

_RATE: Final = 0.08  # learning rate of SOAP, in steps of the quantiser
_PROBES_OF_VECTORS: Final = 16  # batches for the Gauss-Newton blocks of sparse codes
_SMALLEST: Final = 64  # weights of the last group
# Samples for the gradient of the error. With 65,536 rays of a scene rounding did not help.
_MOST: Final = 1 << 20
_SCALE: Final = 1e4  # factor on the loss: SOAP's epsilon needs gradients that are not tiny
_DAMPING: Final = 0.03  # of G, relative to the mean of its diagonal
_SOME: Final = 16  # vectors to estimate the errors of a sparse code
_FIRST: Final = 2  # factor on the steps after the first group, while SOAP learns its bases


@dataclass(frozen=True)
class Effort:
    """The effort of a rounding.

    Attributes
    ----------
    groups
        Number of equal groups of weights; the last one is then halved repeatedly.
    steps
        Training steps after each group.
    batch
        Coordinates per step.
    felt
        Coordinates for the sensitivities. Some weights of a scene affect only one ray in a hundred, for which 8,192
        rays are too few.
    """

    groups: int = 8
    steps: int = 40
    batch: int = 4096
    felt: int = 1 << 17


@dataclass(frozen=True)
class _Unit:
    """A row of a tensor that is rounded at once: a trellis, or a vector of a sparse code, runs along it."""

    name: str
    row: int
    size: int
    felt: float  # mean sensitivity of its weights


def rounding_for(field: Trainable, part: Part, effort: Effort, seed: int = 0, device: str = "cpu") -> Rounding:
    """A `Rounding` for the error on a signal."""
    samples = Samples(part, device)
    function: Function = field.function(kernels.namespace(device), torch.device(device))

    def draw(count: int, generator: torch.Generator) -> Tensor:
        batches = Batches(len(samples), min(count, len(samples)), 0)
        batches.generator = generator
        return samples.take(batches.draw())[0]

    def slopes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        leaves = {name: w.detach().clone().requires_grad_() for name, w in tensors.items()}
        total = {name: torch.zeros_like(w) for name, w in tensors.items()}
        count = min(len(samples), _MOST)
        for coords, values in samples.chunks(even_subset(len(samples), _MOST), effort.batch):
            loss = part.loss(function(leaves, coords), values) * (len(values) / count)
            for name, slope in zip(leaves, torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)):
                if slope is not None:
                    total[name] += slope
        return total

    return Rounding(function, draw, effort, seed, device, slopes)


class Rounding:
    """``rounding(params, codings)`` for `planning.plan.plan`: a `Rounder`.

    Parameters
    ----------
    function
        ``function(tensors, coords (n, a)) -> outputs (n, b)``, differentiable.
    draw
        ``draw(n, generator) -> coords (n, a)``: coordinates for `function`.
    effort
        Effort of each call.
    seed
        Seed of the draws, which are the same in every call.
    device
        A torch device.
    slopes
        ``slopes(tensors)``: gradient of a mean squared error of the outputs by the parameters, called once. Without
        it, the targets are the outputs themselves.
    """

    def __init__(
        self,
        function: Function,
        draw: Callable[[int, torch.Generator], Any],
        effort: Effort | None = None,
        seed: int = 0,
        device: str = "cpu",
        slopes: Slopes | None = None,
    ) -> None:
        self.function, self.draw, self.effort = function, draw, effort or Effort()
        self.seed, self.device = seed, device
        self._slopes = slopes
        self._slope: Mapping[str, Tensor] | None = None
        self._felt: dict[str, Tensor] | None = None

    def felt(self, params: Params) -> dict[str, NDArray[np.float64]]:
        """Sensitivities: mean squared derivatives of the outputs by all floating-point parameters, as real numbers.

        They are computed in the first call, at its parameters, for all calls.
        """
        given = {name: torch.from_numpy(single(w)).to(self.device) for name, w in params.items() if is_float(w.dtype)}
        with kernels.training(sum(w.numel() for w in given.values()) * self.effort.batch):
            return {name: felt.double().cpu().numpy() for name, felt in self.felt_by(given).items()}

    def felt_by(self, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As `felt`, on tensors, complex ones viewed as real."""
        if self._felt is None:
            leaves = {name: real_view(w).detach().clone().requires_grad_() for name, w in given.items()}
            self._felt = {name: torch.zeros_like(leaf) for name, leaf in leaves.items()}
            generator = torch.Generator().manual_seed(self.seed)
            for slopes in self.probes(given, leaves, generator, max(self.effort.felt // self.effort.batch, 1)):
                for name, slope in slopes.items():
                    self._felt[name] += slope**2
        return self._felt

    def probes(
        self, given: Mapping[str, Tensor], leaves: dict[str, Tensor], generator: torch.Generator, count: int
    ) -> Iterator[dict[str, Tensor]]:
        """Gradients of randomly signed sums of the outputs; their squares add up to the sensitivities (Hutchinson).

        `leaves` replace the parameters of their names, viewed as real.
        """
        for _ in range(count):
            tensors = {
                **given,
                **{n: torch.view_as_complex(leaf) if given[n].is_complex() else leaf for n, leaf in leaves.items()},
            }
            outputs = self.function(tensors, self.draw(self.effort.batch, generator))
            signs = torch.randint(2, outputs.shape, generator=generator).to(outputs) * 2 - 1
            slopes = torch.autograd.grad((outputs * signs).sum(), list(leaves.values()), allow_unused=True)
            each = math.sqrt(outputs.numel() * count)
            yield {name: s.nan_to_num_(0.0, 0.0, 0.0) / each for name, s in zip(leaves, slopes) if s is not None}

    def slope(self, tensors: dict[str, Tensor]) -> Mapping[str, Tensor]:
        """Gradient of the error at the parameters of the first call, for all calls; empty without `slopes`."""
        if self._slope is None:
            self._slope = self._slopes(tensors) if self._slopes is not None else {}
        return self._slope

    def __call__(
        self, params: Params, codings: Mapping[str, Direct | Sparse], progress: Callable[[float], None] | None = None
    ) -> Rounded:
        """See `planning.rounder.Rounder`."""
        work = sum(w.size for w in params.values()) * self.effort.batch
        with kernels.training(work):
            return _Call(self, params, codings).run(progress)


def single(w: NDArray[Any]) -> NDArray[Any]:
    """An array of any dtype as float32 or complex64."""
    return np.array(w, dtype=np.complex64 if np.iscomplexobj(w) else np.float32)


def real_view(w: Tensor) -> Tensor:
    """A tensor viewed as real numbers."""
    return torch.view_as_real(w) if w.is_complex() else w


class _Call:
    def __init__(self, rounding: Rounding, params: Params, codings: Mapping[str, Direct | Sparse]) -> None:
        self.rounding, self.params, self.codings = rounding, params, codings
        self.effort = rounding.effort
        self.steps = {name: round_step(c.step) for name, c in codings.items() if c.step is not None}
        self.generator = torch.Generator().manual_seed(rounding.seed)
        self.given = {name: torch.from_numpy(single(w)).to(rounding.device) for name, w in params.items()}
        #: The unit of each weight. Leaves are in these units, so that the step is the same for a whole tensor.
        self.units = {name: self._units(name, c) for name, c in codings.items()}
        self.leaves = {
            name: (real_view(self.given[name]) / units).detach().requires_grad_() for name, units in self.units.items()
        }
        slope = rounding.slope(self.given)
        self.slope = {name: real_view(slope[name]) * units for name, units in self.units.items() if name in slope}
        self.rows = {name: len(self._lines(name, leaf)) for name, leaf in self.leaves.items()}
        felt = rounding.felt_by(self.given)
        self.felt = {name: felt[name] * units**2 for name, units in self.units.items()}
        grams = self._grams()
        self.pursuits = {
            n: _Pursuit(c, self.steps[n], grams[n], self.rows[n]) for n, c in codings.items() if isinstance(c, Sparse)
        }
        #: 1 for rows that are still free, 0 for rounded ones.
        self.free = {n: torch.ones(self.rows[n], 1, device=rounding.device) for n in codings}

    def run(self, progress: Callable[[float], None] | None) -> Rounded:
        """Round group by group."""
        optimizer = self._optimizer()
        before = 0.0
        groups = self._groups()
        left = {name: torch.ones_like(leaf.detach()) for name, leaf in self.leaves.items()}
        for number, group in enumerate(groups):
            if progress:
                progress(number / len(groups))
            costs = self._round(group)
            steps = 0 if number == len(groups) - 1 else self.effort.steps * (1 if number else _FIRST)
            after = self._train(optimizer, steps)
            share = min(max((after - before) / max(sum(costs.values()), 1e-300), 0.01), 1.0)
            before = after
            for unit in group:
                self._lines(unit.name, left[unit.name])[unit.row] = share
        rounded = dict(self.params)
        for name, leaf in self.leaves.items():
            values, w = (leaf * self.units[name]).detach().cpu().numpy(), self.params[name]
            rounded[name] = (
                (values.view(np.complex64) if np.iscomplexobj(w) else values).reshape(w.shape).astype(w.dtype)
            )
        shares = {name: each.double().cpu().numpy() for name, each in left.items()}
        return Rounded(rounded, {name: pursuit.code for name, pursuit in self.pursuits.items()}, shares)

    def _units(self, name: str, coding: Direct | Sparse) -> Tensor:
        shape = real_view(self.given[name]).shape
        if isinstance(coding, Sparse) or coding.scales is None:
            return torch.ones((), device=self.rounding.device)
        return torch.from_numpy(coding.scales.factors(tuple(shape))).to(self.given[name].real)

    def _variance(self, name: str, rows: Tensor) -> NDArray[np.float64]:
        """Expected variance of the levels in rows, for weights of equal variance."""
        units = self.units[name].double()
        power = real_view(self.given[name]).double().square().mean() / (self.steps[name] * units) ** 2
        return (self._lines(name, power)[rows] if power.ndim else power).cpu().numpy()

    def _lines(self, name: str, tensor: Tensor) -> Tensor:
        """A view (count, size) of a tensor, by rows that are rounded at once."""
        coding, shape = self.codings[name], tuple(tensor.shape)
        if isinstance(coding, Direct):
            return tensor.view(-1, row_of(shape))
        k1, n = coding.layout.dims(shape)
        return tensor.view(n, k1) if coding.layout.axis == 1 else tensor.view(k1, n).t()

    # -- groups

    def _grams(self) -> dict[str, NDArray[np.float64]]:
        """For sparse codes: means over vectors of the outer products of derivatives (k1, k1)."""
        sparse = {name: self.leaves[name] for name, c in self.codings.items() if isinstance(c, Sparse)}
        grams = {name: np.zeros(2 * self._lines(name, leaf).shape[1:]) for name, leaf in sparse.items()}
        if sparse:
            for slopes in self.rounding.probes(self.given, sparse, self.generator, _PROBES_OF_VECTORS):
                for name, slope in slopes.items():
                    lines = self._lines(name, slope).double().cpu().numpy()
                    grams[name] += lines.T @ lines / len(lines)
        return grams

    def _groups(self) -> list[list[_Unit]]:
        units = []
        for name, felt in self.felt.items():
            means = self._lines(name, felt / self.units[name] ** 2).mean(1).tolist()
            size = felt.numel() // self.rows[name]
            units += [_Unit(name, row, size, mean) for row, mean in enumerate(means)]
        units.sort(key=lambda unit: -unit.felt)
        ends, total = np.cumsum([unit.size for unit in units]), sum(unit.size for unit in units)
        edges = [total * i / self.effort.groups for i in range(1, self.effort.groups)]
        last = total / self.effort.groups
        while last > _SMALLEST:
            last /= 2
            edges.append(total - last)
        cuts = [0, *np.unique(np.searchsorted(ends, edges, side="left") + 1).tolist(), len(units)]
        return [group for first, stop in pairwise(cuts) if (group := units[first:stop])]

    def _round(self, group: Sequence[_Unit]) -> dict[str, float]:
        """Round the rows of a group; return the loss this adds by tensor, without compensation."""
        costs = {}
        for name in {unit.name: None for unit in group}:
            rows = torch.tensor([unit.row for unit in group if unit.name == name], device=self.rounding.device)
            coding, step = self.codings[name], self.steps[name]
            with torch.no_grad():
                weights = self._lines(name, self.leaves[name])
                felt = self._lines(name, self.felt[name])[rows].double().cpu().numpy()
                wide = weights[rows].double().cpu().numpy()
                values: NDArray[Any]
                if isinstance(coding, Sparse):
                    values = self.pursuits[name](rows.cpu().numpy(), wide)
                elif coding.trellis:
                    importance = felt / max(float(felt.mean()), 1e-300)
                    values = step * trellis.quantise(wide / step, self._variance(name, rows), importance)
                else:
                    values = step * np.rint(wide / step)
                weights[rows] = torch.from_numpy(values).to(weights)
            self.free[name][rows] = 0.0
            errors = values - wide
            if isinstance(coding, Sparse):
                costs[name] = self.pursuits[name].cost(errors, felt)
            else:
                costs[name] = float(np.sum(felt * errors**2))
        return costs

    # -- training

    def _optimizer(self) -> Any:
        try:
            from pytorch_optimizer import SOAP
        except ImportError as error:
            raise MissingExtraError("rounding needs pytorch-optimizer: pip install 'sinr-codec[fit]'") from error
        # In units of the weight's step, the size of the errors to compensate.
        groups = [
            {"params": [leaf], "lr": _RATE * self._coarseness(name), "peak": _RATE * self._coarseness(name)}
            for name, leaf in self.leaves.items()
        ]
        return SOAP(groups, lr=1e-4, betas=(0.9, 0.95), weight_decay=0.0, precondition_frequency=10)

    def _coarseness(self, name: str) -> float:
        """Step of a uniform quantiser with the same error as the coding."""
        coding, step = self.codings[name], self.steps[name]
        if isinstance(coding, Sparse):
            lines = self._lines(name, self.leaves[name].detach()).double().cpu().numpy()
            some = np.unique(np.linspace(0, len(lines) - 1, _SOME).astype(int))
            return math.sqrt(12 * float(np.mean((self.pursuits[name](some, lines[some]) - lines[some]) ** 2)))
        return step * (math.sqrt(12 * trellis.SQUARED_ERROR) if coding.trellis else 1.0)

    def _train(self, optimizer: Any, steps: int) -> float:
        """Train towards the outputs of the original network; return the remaining mean squared difference."""
        kept = {name: leaf.detach().clone() for name, leaf in self.leaves.items()}
        loss = math.nan
        for step in range(steps + 1):
            coords = self._coords()
            with torch.no_grad():
                wanted = self.rounding.function(self.given, coords)
            error = ((self._outputs(coords) - wanted) ** 2).mean()
            if step == steps:
                loss = float(error.detach())
                break
            error.mul(_SCALE).backward()
            for name, leaf in self.leaves.items():
                if leaf.grad is not None:
                    leaf.grad.nan_to_num_(0.0, 0.0, 0.0)  # a foreign network may overflow somewhere
                    if name in self.slope:
                        leaf.grad.add_(self.slope[name], alpha=_SCALE)
                    self._lines(name, leaf.grad).mul_(self.free[name])
            for settings in optimizer.param_groups:
                settings["lr"] = settings["peak"] * (1 - step / steps)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            with torch.no_grad():  # SOAP's bases mix rows; rounded rows must not change
                for name, leaf in self.leaves.items():
                    self._lines(name, leaf).lerp_(self._lines(name, kept[name]), 1 - self.free[name])
        return loss

    def _outputs(self, coords: Any) -> Tensor:
        tensors = {
            name: self._weights(name, leaf) if (leaf := self.leaves.get(name)) is not None else w
            for name, w in self.given.items()
        }
        return self.rounding.function(tensors, coords)

    def _weights(self, name: str, leaf: Tensor) -> Tensor:
        weights = leaf * self.units[name]
        return torch.view_as_complex(weights) if self.given[name].is_complex() else weights

    def _coords(self) -> Any:
        return self.rounding.draw(self.effort.batch, self.generator)


class _Pursuit:
    """Sparse codes for the vectors of one tensor, some at a time, in the metric of the outputs."""

    def __init__(self, coding: Sparse, step: float, gram: NDArray[np.float64], n: int) -> None:
        k1 = len(gram)
        self.gram = gram
        damped = gram + _DAMPING * max(float(np.trace(gram)) / k1, 1e-300) * np.eye(k1)
        self.root = np.linalg.cholesky(damped / np.trace(damped)).T
        self.s, self.step = coding.s, step
        self.dictionary = make_dictionary(coding.kind, coding.seed, k1, coding.k2)
        self.felt = (self.root @ self.dictionary).astype(np.float32)
        indices, values = np.full((coding.s, n), -1, np.int64), np.zeros((coding.s, n))
        self.code = SparseCode(coding.kind, coding.seed, coding.k2, coding.layout, indices, values)

    def __call__(self, rows: NDArray[np.int64], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Code vectors (m, k1), those in `rows` of the tensor; return the decoded vectors."""
        wanted = self.root @ vectors.T
        indices, _ = omp(self.felt, wanted, self.s)
        values = solve(self.felt, wanted, indices, self.step)
        self.code.indices[:, rows], self.code.values[:, rows] = indices, values
        atoms = self.dictionary[:, np.maximum(indices, 0)]  # (k1, s, m)
        return np.asarray(np.einsum("ksm,sm->mk", atoms, values))

    def cost(self, errors: NDArray[np.float64], felt: NDArray[np.float64]) -> float:
        """Loss added by errors (m, k1) of vectors with sensitivities `felt`."""
        share = felt.mean(1) / max(float(np.trace(self.gram)) / len(self.gram), 1e-300)
        return float(np.sum(share * np.sum((errors @ self.gram) * errors, axis=1)))
