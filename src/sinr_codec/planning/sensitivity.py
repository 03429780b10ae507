"""Measured sensitivities of the loss to errors in each tensor."""

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from sinr_codec.coding.assembled import Plan
from sinr_codec.coding.tensor import Direct, Sparse
from sinr_codec.planning.rounder import Rounded, Rounder
from sinr_codec.planning.tensors import UNUSED, PlannedTensor, mean_square, wide_type
from sinr_codec.types import Array, Params

Loss = Callable[[dict[str, Array]], float]

_PROBE_SNR: Final = 10 ** (40 / 10)  # of the weights in a probe: within the quadratic range
_PROBES: Final = 9  # errors tried for a tensor
_QUADRATIC: Final = 100  # times the allowed loss: the largest rise that counts as quadratic


class Counter:
    """Counts evaluations of the losses, and reports them."""

    def __init__(self, progress: Callable[[int, str], None] | None) -> None:
        self.progress = progress
        self.evaluations = self.roundings = 0

    def __call__(self, loss: Loss, params: dict[str, Array]) -> float:
        """The loss of parameters."""
        value = float(loss(params))
        self.evaluations += 1
        self._report()
        return value

    def round(self, rounder: Rounder, params: Params, codings: Mapping[str, Direct | Sparse], _: Any = None) -> Rounded:
        """The result of a rounder for parameters."""
        self.roundings += 1
        number = self.roundings
        return rounder(
            params, codings, lambda share: self._report(f", rounding all weights, pass {number}: {share:.0%}")
        )

    def _report(self, more: str = "") -> None:
        if self.progress:
            self.progress(self.evaluations, f"{self.evaluations} networks tried{more}")


def probed(
    params: Params, coded: Params, probe: Loss, allowed: float, counted: Counter, seed: int
) -> list[PlannedTensor]:
    """The tensors that will be quantised, with their sensitivities.

    A random error of +-e in every weight is added and subtracted. In the mean of the two losses the gradient, which is
    never quite zero after a fit, cancels, and the curvature remains. The error shrinks until the loss is quadratic in
    it: the first layer of a sound multiplies its weights by thousands.
    """
    rng = np.random.default_rng(seed)
    params = dict(params)
    start = counted(probe, params)
    most = max(start, _QUADRATIC * allowed)
    tensors = []
    for name, w in coded.items():
        if not (power := mean_square(w)):
            continue
        wide = w.astype(wide_type(w))
        error = math.sqrt(power / _PROBE_SNR) * rng.choice([-1.0, 1.0], w.shape)
        for _ in range(_PROBES):
            with np.errstate(over="ignore"):  # of the dtype; the loss will not be finite
                probes = [(wide + sign * error).astype(w.dtype) for sign in (1, -1)]
            losses = [counted(probe, params | {name: moved}) for moved in probes]
            rise = sum(losses) / 2 - start
            if rise <= most:
                break
            # No further than necessary: rounding and clipping may hide much smaller errors.
            error = error / (min(max(math.sqrt(rise / most), 2.0), 4.0) if math.isfinite(rise) else 4.0)
        if not all(map(math.isfinite, losses)):
            continue
        # Without any difference the network does not use the tensor. A curvature lost in noise is another case: such a
        # tensor counts as a thousandth of the least sensitive one.
        curvature = max((losses[0] + losses[1]) / 2 - start, 0.0) / float(np.sum(error**2))
        unused = losses[0] == losses[1] == start
        tensors.append(PlannedTensor(name, w, UNUSED if unused else curvature))
    least = 1e-3 * min((t.sensitivity for t in tensors if t.sensitivity > UNUSED), default=1.0)
    for tensor in tensors:
        tensor.sensitivity = tensor.sensitivity if tensor.sensitivity == UNUSED else max(tensor.sensitivity, least)
    return tensors


def steeper(params: Params, tensors: list[PlannedTensor], plan: Plan, probe: Loss, counted: Counter) -> bool:
    """Raise sensitivities to those at the errors of a plan, tensor by tensor; whether one more than doubled."""
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
