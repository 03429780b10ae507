"""Rounding all weights of a network for what it puts out: some at a time, the others trained to make up for it.

Rounding each weight to the nearest level adds errors that know nothing of each other. Here the weights that the outputs
feel most are rounded first; those that are still free then take a few steps of SOAP towards the outputs of the network
as it was; and so on, with fewer and fewer weights, to the last. Optimal brain quantisers (Hassibi and Stork 1993;
Frantar et al. 2022) and Babai's nearest plane do the same on a quadratic model, whose matrix has the square of the
number of weights; on a SIREN 3x64, for which it fits into memory, what is left of the error is the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from array_api_compat import torch as xtorch
from numpy.typing import NDArray
from torch import Tensor

from sinr_codec.coding import trellis
from sinr_codec.coding.quantize import round_step
from sinr_codec.coding.tensor import Direct, row_of
from sinr_codec.errors import MissingExtraError
from sinr_codec.fields.base import Trainable
from sinr_codec.fit.samples import Batches, Samples
from sinr_codec.fit.threads import threads_for
from sinr_codec.signals.base import Part

Params = Mapping[str, NDArray[Any]]
Function = Callable[[Mapping[str, Tensor], Any], Tensor]

_RATE = 0.08  # of SOAP, in steps of the quantiser
_PROBES = 16  # batches that tell how much the outputs feel each weight
_SMALLEST = 64  # weights; the last of the free ones are rounded together
_FIRST = 2  # times as many steps after the first group, while SOAP learns its bases


@dataclass(frozen=True)
class Effort:
    """How much work a rounding is.

    Attributes
    ----------
    groups
        Into how many equal ones the weights are divided; the last is then halved again and again.
    steps
        Of training after each group.
    batch
        Coordinates a step.
    """

    groups: int = 8
    steps: int = 40
    batch: int = 4096


@dataclass(frozen=True)
class _Unit:
    """A row of a tensor: what is rounded in one go, for a trellis runs along it."""

    name: str
    row: int
    size: int
    felt: float  # mean squared derivative of the outputs


def rounding_for(field: Trainable, part: Part, effort: Effort, seed: int = 0, device: str = "cpu") -> Rounding:
    """Rounding for the samples of a signal: its outputs count at those, whatever the signal has there."""
    samples = Samples(part, device)

    def draw(count: int, generator: torch.Generator) -> Tensor:
        batches = Batches(len(samples), min(count, len(samples)), 0)
        batches.generator = generator
        return samples.take(batches.draw())[0]

    return Rounding(field.function(xtorch, torch.device(device)), draw, effort, seed, device)


class Rounding:
    """``rounding(params, codings)`` for `coding.plan.plan`: a `Rounder`.

    Parameters
    ----------
    function
        ``function(tensors, coords (n, a)) -> outputs (n, b)``, differentiable.
    draw
        ``draw(n, generator) -> coords (n, a)`` at which the outputs count, as `function` takes them.
    effort
        How much work each call is.
    seed
        Of what is drawn; every call draws the same.
    device
        A torch device.
    """

    def __init__(
        self,
        function: Function,
        draw: Callable[[int, torch.Generator], Any],
        effort: Effort | None = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.function, self.draw, self.effort = function, draw, effort or Effort()
        self.seed, self.device = seed, device

    def __call__(
        self, params: Params, codings: Mapping[str, Direct]
    ) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
        """See `coding.plan.Rounder`."""
        work = sum(w.size for w in params.values()) * self.effort.batch
        with threads_for(work):
            return _Call(self, params, codings).run()


def single(w: NDArray[Any]) -> NDArray[Any]:
    """Numbers of any dtype as float32 or complex64."""
    return np.array(w, dtype=np.complex64 if np.iscomplexobj(w) else np.float32)


class _Call:
    def __init__(self, rounding: Rounding, params: Params, codings: Mapping[str, Direct]) -> None:
        self.rounding, self.params, self.codings = rounding, params, codings
        self.effort = rounding.effort
        self.steps = {name: round_step(c.step) for name, c in codings.items() if c.step is not None}
        self.generator = torch.Generator().manual_seed(rounding.seed)
        self.given = {name: torch.from_numpy(single(w)).to(rounding.device) for name, w in params.items()}
        self.leaves = {name: self._real(self.given[name]).clone().requires_grad_() for name in codings}
        self.felt = self._felt()
        self.rows = {name: leaf.numel() // row_of(tuple(leaf.shape)) for name, leaf in self.leaves.items()}
        #: Which weights are rounded already, in rows.
        self.free = {n: torch.ones(self.rows[n], 1, device=rounding.device) for n in codings}

    def run(self) -> tuple[dict[str, NDArray[Any]], dict[str, float]]:
        """Round group by group."""
        optimizer = self._optimizer()
        before, added, left = 0.0, dict.fromkeys(self.codings, 0.0), dict.fromkeys(self.codings, 0.0)
        groups = self._groups()
        for number, group in enumerate(groups):
            costs = self._round(group)
            steps = 0 if number == len(groups) - 1 else self.effort.steps * (1 if number else _FIRST)
            after = self._train(optimizer, steps)
            # Of all that this group added, so much is left; each of its tensors has its share.
            share = min(max((after - before) / max(sum(costs.values()), 1e-300), 0.01), 1.0)
            before = after
            for name, cost in costs.items():
                added[name] += cost
                left[name] += share * cost
        rounded = dict(self.params)
        for name, leaf in self.leaves.items():
            values, w = leaf.detach().cpu().numpy(), self.params[name]
            rounded[name] = (
                (values.view(np.complex64) if np.iscomplexobj(w) else values).reshape(w.shape).astype(w.dtype)
            )
        return rounded, {name: left[name] / added[name] if added[name] > 0 else 1.0 for name in self.codings}

    # -- groups

    def _felt(self) -> dict[str, Tensor]:
        """Mean squared derivatives of the outputs: gradients of sums with random signs, squared (Hutchinson)."""
        squares = {name: torch.zeros_like(leaf) for name, leaf in self.leaves.items()}
        for _ in range(_PROBES):
            outputs = self._outputs(self._coords())
            signs = torch.randint(2, outputs.shape, generator=self.generator).to(outputs) * 2 - 1
            slopes = torch.autograd.grad((outputs * signs).sum(), list(self.leaves.values()), allow_unused=True)
            for square, slope in zip(squares.values(), slopes):
                if slope is not None:
                    square += slope**2 / (outputs.numel() * _PROBES)
        return squares

    def _groups(self) -> list[list[_Unit]]:
        units = []
        for name, felt in self.felt.items():
            means = felt.reshape(self.rows[name], -1).mean(1).tolist()
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
        """Put the rows of a group on their grids; what that adds to the loss by tensor, as if nothing followed."""
        costs = {}
        for name in {unit.name: None for unit in group}:
            rows = torch.tensor([unit.row for unit in group if unit.name == name], device=self.rounding.device)
            coding, step, count = self.codings[name], self.steps[name], self.rows[name]
            with torch.no_grad():
                weights = self.leaves[name].view(count, -1)
                felt = self.felt[name].view(count, -1)[rows].double().cpu().numpy()
                wide = weights[rows].double().cpu().numpy()
                x = wide / step
                if coding.trellis:
                    variance = float(torch.mean(weights.double() ** 2)) / step**2
                    importance = felt / max(float(felt.mean()), 1e-300)
                    levels = trellis.quantise(x, variance, importance)
                else:
                    levels = np.rint(x)
                values = levels * step
                weights[rows] = torch.from_numpy(values).to(weights)
            self.free[name][rows] = 0.0
            costs[name] = float(np.sum(felt * (values - wide) ** 2))
        return costs

    # -- training

    def _optimizer(self) -> Any:
        try:
            from pytorch_optimizer import SOAP
        except ImportError as error:
            raise MissingExtraError("rounding needs pytorch-optimizer: pip install 'sinr-codec[fit]'") from error
        # In units of the weight's step: what is to be made up for is of that size.
        groups = [
            {"params": [leaf], "lr": _RATE * self._coarseness(name), "peak": _RATE * self._coarseness(name)}
            for name, leaf in self.leaves.items()
        ]
        return SOAP(groups, lr=1e-4, betas=(0.9, 0.95), weight_decay=0.0, precondition_frequency=10)

    def _coarseness(self, name: str) -> float:
        """Step of a uniform quantiser with the error of the coding's."""
        return self.steps[name] * (math.sqrt(12 * trellis.SQUARED_ERROR) if self.codings[name].trellis else 1.0)

    def _train(self, optimizer: Any, steps: int) -> float:
        """Bring the outputs back to those of the network as it was; mean squared difference that is left."""
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
            # SOAP's epsilon wants gradients that are not tiny.
            error.mul(1e4).backward()
            for name, leaf in self.leaves.items():
                if leaf.grad is not None:
                    leaf.grad.view(self.rows[name], -1).mul_(self.free[name])
            for settings in optimizer.param_groups:
                settings["lr"] = settings["peak"] * (1 - step / steps)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            with torch.no_grad():  # its bases mix rows: what is rounded stays
                for name, leaf in self.leaves.items():
                    rows = self.rows[name]
                    leaf.view(rows, -1).lerp_(kept[name].view(rows, -1), 1 - self.free[name])
        return loss

    def _outputs(self, coords: Any) -> Tensor:
        tensors = {
            name: (torch.view_as_complex(self.leaves[name]) if w.is_complex() else self.leaves[name])
            if name in self.leaves
            else w
            for name, w in self.given.items()
        }
        return self.rounding.function(tensors, coords)

    def _coords(self) -> Any:
        return self.rounding.draw(self.effort.batch, self.generator)

    @staticmethod
    def _real(w: Tensor) -> Tensor:
        return torch.view_as_real(w) if w.is_complex() else w
