"""Networks trained for their code: for a number of bytes, or as sparse codes from the first step.

Other methods code the weights of a given network. Here a network is trained from scratch, with the same seed and
budget, so that codes are compared at equal bytes by the best networks they allow.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from sinr_codec.coding.assembled import Plan, assemble
from sinr_codec.coding.dictionary import make_dictionary
from sinr_codec.coding.quantize import round_step
from sinr_codec.coding.sparse import Layout, SparseCode
from sinr_codec.coding.tensor import Coding, Direct, Sparse
from sinr_codec.errors import InputError
from sinr_codec.methods.base import Coded, Task
from sinr_codec.methods.direct import plan_for, rounder_for
from sinr_codec.methods.refine import refine
from sinr_codec.quality import decibels

FIT: Final[dict[str, Any]] = {"optimizer": "soap", "lr": 1e-3, "steps": 2000, "batch": 4096}
"""At full effort, as for the networks of the experiments."""
TRIES: Final = 4
"""Refinements for a size: training widens the distributions, so that the codes grow."""


def _config(task: Task, **settings: Any) -> Any:
    from sinr_codec.fit import FitConfig

    steps = max(1, round(FIT["steps"] * task.effort))
    return FitConfig(**FIT | {"steps": steps, "seed": task.seed, "device": task.device, "compile": False} | settings)


@dataclass(frozen=True)
class Rated:
    """Trained for `bits` per parameter (`fit.rated`), then rounded for the outputs: what `encode` does."""

    bits: float

    def __call__(self, task: Task) -> Coded:
        """Train and code a network."""
        from sinr_codec.fit import fit

        size = int(self.bits * task.field.num_params / 8)
        result = fit(task.trainable, task.part, _config(task, bits=8 * size / len(task.part)))
        trained = task.with_params(result.params)
        return Coded(plan_for(trained, size, trellis=True, rounder=rounder_for(trained, "balanced")))


@dataclass(frozen=True)
class SparseFromTheStart:
    """Hidden matrices A x, with x trained instead of the weights, in the end with s non-zeros per vector.

    A has k2 = `ratio` k1 columns of random signs. In the first 60% of the steps the number of atoms falls from all to s
    (cubically, Zhu and Gupta 2018). Every step uses the atoms of the largest coefficients; all coefficients take
    straight-through gradients, so that supports can change. Then supports are kept. Finally, step sizes are chosen for
    `bits` per parameter, and all numbers are trained with rounding (`refine`).
    """

    bits: float
    ratio: int = 2

    VALUE_BITS = 5.0
    FALL = 0.6

    def __call__(self, task: Task) -> Coded:
        """Train and code a network."""
        from sinr_codec.fit import fit

        shapes = task.field.shapes()
        hidden = [name for name, shape in shapes.items() if len(shape) == 2 and shape[0] == shape[1]]
        if not hidden:
            raise InputError("sparsity trained in: expected a network with two hidden layers or more")
        k1 = shapes[hidden[0]][0]
        k2, s = self.ratio * k1, self.atoms_of(k1)
        start = _fresh(task)
        seeds = {name: task.seed + number for number, name in enumerate(hidden)}
        tables = {name: make_dictionary("sign", seed, k1, k2) / math.sqrt(k1) for name, seed in seeds.items()}
        numbers = {_key(n, tables): np.linalg.pinv(tables[n]) @ w if n in tables else w for n, w in start.items()}
        numbers = {name: x.astype(np.float32) for name, x in numbers.items()}
        config = _config(task)
        through, masks = _through(task, tables, s, max(1, round(self.FALL * config.max_steps)))
        trained = fit(through, task.part, config, numbers).params
        codes, params = {}, {}
        for name in shapes:
            x = trained[_key(name, tables)]
            if name in tables:
                x = x * masks[name].cpu().numpy() / math.sqrt(k1)
                codes[name] = code = _code(x, s, seeds[name], k2)
                x = np.einsum("ksn,sn->kn", tables[name][:, code.indices], code.values * math.sqrt(k1))
            params[name] = x.astype(np.float32)
        task = replace(task, params=params, known={})
        error = task.error()
        size = wanted = int(self.bits * task.field.num_params / 8)
        for _ in range(TRIES):
            better, after = refine(task, _within(task, codes, wanted), error)
            if better.bytes <= size:
                break
            wanted = int(0.99 * wanted * size / better.bytes)
        figures = {"s": s, "trained_db": decibels(error(params)), "refined_db": decibels(after)}
        return Coded(better, figures=figures)

    def atoms_of(self, k1: int) -> int:
        """Atoms per vector for the bits: each costs a value, and its place among the remaining atoms."""
        k2 = self.ratio * k1

        def needed(s: int) -> float:
            places = math.lgamma(k2 + 1) - math.lgamma(s + 1) - math.lgamma(k2 - s + 1)
            return s * self.VALUE_BITS + places / math.log(2)

        return max([s for s in range(1, k1) if needed(s) <= self.bits * k1], default=1)


def _fresh(task: Task) -> dict[str, Any]:
    """Initial parameters of the dense network."""
    from sinr_codec.fit.loop import fresh, mean_of
    from sinr_codec.fit.samples import Samples

    mean, _ = mean_of(Samples(task.part, task.device), task.part)
    return fresh(task.field, mean, task.seed)


def _key(name: str, tables: Mapping[str, Any]) -> str:
    """Name of a tensor's trained numbers; not the weight's for coefficients, since `fit` joins weights to biases."""
    return f"{name}.code" if name in tables else name


def _through(task: Task, tables: Mapping[str, Any], s: int, fall: int) -> tuple[Any, dict[str, Any]]:
    """The network as a function of ever fewer coefficients, and the masks of the final ones, by tensor."""
    import torch

    from sinr_codec.fit.through import Through

    atoms = {name: torch.tensor(a, dtype=torch.float32, device=task.device) for name, a in tables.items()}
    masks: dict[str, Any] = {}
    state = {"step": 0, "atoms": max(a.shape[1] for a in tables.values())}

    def weights(numbers: Mapping[str, Any]) -> dict[str, Any]:
        made = {}
        for name in task.params:
            x = numbers[_key(name, atoms)]
            if name in atoms:
                left_out = x * (x.abs() < _least(x, state["atoms"]))
                x = atoms[name] @ (x * masks[name] if name in masks else x - left_out.detach())
            made[name] = x
        return made

    class Falling(Through):
        def refresh(self, numbers: Mapping[str, Any], step: int) -> None:
            """Reduce the number of atoms, then fix them."""
            most = next(iter(atoms.values())).shape[1]
            state["atoms"] = s + round((most - s) * (1 - min(step / fall, 1.0)) ** 3)
            if step < fall:
                masks.clear()
            elif not masks:
                for name in atoms:
                    x = numbers[_key(name, atoms)]
                    masks[name] = (x.abs() >= _least(x, s)).to(x)

    return Falling(task.trainable, weights), masks


def _least(x: Any, count: int) -> Any:
    """The `count`-th largest magnitude of each column."""
    return x.detach().abs().topk(count, 0).values[-1]


def _code(x: Any, s: int, seed: int, k2: int) -> SparseCode:
    """The largest s coefficients of each vector, (k2, n)."""
    indices = np.argsort(-np.abs(x), axis=0, kind="stable")[:s]
    return SparseCode("sign", seed, k2, Layout(0), indices, np.take_along_axis(x, indices, 0).astype(np.float64))


def _within(task: Task, codes: Mapping[str, SparseCode], size: int) -> Plan:
    """A plan for a size, with steps like those of planned weights; s coefficients share the error of a weight."""
    steps = {name: coding.step for name, coding in plan_for(task, size).codings.items() if isinstance(coding, Direct)}

    def coded(factor: float) -> Plan:
        codings: dict[str, Coding] = {}
        for name in task.params:
            step = (steps.get(name) or min(filter(None, steps.values()))) * factor
            if name in codes:
                code = codes[name]
                step = round_step(step / math.sqrt(len(code.indices)))
                codings[name] = Sparse(code.kind, code.seed, code.k2, len(code.indices), code.layout, step=step)
            else:
                codings[name] = Direct(step=round_step(step))
        return assemble(task.params, codings, codes)

    low, high = 1 / 64, 64.0
    for _ in range(12):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if coded(middle).bytes <= size else (middle, high)
    return coded(high)
