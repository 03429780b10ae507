"""Training a coded network further on the signal: the numbers of its code, or its weights for fewer bytes."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.coding.assembled import Plan, assemble
from sinr_codec.coding.dictionary import atoms
from sinr_codec.coding.sparse import SparseCode
from sinr_codec.coding.tensor import Direct, Sparse
from sinr_codec.fields.base import Trainable
from sinr_codec.methods.base import Task
from sinr_codec.progress import Listener
from sinr_codec.signals.base import Part
from sinr_codec.types import Params

STEPS: Final = 1500
"""At full effort; more steps gain little."""
LEARNING_RATE: Final = 2e-4
"""1e-4 and 3e-4 are within 0.1 dB of it; 1e-3 costs 1 dB for sparse codes of 4 bits."""
BATCH: Final = 4096
REFIT_STEPS: Final = 4000
REFIT_RATE: Final = 3e-4
"""Steps and learning rate of SOAP. Fewer steps need a lower rate: 1,500 at 5e-4 lose quality, 4,000 gain."""
REFIT_SHARE: Final = 0.75
"""Target as a share of a network's bytes. Refitting for this target reaches about it at the same loss."""


def refine(task: Task, start: Plan, error: Callable[[Params], float]) -> tuple[Plan, float]:
    """The plan with trained numbers, and its error; the plan unchanged if that does not help.

    Numbers are rounded to their steps in the forward pass, with straight-through gradients, so the trained network is
    the decoded one. Steps and atoms stay, so the size hardly changes.
    """
    from sinr_codec.fit import FitConfig, fit
    from sinr_codec.fit.through import Through

    numbers = {name: _numbers(name, start, task.params[name]) for name in start.codings}
    weights = _Weights(start, task.params, task.device)
    config = FitConfig(
        optimizer="adam",
        lr=LEARNING_RATE,
        steps=max(1, round(STEPS * task.effort)),
        batch=BATCH,
        seed=task.seed,
        compile=False,
        device=task.device,
    )
    result = fit(Through(task.trainable, weights), task.part, config, numbers)
    trained = _with_numbers(start, task.params, result.params)
    before, after = error(start.params), error(trained.params)
    return (trained, after) if after < before else (start, before)


def refit(
    trainable: Trainable,
    part: Part,
    params: Params,
    size: int,
    *,
    effort: float = 1.0,
    seed: int = 0,
    device: str = "cpu",
    progress: Listener | None = None,
) -> dict[str, NDArray[Any]]:
    """Parameters trained further from `params`, which take `size` bytes, for fewer bytes (`fit.rated`)."""
    from sinr_codec.fit import FitConfig, fit

    config = FitConfig(
        lr=REFIT_RATE,
        steps=max(1, round(REFIT_STEPS * effort)),
        batch=BATCH,
        bits=8 * REFIT_SHARE * size / len(part),
        seed=seed,
        device=device,
    )
    return fit(trainable, part, config, params, progress).params


def _numbers(name: str, plan: Plan, w: NDArray[Any]) -> NDArray[Any]:
    """The trained numbers of a tensor: its weights, or the values of its sparse code in units of weights."""
    if (code := plan.codes.get(name)) is None:
        return plan.params[name] if not isinstance(plan.codings[name], Direct) else w
    return (code.values * _scale(code)).astype(np.float32)


def _scale(code: SparseCode) -> float:
    """Root mean square of the dictionary's entries: 4 for popcounts of 64 bits, 1 for signs."""
    return 4.0 if code.kind == "gaussian" else 1.0


def _with_numbers(plan: Plan, params: Params, numbers: Mapping[str, NDArray[Any]]) -> Plan:
    """The trained numbers coded with the steps and atoms of a plan."""
    codes = {
        name: replace(code, values=numbers[name].astype(np.float64) / _scale(code))
        for name, code in plan.codes.items()
        if code is not None
    }
    kept = {name: params[name] if name in codes else numbers[name] for name in plan.codings}
    return assemble(kept, plan.codings, codes)


class _Weights:
    """Weights as a function of the numbers, on torch tensors: rounded to a plan's steps, multiplied by its atoms."""

    def __init__(self, plan: Plan, params: Params, device: str) -> None:
        import torch

        self.steps: dict[str, float] = {}
        self.atoms: dict[str, tuple[Any, SparseCode, tuple[int, ...], float]] = {}
        for name, coding in plan.codings.items():
            code = plan.codes.get(name)
            if isinstance(coding, Direct | Sparse) and coding.step is not None:
                self.steps[name] = coding.step
            if code is not None:
                scale, shape = _scale(code), params[name].shape
                k1, _ = code.layout.dims(shape)
                columns = atoms(code.kind, code.seed, k1, code.k2, np.maximum(code.indices, 0).reshape(-1))
                table = (columns / scale).astype(np.float32).reshape(k1, *code.indices.shape)  # (k1, s, n)
                self.atoms[name] = torch.from_numpy(np.ascontiguousarray(table)).to(device), code, shape, scale
                if name in self.steps:
                    self.steps[name] *= scale

    def __call__(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        from sinr_codec.fit.through import round_through

        weights = {}
        for name, x in numbers.items():
            rounded = round_through(x, self.steps[name]) if name in self.steps else x
            if name in self.atoms:
                table, code, shape, _ = self.atoms[name]
                vectors = (table * rounded).sum(1)  # (k1, n)
                rounded = (vectors.T if code.layout.axis == 1 else vectors).reshape(shape)
            weights[name] = rounded
        return weights
